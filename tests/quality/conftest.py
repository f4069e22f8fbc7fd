"""Quality figures: measured by the tests, written into the model cards by the run itself."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CARDS = ROOT / "docs" / "models"


@dataclass(frozen=True)
class Figure:
    """One measured figure beside its gate and its reference."""

    metric: str
    ours: float
    least: float | None = None
    most: float | None = None
    reference: str = ""

    @property
    def passes(self) -> bool:
        above = self.least is None or self.ours >= self.least
        return above and (self.most is None or self.ours <= self.most)

    @property
    def gate(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        if self.least is not None:
            return f"at least {self.least:g}"
        return f"at most {self.most:g}" if self.most is not None else ""

    def row(self) -> str:
        verdict = "yes" if self.passes else "**no**"
        reached = verdict if self.gate else ""
        return f"| {self.metric} | {self.ours:.4g} | {self.gate} | {self.reference} | {reached} |"


Writer = Callable[..., None]


@pytest.fixture(scope="session")
def write_figures() -> Writer:
    """Write a data set's figures into its model's card, then hold them to their gates."""

    def write(model: str, *, data: str, about: str, figures: Sequence[Figure]) -> None:
        table = "\n".join(
            [
                about,
                "",
                "| metric | ours | gate | reference | reached |",
                "| --- | --- | --- | --- | --- |",
                *(figure.row() for figure in figures),
            ]
        )
        replace_block(CARDS / f"{model.replace('_', '-')}.md", data, table)
        missed = [f"{f.metric}: {f.ours:.4g}, gate {f.gate}" for f in figures if not f.passes]
        assert not missed, f"{model} on {data} misses {missed}"

    return write


def replace_block(card: Path, name: str, text: str) -> None:
    """Put the text between the card's markers of that name."""
    begin, end = f"<!-- figures {name}: written by `make quality` -->", f"<!-- end {name} -->"
    page = card.read_text(encoding="utf-8")
    block = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    assert block.search(page), f"{card} has no block {name!r}"
    card.write_text(block.sub(lambda _: f"{begin}\n{text}\n{end}", page), encoding="utf-8")


@pytest.fixture(scope="session")
def open_data() -> Path:
    """Give the folder of the public tables, or skip with the reason."""
    folder = Path(os.environ.get("SEPTET_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"the open data is not here ({folder}); set SEPTET_DATA to its folder")
    os.environ["SEPTET_DATA"] = str(folder)
    return folder
