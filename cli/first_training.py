"""The first training, in a process of its own: ``python -m cli.first_training NUMBER MODEL...``.

Trains each model that has no champion, brings the champions to the disk, and tells `septet up` how
it goes as events on standard output. A model that cannot be trained does not stop the next one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cli.events import EventProgress
from cli.faults import GateClosed
from cli.lock import in_turn
from cli.publishing import publish
from core.config import SampleSource, load_model_config
from core.errors import SeptetError
from core.logs import configure_logs, get_logger
from core.registry import Registry
from core.settings import Settings, load_settings
from training.pipeline import train_model
from training.source import sample_table


def main(number: int, models: Sequence[str]) -> int:
    """Train what has no champion.

    Parameters
    ----------
    number
        Which of the processes this is; it says what is prepared first.
    models
        Names of the models.
    """
    # Whatever else prints must not come between the events.
    stream, sys.stdout = sys.stdout, sys.stderr
    settings = load_settings()
    configure_logs(settings.log_level)
    registry = Registry(settings.mlflow_address, artifacts=settings.mlflow_artifacts)
    reporters = {model: EventProgress(model, stream) for model in models}
    prepared = False
    for model, progress in reporters.items():
        try:
            if not prepared:
                progress.stage("prepare", "makes MLflow's tables and the sample firm")
                _prepare(settings, registry, model=model, sample_first=number % 2 == 0)
                prepared = True
            text = _train(model, settings=settings, registry=registry, progress=progress)
        except SeptetError as error:
            progress.tell("failed", error.detail)
        except Exception as error:  # noqa: BLE001 - told and logged; the next model is trained
            get_logger(__name__).error("training_failed", model=model, exc_info=error)
            progress.tell("failed", f"{type(error).__name__}: {error}")
        else:
            progress.tell("done", text)
    return 0


def _prepare(settings: Settings, registry: Registry, *, model: str, sample_first: bool) -> None:
    """Make what every training needs, each thing once: two processes begin at the two ends.

    The first use of MLflow's database makes its tables, which must not happen twice at once; a
    sample firm simulated twice would be the same firm, for twice the time.
    """
    source = load_model_config(settings.model_config_path(model)).source

    def ask_mlflow() -> None:
        with in_turn(settings.home / "mlflow.lock"):
            registry.champion(model)

    def simulate_firm() -> None:
        if isinstance(source, SampleSource):
            with in_turn(settings.home / "sample.lock"):
                sample_table(source, home=settings.home)

    steps = [ask_mlflow, simulate_firm]
    for step in reversed(steps) if sample_first else steps:
        step()


def _train(model: str, *, settings: Settings, registry: Registry, progress: EventProgress) -> str:
    """Train one model where it has no champion, and bring it to the disk."""
    progress.stage("registry", "asks MLflow for a champion")
    champion = registry.champion(model)
    if champion is not None:
        progress.stage("fetch", f"brings version {champion.version} to the disk")
        publish(settings, registry, model)
        return f"version {champion.version}, trained earlier"
    config = load_model_config(settings.model_config_path(model))
    outcome = train_model(config, home=settings.home, registry=registry, progress=progress)
    if not outcome.promoted:
        reason = outcome.verdict.summary() if outcome.verdict else "the gate kept it back"
        raise GateClosed(model, reason)
    publish(settings, registry, model)
    figure = outcome.metrics.get(config.gate.metric)
    # A leak model may be trained without a single audited row: then there is nothing to measure by.
    measured = "no labels" if figure is None else f"{config.gate.metric} {figure:.4g}"
    return f"version {outcome.version.version}, {measured}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
