"""Unusual records and points on public tables, beside the references of the same run."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bentos.anomaly.predictor import AnomalyPredictor
from bentos.anomaly.series import judge
from core.artifact import DataFacts, Draft, open_artifact
from core.config import ModelConfig
from tests.quality.conftest import Figure, Rival, Writer
from tests.quality.references.anomaly import others
from tests.quality.references.anomaly_nab import (
    Bools,
    event_f1,
    nab_score,
    probation,
    tally,
    windows_of,
)
from training.frame import Frame
from training.recipes import anomaly
from training.split import Split

Floats = npt.NDArray[np.float64]
FILES = ("cardio", "thyroid", "mammography", "satellite", "vowels", "breastw", "shuttle")
QUANTILES = (0.98, 0.99, 0.995, 0.998, 0.999, 0.9995)
GAPS = (100, 200, 400, 800)
pytestmark = [pytest.mark.quality, pytest.mark.timeout(1500)]


def scores_of(rows: Floats, folder: Path) -> Floats:
    """Train on all rows without a label, and let the predictor score all of them."""
    names = [f"x{i}" for i in range(rows.shape[1])]
    number = {"type": "number", "description": "a measure"}
    config = ModelConfig.model_validate(
        {
            "model": "anomaly", "title": "x", "description": "x",
            "source": {"kind": "parquet", "path": "x"}, "entity": "row",
            "target": {"column": "label", "description": "wrong", "positive": 1,
                       "nullable": True, "optional": True},
            "features": dict.fromkeys(names, number), "split": {"rule": "entity"},
            "gate": {"metric": "false_alarm_error"},
        }
    )  # fmt: skip
    count = len(rows)
    frame = Frame(
        {name: rows[:, i] for i, name in enumerate(names)}, np.full(count, np.nan), None,
        np.arange(count).astype(str).astype(object), None, None, np.arange(1, count + 1),
    )  # fmt: skip
    draft = Draft(folder)
    anomaly.fit(Split(frame, frame, frame), config, draft)
    draft.write_json("ranges.json", {})
    facts = DataFacts(
        digest="0", source="x", rows_train=count, rows_calibration=count, rows_test=count,
        entities=count, first=None, last=None, left_out=0,
    )  # fmt: skip
    draft.finish(config, data=facts, versions={}, metrics={})
    scored: Floats = AnomalyPredictor(open_artifact(folder)).score(frame.columns)["evidence"]
    return scored


def test_anomaly_records_of_the_bench(
    open_data: Path, tmp_path: Path, write_figures: Writer
) -> None:
    auc: dict[str, list[float]] = {}
    precision: dict[str, list[float]] = {}
    for name in FILES:
        table = pq.read_table(open_data / "anomaly" / f"adbench_{name}.parquet")
        label = table["label"].to_numpy()
        rows = np.column_stack(
            [table[c].to_numpy() for c in table.column_names if c != "label"]
        ).astype(np.float64)
        scored = {"ours": scores_of(rows, tmp_path / name), **others(rows, seed=7)}
        for who, score in scored.items():
            auc.setdefault(who, []).append(float(roc_auc_score(label, score)))
            precision.setdefault(who, []).append(float(average_precision_score(label, score)))
    figures = []
    for metric, found, least in (("ROC-AUC", auc, 0.875), ("PR-AUC", precision, 0.56)):
        ours = np.array(found["ours"])
        rivals = []
        for who in found:
            if who != "ours":
                apart = ours - np.array(found[who])
                error = float(apart.std(ddof=1) / np.sqrt(len(apart)))
                rivals.append(
                    Rival(who, float(np.mean(found[who])), difference=float(apart.mean()),
                          standard_error=error)
                )  # fmt: skip
        figures.append(Figure(f"mean {metric}", float(ours.mean()), least=least).against(*rivals))
    write_figures(
        "anomaly",
        data="adbench",
        about=f"{len(FILES)} public tables of records; fitted on all rows without a label, all "
        "rows scored; mean over the tables, differences paired by table.",
        figures=figures,
    )


def detections(score: Floats, *, threshold: float, gap: int) -> Bools:
    """Speak where the score passes the threshold, and then keep quiet for a while."""
    found = np.zeros(len(score), dtype=np.bool_)
    last = -gap - 1
    for row in np.flatnonzero(score >= threshold).tolist():
        if row >= probation(len(score)) and row - last > gap:
            found[row] = True
            last = row
    return found


def best_of(scores: list[Floats], labels: list[npt.NDArray[np.int8]]) -> tuple[float, float]:
    """Give score and F1 at the one threshold and gap that suit all files best, as NAB does."""
    scored = np.concatenate([score[probation(len(score)) :] for score in scores])
    found = []
    for quantile in QUANTILES:
        threshold = float(np.quantile(scored, quantile))
        for gap in GAPS:
            tallies = [
                tally(detections(score, threshold=threshold, gap=gap), windows_of(label))
                for score, label in zip(scores, labels, strict=True)
            ]
            found.append((nab_score(tallies), event_f1(tallies)))
    return max(found)


def served_evidence(values: Floats) -> Floats:
    """Give minus the logarithm of the p-values that are served; 0 where too little lies before."""
    return -np.log(np.maximum(np.nan_to_num(judge(values, season=1).p_value, nan=1.0), 1e-12))


def windowed_gaussian(values: Floats, width: int = 300) -> Floats:
    """Give how many standard deviations of the window before a point lies from its mean."""
    sums, squares = (np.concatenate([[0.0], np.cumsum(values**power)]) for power in (1, 2))
    ends = np.arange(len(values))
    starts = np.maximum(ends - width, 0)
    count = np.maximum(ends - starts, 1)
    mean = (sums[ends] - sums[starts]) / count
    square = np.maximum((squares[ends] - squares[starts]) / count - mean**2, 0)
    return np.where(ends < 20, 0.0, np.abs(values - mean) / np.sqrt(square + 1e-9))


def test_anomaly_points_of_nab(open_data: Path, write_figures: Writer) -> None:
    table = pq.read_table(open_data / "anomaly" / "nab_open.parquet")
    name = table["file"].to_numpy(zero_copy_only=False)
    value, label = table["value"].to_numpy().astype(np.float64), table["label"].to_numpy()
    rows = [np.flatnonzero(name == file) for file in np.unique(name)]
    labels = [label[found] for found in rows]
    ours = [served_evidence(value[found]) for found in rows]
    plain = [windowed_gaussian(value[found]) for found in rows]
    score, f1 = best_of(ours, labels)
    plain_score, plain_f1 = best_of(plain, labels)
    write_figures(
        "anomaly",
        data="nab",
        about=f"{len(rows)} files of the Numenta Anomaly Benchmark, standard profile, the first "
        "15 % (at most 750 rows) unscored, no look-ahead. Scored on the p-values that are served; "
        "one threshold and one refractory gap for all files, the best of "
        f"{len(QUANTILES) * len(GAPS)} for each method, as the benchmark's own scoring does.",
        figures=[
            Figure("NAB score", score, least=48, stretch=58, best=100).against(
                Rival("windowed Gaussian", plain_score)
            ),
            Figure("F1 of events", f1, least=0.28, stretch=0.38).against(
                Rival("windowed Gaussian", plain_f1)
            ),
        ],
    )
