"""The historian over the tiny model: ``tiny_historian.py HOME PORT PART_ROWS``."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import uvicorn

from core.settings import Settings
from services.history.historian import Counter, build_library, questions_of_jobs
from services.history.reader.library import questions_of
from services.history.token import history_token
from services.history.workflow import end_jobs, launch_jobs
from tests.services.history.stumbling import StumblingBacktests
from tests.tiny import tiny_type


def main(home: Path, port: int, part_rows: int) -> None:
    """Answer until killed."""
    settings = Settings(home=home, configs=home / "configs", log_level="WARNING")
    library = build_library(settings, kind_of=tiny_type)
    rules = {one.name: getattr(library.backtests, one.name) for one in fields(library.backtests)}
    rules |= {"part_rows": part_rows, "home": home}
    jobs = launch_jobs(settings, StumblingBacktests(**rules))
    questions = questions_of(library) | questions_of_jobs(jobs)
    counter = Counter(questions, token=history_token(settings))
    uvicorn.run(counter.app(), host="127.0.0.1", port=port, log_level="critical", lifespan="off")
    end_jobs(jobs)
    library.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
