"""What is told of the models that are served."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from bentos.catalog import path_name
from bentos.holder import Refusal
from bentos.release import ReleaseFacts
from core.artifact import DataFacts
from core.config import Scalar, Target, example_of
from services.releases.champions import Champions


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RefusedPage(_Page):
    """A release that was not taken; the one before it goes on."""

    version: str | None = Field(description="Version it claims; null when that is unreadable.")
    reason: str = Field(description="What does not hold.")
    refused_at: datetime = Field(description="When it was refused, UTC.")


class ModelPage(_Page):
    """One model in the list of all."""

    model: str = Field(description="Name of the model.")
    path: str = Field(description="Where rows are posted to.")
    title: str | None = Field(description="What it answers; null without a champion.")
    version: str | None = Field(description="Version that answers; null without a champion.")
    serving: bool = Field(description="Whether it answers.")
    refused: RefusedPage | None = Field(description="The last release that was not taken.")


class ModelsPage(_Page):
    """All models."""

    models: list[ModelPage] = Field(description="In the order of the catalog.")


class FeaturePage(_Page):
    """One input column."""

    name: str = Field(description="Name of the field in a row.")
    type: str = Field(description="number, integer, boolean or category.")
    description: str = Field(description="What it is.", examples=["months served so far"])
    unit: str | None = Field(description="Unit of a number.")
    minimum: float | None = Field(description="Least value accepted.")
    maximum: float | None = Field(description="Largest value accepted.")
    categories: list[str] | None = Field(
        description="Levels accepted; null when any text is, or for another type.", examples=[None]
    )
    nullable: bool = Field(
        description="Whether null, or leaving it out, is accepted.", examples=[False]
    )
    history_only: bool = Field(
        description="Whether only the training table has it.", examples=[False]
    )
    example: Scalar | None = Field(description="A value that is accepted.", examples=[18])


class InfoPage(_Page):
    """Everything about the release that answers."""

    model: str = Field(description="Name of the model.")
    title: str = Field(description="What it answers.")
    description: str = Field(description="What it is for.")
    version: str = Field(description="Version in the registry.")
    run_id: str = Field(description="Run in the registry that trained it.")
    trained_at: datetime = Field(description="When it was registered, UTC.")
    loaded_at: datetime = Field(description="When this process took it, UTC.")
    trained_on: DataFacts = Field(description="The table, its digest, and how it was parted.")
    seed: int = Field(description="Seed of the training.")
    metrics: dict[str, float] = Field(
        description="Measured on held-out rows; *_score up is better, *_error down is better.",
        examples=[{"auc_score": 0.81, "log_loss_error": 0.33}],
    )
    versions: dict[str, str] = Field(
        description="Versions of the libraries that trained it.", examples=[{"lightgbm": "4.6.0"}]
    )
    manifest_sha256: str = Field(description="Stands for every byte of the artifact.")
    entity: str = Field(description="Field that names whom a row is about; echoed.")
    as_of: str | None = Field(description="Field that says as of when a row holds; echoed.")
    target: Target = Field(description="What the model learned to say.")
    features: list[FeaturePage] = Field(description="The inputs, in order.")
    max_batch_rows: int = Field(description="Most rows of one batch.")
    ranks_by: str | None = Field(description="Result field that a batch is ranked by.")
    template_csv: str = Field(description="A CSV to fill for training: header and one example.")
    refused: RefusedPage | None = Field(description="The last release that was not taken.")


class HealthPage(_Page):
    """A prediction that the model just made for its own example."""

    model: str = Field(description="Name of the model.")
    version: str = Field(description="Version that answers.")
    healthy: bool = Field(description="Always true; an unhealthy model answers with a problem.")
    latency_ms: float = Field(description="Milliseconds the prediction took.")
    result: dict[str, object] = Field(
        description="What was predicted.", examples=[{"probability": 0.07, "risk_band": "low"}]
    )
    refused: RefusedPage | None = Field(description="The last release that was not taken.")


def models_page(holder: Champions) -> ModelsPage:
    """List every model, also those that cannot answer yet."""
    pages = []
    for model in holder.models:
        release = holder.find(model)
        pages.append(
            ModelPage(
                model=model,
                path=f"/api/{path_name(model)}",
                title=release.contract.config.title if release else None,
                version=release.version if release else None,
                serving=holder.is_serving(model),
                refused=refused_page(holder.refusal(model)),
            )
        )
    return ModelsPage(models=pages)


def info_page(release: ReleaseFacts, refusal: Refusal | None) -> InfoPage:
    """Tell everything about a release."""
    config, manifest, identity = release.contract.config, release.manifest, release.identity
    return InfoPage(
        model=release.model,
        title=config.title,
        description=config.description,
        version=release.version,
        run_id=identity.run_id,
        trained_at=identity.registered_at,
        loaded_at=release.loaded_at,
        trained_on=manifest.data,
        seed=manifest.seed,
        metrics=manifest.metrics,
        versions=manifest.versions,
        manifest_sha256=identity.manifest_sha256,
        entity=config.entity,
        as_of=config.as_of,
        target=config.target,
        features=_features(release),
        max_batch_rows=config.serving.max_batch_rows,
        ranks_by=release.kind.RANK_BY,
        template_csv=release.contract.template_csv(),
        refused=refused_page(refusal),
    )


def refused_page(refusal: Refusal | None) -> RefusedPage | None:
    """Tell of a refusal, when there was one."""
    if refusal is None:
        return None
    return RefusedPage(
        version=refusal.version, reason=refusal.reason, refused_at=refusal.refused_at
    )


def _features(release: ReleaseFacts) -> list[FeaturePage]:
    return [
        FeaturePage(
            name=name,
            type=feature.type,
            description=feature.description,
            unit=feature.unit,
            minimum=feature.minimum,
            maximum=feature.maximum,
            categories=list(feature.categories) if feature.categories is not None else None,
            nullable=feature.nullable,
            history_only=feature.history_only,
            example=example_of(feature),
        )
        for name, feature in release.contract.config.features.items()
    ]
