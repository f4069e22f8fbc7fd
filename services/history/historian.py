"""The historian: the process that reads the log and answers the platform about it.

``python -m services.history.historian``

It has DuckDB, Matplotlib and the old releases, none of which a serving process may hold. It listens
for the platform alone, which shows it a token.

Failure policy: a question that cannot be answered is answered with a problem document; one that
takes too long is ended. Should the process die, predictions go on, and `septet up` starts it anew.
"""

from __future__ import annotations

import hmac
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bentos.catalog import CATALOG, predictor_type
from bentos.lone import read_platform_config
from bentos.predictor import Predictor
from bentos.problem import render
from core.config import ModelConfig, load_model_config
from core.contract import Contract
from core.errors import SeptetError
from core.history_faults import BacktestUnknown
from core.logs import configure_logs, get_logger
from core.refusals import QueryInvalid
from core.registry import Registry
from core.settings import Settings, load_settings
from services.fields import query_refusal
from services.history.log import PredictionLog
from services.history.masking import open_masking
from services.history.questions import BacktestQuestion, BacktestView
from services.history.reader.archive import Archive
from services.history.reader.library import (
    Answer,
    Asking,
    Library,
    page_answer,
    questions_of,
    series_answer,
)
from services.history.reader.naming import Columns
from services.history.reader.profiles import ReleasedProfiles
from services.history.token import history_token
from services.history.workflow import BacktestJobs, end_jobs, launch_jobs
from services.predictions import description

_MOST_BODY = 1 << 20
Questions = dict[str, tuple[type[BaseModel], Callable[[Any, Asking], Answer]]]


class Counter:
    """Takes questions over HTTP.

    Parameters
    ----------
    questions
        What may be asked.
    token
        What the platform shows.
    """

    def __init__(self, questions: Questions, *, token: str) -> None:
        self._questions = questions
        self._shown = f"Bearer {token}".encode()
        self._log = get_logger(__name__)

    def app(self) -> Starlette:
        """Build the app."""
        return Starlette(
            routes=[
                Route("/livez", _alive, methods=["GET"]),
                Route("/{question}", self._ask, methods=["POST"]),
            ]
        )

    async def _ask(self, request: Request) -> Response:
        shown = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(shown, self._shown):
            return PlainTextResponse("The historian answers the platform alone.", status_code=401)
        name = request.path_params["question"]
        body = await request.body()
        if name not in self._questions or len(body) > _MOST_BODY:
            return PlainTextResponse("There is no such question.", status_code=404)
        try:
            return _told(await run_in_threadpool(self._answer, name, orjson.loads(body)))
        except SeptetError as error:
            return _problem(error)
        except Exception as error:  # noqa: BLE001 - told in the log; the process goes on
            self._log.exception("question_failed", question=name, exc_info=error)
            return _problem(SeptetError("The question failed; the historian's log says why."))

    def _answer(self, name: str, content: dict[str, Any]) -> Answer:
        kind, answer = self._questions[name]
        try:
            question = kind.model_validate(content.get("question", {}))
        except ValidationError as error:
            raise query_refusal(error.errors()) from None
        models = content.get("models")
        asking = Asking(content.get("subject", ""), None if models is None else frozenset(models))
        return answer(question, asking)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("")


def _told(answer: Answer) -> Response:
    headers = dict(answer.headers or {})
    return Response(answer.content, media_type=answer.media_type, headers=headers)


def _problem(error: SeptetError) -> Response:
    status, headers, body = render(error, instance=None)
    response = Response(body, status_code=status)
    response.raw_headers = headers
    return response


def build_library(
    settings: Settings, *, kind_of: Callable[[str], type[Predictor]] = predictor_type
) -> Library:
    """Put the parts together.

    Parameters
    ----------
    settings
        Places of the log, of the configs and of the releases.
    kind_of
        Gives the predictor class of a model.
    """
    configs: dict[tuple[str, int], ModelConfig] = {}

    def config_of(model: str) -> ModelConfig:
        path = settings.model_config_path(model)
        key = (model, path.stat().st_mtime_ns)
        if key not in configs:
            configs[key] = load_model_config(path)
        return configs[key]

    def columns_of(model: str) -> Columns:
        kind = kind_of(model)
        return description.columns_of(Contract(config_of(model), kind.TASKS), kind.RESULT)

    _, secret = open_masking(settings, read_platform_config(settings).history)
    replays = settings.home / "replays"
    return Library(
        PredictionLog(settings.predictions_place, owner="historian"),
        models=CATALOG,
        kind_of=kind_of,
        config_of=config_of,
        archive=Archive(
            settings.releases,
            replays,
            Registry(settings.mlflow_address, artifacts=settings.mlflow_artifacts),
            kind_of,
        ),
        secret=history_token(settings).encode(),
        hashed=None if secret is None else secret.hash,
        profiles_of=ReleasedProfiles((settings.releases, replays)),
        spill=_emptied(settings.home / "spill"),
        columns_of=columns_of,
    )


def _emptied(folder: Path) -> Path:
    """Make a folder that only its user may read, without what a killed process left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


def questions_of_jobs(jobs: BacktestJobs) -> Questions:
    """Give the questions about backtests, by name."""

    def begin(question: BacktestQuestion, _: Asking) -> Answer:
        return page_answer(jobs.start(question))

    def read(view: BacktestView, asking: Asking) -> Answer:
        page = jobs.read(asking.subject)
        if asking.models is not None and page.model not in asking.models:
            raise BacktestUnknown(asking.subject)
        if view.format == "json":
            return page_answer(page)
        if page.series is None:
            raise QueryInvalid(
                "format", f"is {view.format}, and the backtest is {page.state}", "json is allowed"
            )
        return series_answer(page.series, view.format)

    return {"backtest": (BacktestQuestion, begin), "backtest-read": (BacktestView, read)}


def main() -> int:
    """Answer until SIGTERM or SIGINT; 0 when it stopped cleanly."""
    log = get_logger(__name__)
    try:
        settings = load_settings()
        configure_logs(settings.log_level)
        if isinstance(place := settings.predictions_place, Path):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        library = build_library(settings)
    except SeptetError as error:
        log.error("historian_not_started", reason=error.detail)
        return 1
    jobs = launch_jobs(settings, library.backtests)
    questions = questions_of(library) | questions_of_jobs(jobs)
    counter = Counter(questions, token=history_token(settings))
    log.info("historian_started", port=settings.history_port)
    uvicorn.run(
        counter.app(), host=settings.history_host, port=settings.history_port, log_level="warning",
        access_log=False, lifespan="off",
    )  # fmt: skip
    end_jobs(jobs)
    library.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
