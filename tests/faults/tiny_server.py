"""The platform with the tiny model, without BentoML's supervisor: ``tiny_server.py HOME PORT``."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn

from bentos.connection import Connection
from core.settings import Settings
from services.app import create_app
from services.docs import docs_files
from services.gate import Gate
from services.runtime import Runtime
from tests.tiny import tiny_type


def main(home: Path, port: int) -> None:
    """Serve until killed."""
    runtime = Runtime(("churn",), kind_of=tiny_type)
    runtime.start(Settings(home=home, configs=home / "configs", log_level="WARNING"))
    gate = Gate(create_app(runtime, docs_files=docs_files()), runtime=runtime)
    uvicorn.run(
        gate, host="127.0.0.1", port=port, http=Connection, loop="uvloop", log_level="critical",
        lifespan="off",
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
