"""One training run: from the source to a gated version in the registry."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from matplotlib.backends.backend_agg import FigureCanvasAgg

from bentos.catalog import contract_of
from bentos.predictor import Predictor
from core.artifact import open_artifact
from core.config import ModelConfig
from core.registry import FACTS_TAG, Registry, RunRecord, Version
from core.settings import ROOT
from training.comparison import compare
from training.fitting import (
    Fitted,
    Stages,
    fit_frame,
    library_versions,
    read_frame,
)
from training.frame import QualityReport
from training.gate import Verdict, decide
from training.progress import Progress, Silent
from training.recipes import Recipe, recipe_of

_LATENCY_CALLS = 101


@dataclass(frozen=True)
class TrainingOutcome:
    """What became of a training run.

    Parameters
    ----------
    model
        Name of the model.
    version
        The version it registered, or the champion that made it needless.
    trained
        False when data, config and libraries are those of the champion.
    promoted
        Whether the version is champion now.
    verdict
        What the gate said; nothing when nothing was trained.
    metrics
        The figures on the test.
    report
        What was read and left out.
    latency_ms
        Median time of one row through the predictor.
    seconds
        Time by stage.
    """

    model: str
    version: Version
    trained: bool
    promoted: bool
    verdict: Verdict | None
    metrics: Mapping[str, float]
    report: QualityReport
    latency_ms: float | None
    seconds: Mapping[str, float]


def train_model(
    config: ModelConfig,
    *,
    home: Path,
    registry: Registry,
    progress: Progress | None = None,
    force: bool = False,
) -> TrainingOutcome:
    """Train a model, register it as challenger, and let the gate decide.

    Parameters
    ----------
    config
        The model's config.
    home
        Folder of the platform.
    registry
        Where runs and versions are kept.
    progress
        Told what is done.
    force
        Train even when the champion was made of the same data, config and libraries.

    Raises
    ------
    SourceError, TrainingRefused, ConfigError
        Nothing was trained; the sentence says why.
    RegistryDown
        MLflow does not answer.
    """
    progress = progress or Silent()
    stages = Stages(progress)
    frame, report = read_frame(config, home=home, stages=stages)
    for note in ([report.summary()] if report.rows_left_out else []) + list(report.notes):
        progress.note(note)
    data_digest = frame.digest()
    facts = _facts_digest(config, data_digest)
    champion = registry.champion(config.model)
    if champion is not None and champion.facts == facts and not force:
        stages.end()
        return TrainingOutcome(
            model=config.model, version=champion, trained=False, promoted=True, verdict=None,
            metrics={}, report=report, latency_ms=None, seconds=stages.seconds,
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="septet-") as temporary:
        folder = Path(temporary)
        fitted = fit_frame(config, frame, report, folder / "artifact", stages, digest=data_digest)
        del frame
        return _register(
            config, fitted, home=home, folder=folder, registry=registry, champion=champion,
            stages=stages, facts=facts,
        )  # fmt: skip


def _register(
    config: ModelConfig,
    fitted: Fitted,
    *,
    home: Path,
    folder: Path,
    registry: Registry,
    champion: Version | None,
    stages: Stages,
    facts: str,
) -> TrainingOutcome:
    """Log the run, register the challenger, hold it against the gate and move the aliases."""
    stages.begin("draw", "draws the figures")
    figures = _draw(recipe_of(config.model), fitted, folder / "figures")
    latency_ms = _latency_ms(fitted.predictor)
    stages.begin("register", "logs the run and registers the version")
    record = RunRecord(
        params=_params(config, fitted),
        metrics={**fitted.metrics, "latency_ms": latency_ms},
        tags={FACTS_TAG: facts, "mlflow.note.content": config.description},
        artifact=folder / "artifact",
        figures=figures,
        texts={"quality.json": _report_json(fitted.report)},
    )
    version = registry.register(config.model, record)
    stages.begin("gate", "holds it against its floors and the champion")
    compared = compare(fitted, champion, registry=registry, home=home, folder=folder / "champion")
    verdict = decide(
        config.gate,
        metrics=fitted.metrics,
        latency_ms=latency_ms,
        losses=compared.losses,
        champion_losses=compared.champion_losses,
        seed=config.training.seed,
        no_champion=compared.reason,
    )
    registry.note_verdict(
        version,
        summary=verdict.summary(),
        checks=json.dumps([asdict(check) for check in verdict.checks]),
    )
    if verdict.passed:
        registry.promote(config.model, version.version)
    stages.end()
    return TrainingOutcome(
        model=config.model, version=version, trained=True, promoted=verdict.passed,
        verdict=verdict, metrics=fitted.metrics, report=fitted.report, latency_ms=latency_ms,
        seconds=stages.seconds,
    )  # fmt: skip


def _latency_ms(predictor: Predictor) -> float:
    """Median time of one row, from validated row to answer, in milliseconds."""
    contract = contract_of(predictor.config)
    row = contract.parse_row(contract.example())
    times = []
    for _ in range(_LATENCY_CALLS):
        began = time.perf_counter()
        predictor.predict([row])
        times.append(time.perf_counter() - began)
    return median(times) * 1000


def _draw(recipe: Recipe, fitted: Fitted, folder: Path) -> Path:
    folder.mkdir()
    artifact = open_artifact(fitted.predictor.artifact.folder)
    for name, figure in recipe.figures(fitted.outputs, fitted.split.test, artifact):
        FigureCanvasAgg(figure)
        figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
    return folder


def _params(config: ModelConfig, fitted: Fitted) -> dict[str, object]:
    facts = fitted.predictor.artifact.manifest.data
    return {
        **{f"option.{key}": value for key, value in config.training.options.items()},
        "seed": config.training.seed,
        "split": config.split.rule,
        "features": len(config.features),
        **facts.model_dump(exclude_none=True),
        "embargoed": fitted.split.embargoed,
        "config_digest": config.digest(),
    }


def _facts_digest(config: ModelConfig, data_digest: str) -> str:
    """Digest of all that an artifact is made of."""
    facts = [data_digest, config.digest(), library_versions(), _code_digest(config.model)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _code_digest(model: str) -> str:
    """Digest of the code that makes and measures an artifact: an upgrade trains again."""
    folders = ("core", "bentos", f"bentos/{model}", "training", "training/recipes")
    state = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder).glob("*.py")):
            state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def _report_json(report: QualityReport) -> str:
    content = {
        "rows_read": report.rows_read,
        "rows_kept": report.rows_kept,
        "counts": [
            {"column": column, "reason": reason, "rows": count}
            for (column, reason), count in report.counts.items()
        ],
        "notes": list(report.notes),
        "first_problems": [asdict(problem) for problem in report.problems],
    }
    return json.dumps(content, indent=1, ensure_ascii=False)
