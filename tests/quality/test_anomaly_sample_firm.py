"""Records and signals of the sample firm, against the truth that the simulator recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score

from bentos.anomaly.series import judge
from core.config import SampleSource
from tests.quality.conftest import Writer
from tests.quality.seeds import OURS, Seeds
from tests.quality.test_sample_firm import SEEDS, config_of, truth_of
from training.fitting import fit_only
from training.recipes.anomaly import Options
from training.source import sample_table

FOREST = "IsolationForest"
# The rate at which a release flags where its config says nothing else.
RATE = Options().false_alarm_rate
SEASON, LEAST_SNR = 7, 3.0
DAYS_A_MONTH = 30.4
# The last run of ten days that holds a day of an event ends nine days after it.
LINGER_DAYS = 9
pytestmark = [pytest.mark.quality, pytest.mark.timeout(1500)]


def test_anomaly_records_against_the_true_posterior(
    sample_home: Path, tmp_path: Path, write_figures: Writer
) -> None:
    seeds = Seeds()
    for seed in SEEDS:
        config = config_of("anomaly", clients=2000, seed=seed)
        fitted = fit_only(config, home=sample_home, folder=tmp_path / f"a{seed}")
        wrong, posterior = truth_of(fitted, sample_home, config, "is_anomaly", "bayes_score")
        bayes = average_precision_score(wrong, posterior)
        test = fitted.split.test
        numbers = [n for n, f in config.features.items() if f.type == "number"]
        train = np.column_stack([fitted.split.train.columns[n] for n in numbers])
        forest = IsolationForest(random_state=seed).fit(train)
        plain = -forest.score_samples(np.column_stack([test.columns[n] for n in numbers]))
        flagged = fitted.outputs["is_anomaly"].astype(bool)
        seeds.add(
            OURS,
            share=average_precision_score(wrong, fitted.outputs["evidence"]) / bayes,
            alarms=float(flagged[wrong == 0].mean()),
            recall=float(flagged[wrong == 1].mean()),
        )
        seeds.add(FOREST, share=average_precision_score(wrong, plain) / bayes)
    write_figures(
        "anomaly",
        data="sample_firm_records",
        about=f"Sample firm, 2,000 clients, the latest fifth of the records as test, no labels; "
        f"mean of {len(SEEDS)} seeds.",
        figures=[
            seeds.figure("share", "PR-AUC over that of the true posterior", least=0.70,
                         stretch=0.85, best=1),
            seeds.figure("alarms", "usual records flagged (stated: at most .01)", most=0.01),
            seeds.figure("recall", "wrong records flagged at that rate"),
        ],
    )  # fmt: skip


def test_anomaly_points_against_the_true_events(sample_home: Path, write_figures: Writer) -> None:
    seeds = Seeds()
    for seed in SEEDS:
        source = SampleSource(kind="sample", table="signals", clients=2000, months=36, seed=seed)
        path = sample_table(source, home=sample_home)
        seen = pq.read_table(path)
        events = pq.read_table(path.with_name("truth_signals.parquet")).to_pylist()
        name = seen["series_id"].to_numpy(zero_copy_only=False)
        day = seen["as_of"].to_numpy().astype("datetime64[D]")
        value = seen["value"].to_numpy()
        tallies = [
            _tally(day[name == one], value[name == one],
                   [event for event in events if event["series_id"] == one])
            for one in np.unique(name)
        ]  # fmt: skip
        found = [hit for tally in tallies for hit in tally[0]]
        false = sum(tally[1] for tally in tallies)
        months = len(value) / DAYS_A_MONTH
        delays = [delay for delay in found if delay is not None]
        seeds.add(
            OURS, recall=len(delays) / len(found), false=false / months,
            delay=float(np.median(delays)),
        )  # fmt: skip
    write_figures(
        "anomaly",
        data="sample_firm_signals",
        about=f"Sample firm, 40 daily signals of three years, judged at a false-alarm rate of "
        f"{RATE:g}; events of a signal-to-noise ratio of at least {LEAST_SNR:g}; mean of "
        f"{len(SEEDS)} seeds.",
        figures=[
            seeds.figure("recall", "events found", least=0.75, stretch=0.88, best=1),
            seeds.figure("false", "false runs a series and month", most=1.0),
            seeds.figure("delay", "median delay in steps", most=2.0),
        ],
    )


def _tally(
    day: npt.NDArray[np.datetime64], value: npt.NDArray[np.float64], events: list[dict[str, Any]]
) -> tuple[list[int | None], int]:
    """Give the delay of each strong event (nothing when it is missed), and the false runs."""
    flagged = np.nan_to_num(judge(value, season=SEASON).p_value, nan=1.0) <= RATE
    excused = np.zeros(len(flagged), dtype=np.bool_)
    delays: list[int | None] = []
    for event in events:
        first, last = (
            int(np.searchsorted(day, np.datetime64(event[key].date(), "D")))
            for key in ("begin", "end")
        )
        excused[first : last + 1 + LINGER_DAYS] = True
        hits = np.flatnonzero(flagged[first : last + 1])
        if event["snr"] >= LEAST_SNR:
            delays.append(int(hits[0]) if len(hits) else None)
    false = flagged & ~excused
    return delays, int(np.count_nonzero(false & ~np.concatenate([[False], false[:-1]])))
