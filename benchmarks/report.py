"""Puts measured text between the markers of docs/performance.md."""

from __future__ import annotations

import platform
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def write_section(name: str, text: str) -> None:
    """Replace the section of that name.

    Raises
    ------
    ValueError
        The page has no such section.
    """
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: written by the benchmark -->", f"<!-- end {name} -->"
    block = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not block.search(page):
        raise ValueError(f"{PAGE.name} has no section {name!r}")
    machine = f"Python {platform.python_version()}, {platform.machine()}, two shared cores."
    text = f"{begin}\n{text}\n\n{machine}\n{end}"
    PAGE.write_text(block.sub(lambda _: text, page), encoding="utf-8")
