"""Quality figures: measured by the tests, written into the model cards by the run itself."""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.quality.figure import Figure, Rival, over_seeds
from tests.quality.record import ROOT, keep

__all__ = ["ROOT", "Figure", "Rival", "Writer", "over_seeds"]

CARDS = ROOT / "docs" / "models"
Writer = Callable[..., None]


class Watch:
    """Tells how long the test under way has taken."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def start(self) -> None:
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self._began, 1)


@pytest.fixture(scope="session")
def watch() -> Watch:
    return Watch()


@pytest.fixture(autouse=True)
def _timed(watch: Watch) -> None:
    watch.start()


@pytest.fixture(scope="session")
def write_figures(watch: Watch) -> Writer:
    """Keep a data set's figures, write them into its model's card, hold them to their gates."""

    def write(model: str, *, data: str, about: str, figures: Sequence[Figure]) -> None:
        keep(model, data, about=about, figures=figures, seconds=watch.seconds)
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
        missed = [why(figure) for figure in figures if not figure.passes]
        assert not missed, f"{model} on {data} misses {missed}"

    return write


def why(figure: Figure) -> str:
    """Say by how much a figure misses its gate."""
    seeds = ", ".join(f"{seed:.4g}" for seed in figure.seeds)
    each = f"; seeds {seeds}, each within {figure.slack:.3g} of it" if seeds else ""
    return f"{figure.metric}: {figure.ours:.4g}, gate {figure.gate}{each}"


def replace_block(card: Path, name: str, text: str) -> None:
    """Put the text between the card's markers of that name."""
    begin, end = f"<!-- figures {name}: written by `make quality` -->", f"<!-- end {name} -->"
    block = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    with _alone(card):
        page = card.read_text(encoding="utf-8")
        assert block.search(page), f"{card} has no block {name!r}"
        card.write_text(block.sub(lambda _: f"{begin}\n{text}\n{end}", page), encoding="utf-8")


@contextmanager
def _alone(card: Path) -> Iterator[None]:
    """Keep other workers from the same card meanwhile."""
    lock = Path(tempfile.gettempdir()) / f"septet-{os.getuid()}-{card.name}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder where simulated firms are kept, one for all tests and workers of the run.

    A firm is simulated once for its size and seed, whichever test asks first.
    """
    base = tmp_path_factory.getbasetemp()
    # With workers each has its own folder below the run's.
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return run / "sample-home"


@pytest.fixture(scope="session")
def open_data() -> Path:
    """Give the folder of the public tables, or skip with the reason."""
    folder = Path(os.environ.get("SEPTET_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"the open data is not here ({folder}); set SEPTET_DATA to its folder")
    os.environ["SEPTET_DATA"] = str(folder)
    return folder
