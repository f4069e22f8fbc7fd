"""Breaks texts into lines by how wide their letters are: eighty of a name may be twice as wide."""

from __future__ import annotations

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

_POINTS_AN_INCH = 72
_CUT = "…"


class Lettering:
    """Lines of one width.

    Parameters
    ----------
    family
        Name of the font.
    points
        Its size.
    inches
        Width of a line.
    is_bold
        Whether letters are bold.
    """

    def __init__(self, family: str, points: float, inches: float, *, is_bold: bool = False) -> None:
        weight = "bold" if is_bold else "normal"
        self._font = FontProperties(family=family, size=points, weight=weight)
        self._most = inches * _POINTS_AN_INCH

    def lines_of(self, text: str, most: int) -> list[str]:
        """Break a text between words, and within one that is wider than a line.

        Parameters
        ----------
        text
            In one line.
        most
            How many lines are kept, at least one; the last of them says by its end that there were
            more.
        """
        lines: list[str] = []
        rest = text.split(" ")
        while rest and len(lines) <= most:
            line, rest = self._line(rest)
            lines.append(line)
        if len(lines) <= most:
            return lines
        last = lines[most - 1]
        while last and not self._fits(last + _CUT):
            last = last[:-1]
        return [*lines[: most - 1], last + _CUT]

    def _line(self, words: list[str]) -> tuple[str, list[str]]:
        """Take a line of words; give it, and those that are left."""
        count = 1
        while count < len(words) and self._fits(" ".join(words[: count + 1])):
            count += 1
        line = " ".join(words[:count])
        if self._fits(line):
            return line, words[count:]
        size = 1
        while self._fits(line[: size + 1]):
            size += 1
        return line[:size], [line[size:], *words[1:]]

    def _fits(self, text: str) -> bool:
        width, _, _ = text_to_path.get_text_width_height_descent(text, self._font, ismath=False)
        return bool(width <= self._most)
