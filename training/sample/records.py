"""Time records, one in a hundred of which holds valid values in a combination that is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.sample.clients import REGIONS, SEGMENTS, Clients, Firm, Floats, Ints
from training.sample.delivery import SERVICES

GRADES = ("junior", "consultant", "senior", "partner")
KINDS = ("grade_rate", "hours", "amount", "place")
ANOMALY_SHARE = 0.01
_A_QUARTER = 3
_RATES = np.array([70.0, 110.0, 160.0, 260.0])
_GRADE_SHARES = np.array(
    [
        [0.15, 0.30, 0.35, 0.20], [0.40, 0.35, 0.20, 0.05], [0.55, 0.30, 0.13, 0.02],
        [0.25, 0.40, 0.30, 0.05], [0.10, 0.35, 0.40, 0.15], [0.35, 0.40, 0.20, 0.05],
    ]
)  # fmt: skip
_SERVICE_HOURS = np.array([6.0, 30.0, 3.0, 12.0, 8.0, 20.0])
_RATE_SPREAD, _HOURS_SPREAD, _AMOUNT_SPREAD = 0.06, 0.35, 0.01
_OVERRUNS = np.array([0.00, 0.06, -0.02, 0.03, 0.01, 0.04])
_RARE = 1e-3


@dataclass(frozen=True)
class _Records:
    """``n`` records in codes and numbers."""

    row: Ints
    quarter: Ints
    service: Ints
    grade: Ints
    hours: Floats
    rate: Floats
    amount: Floats
    overrun: Floats


def record_tables(random: np.random.Generator, firm: Firm, clients: Clients) -> dict[str, pa.Table]:
    """Give ``records`` and ``truth_records`` for a block of clients.

    ``bayes_score`` is the posterior probability of an anomaly given everything that is seen, from
    the mixture that made the records: nothing can rank them better.
    """
    usual = _usual(random, firm, clients)
    count = len(usual.row)
    is_anomaly = random.random(count) < ANOMALY_SHARE
    kind = random.integers(len(KINDS), size=count)
    records = _spoilt(random, clients, usual, np.where(is_anomaly, kind, -1))
    record_id = [f"R{clients.number[0]:07d}-{i:06d}" for i in range(count)]
    day = firm.day(records.quarter) + random.integers(0, 85, count) * np.timedelta64(1, "D")
    seen = {
        "record_id": record_id,
        "client_id": clients.names[records.row],
        "as_of": pa.array(day, pa.timestamp("us", tz="UTC")),
        "service": np.array(SERVICES)[records.service],
        "region": np.array(REGIONS)[clients.region[records.row]],
        "segment": np.array(SEGMENTS)[clients.segment[records.row]],
        "grade": np.array(GRADES)[records.grade],
        "hours": records.hours,
        "rate_amount": records.rate,
        "amount": records.amount,
        "overrun_ratio": records.overrun,
    }
    truth = {
        "record_id": record_id,
        "is_anomaly": is_anomaly.astype(np.int64),
        "kind": np.where(is_anomaly, np.array(KINDS)[kind], "usual"),
        "bayes_score": _posterior(clients, records),
    }
    return {"records": pa.table(seen), "truth_records": pa.table(truth)}


def _usual(random: np.random.Generator, firm: Firm, clients: Clients) -> _Records:
    """Draw records as they should be."""
    quarters = np.arange(firm.quarters)
    served = (clients.begin[:, None] <= quarters) & (quarters < clients.end[:, None])
    row, quarter = (np.repeat(part, _A_QUARTER) for part in np.nonzero(served))
    service = _draw(random, _service_shares()[clients.region[row]])
    grade = _draw(random, _GRADE_SHARES[service])
    hours = _mean_hours(service, clients.segment[row]) * np.exp(
        random.normal(0, _HOURS_SPREAD, len(row))
    )
    rate = _RATES[grade] * np.exp(random.normal(0, _RATE_SPREAD, len(row)))
    hours, rate = hours.round(2), rate.round(2)
    amount = hours * rate * np.exp(random.normal(0, _AMOUNT_SPREAD, len(row)))
    overrun = random.normal(_OVERRUNS[service], 0.1)
    return _Records(row, quarter, service, grade, hours, rate, amount.round(2), overrun.round(4))


def _spoilt(
    random: np.random.Generator, clients: Clients, usual: _Records, kind: npt.NDArray[np.int64]
) -> _Records:
    """Draw one part anew where a record is an anomaly; the rest of it stays as it was."""
    count = len(kind)
    other = (usual.grade + 2) % len(GRADES)
    rate = np.where(kind == 0, _RATES[other] * np.exp(random.normal(0, _RATE_SPREAD, count)),
                    usual.rate).round(2)  # fmt: skip
    factor = random.choice((0.2, 4.0), count)
    hours = np.where(kind == 1, usual.hours * factor, usual.hours).round(2)
    amount = np.where(kind < 2, usual.amount / (usual.hours * usual.rate) * hours * rate,
                      usual.amount)  # fmt: skip
    amount = np.where(kind == 2, amount * random.choice((0.7, 1.4), count), amount).round(2)
    never = _never_sold(clients.region[usual.row])
    service = np.where(kind == 3, never, usual.service)
    return _Records(usual.row, usual.quarter, service, usual.grade, hours, rate, amount,
                    usual.overrun)  # fmt: skip


def _posterior(clients: Clients, records: _Records) -> Floats:
    """Bayes' rule over the five ways in which a record comes about."""
    segment, region = clients.segment[records.row], clients.region[records.row]
    rate_gap = np.log(records.rate / _RATES[records.grade])
    other = _RATES[(records.grade + 2) % len(GRADES)]
    hours_gap = np.log(records.hours / _mean_hours(records.service, segment))
    amount_gap = np.log(records.amount / (records.hours * records.rate))
    normal = {
        "rate": _density(rate_gap, _RATE_SPREAD),
        "hours": _density(hours_gap, _HOURS_SPREAD),
        "amount": _density(amount_gap, _AMOUNT_SPREAD),
        "place": _service_shares()[region, records.service],
    }
    odd = {
        "rate": _density(np.log(records.rate / other), _RATE_SPREAD),
        "hours": _two(hours_gap, (0.2, 4.0), _HOURS_SPREAD),
        "amount": _two(amount_gap, (0.7, 1.4), _AMOUNT_SPREAD),
        "place": (records.service == _never_sold(region)).astype(np.float64),
    }
    # In a record of the kind place, hours and grade are those of the service first drawn.
    ratio = np.zeros(len(records.row))
    for part in ("rate", "hours", "amount"):
        ratio += odd[part] / np.maximum(normal[part], 1e-300) / len(KINDS)
    ratio += odd["place"] * _displaced(records, segment, region) / len(KINDS)
    odds = ANOMALY_SHARE / (1 - ANOMALY_SHARE) * np.minimum(ratio, 1e300)
    posterior: Floats = odds / (1 + odds)
    return posterior


def _displaced(records: _Records, segment: Ints, region: Ints) -> Floats:
    """Likelihood ratio of a record of the kind place: a service's name on another's work."""
    shares = _service_shares()[region]
    as_named = _GRADE_SHARES[records.service, records.grade] * _density(
        np.log(records.hours / _mean_hours(records.service, segment)), _HOURS_SPREAD
    ) * _density(records.overrun - _OVERRUNS[records.service], 0.1)  # fmt: skip
    drawn = np.zeros(len(records.row))
    for service in range(len(SERVICES)):
        code = np.full(len(records.row), service)
        drawn += shares[:, service] * _GRADE_SHARES[service, records.grade] * _density(
            np.log(records.hours / _mean_hours(code, segment)), _HOURS_SPREAD
        ) * _density(records.overrun - _OVERRUNS[service], 0.1)  # fmt: skip
    ratio: Floats = drawn / np.maximum(
        shares[np.arange(len(code)), records.service] * as_named, 1e-300
    )
    return ratio


def _service_shares() -> Floats:
    """Share of each service in a region's records, shape ``(regions, services)``."""
    shares = np.full((len(REGIONS), len(SERVICES)), 1.0)
    regions = np.arange(len(REGIONS))
    shares[regions, _never_sold(regions)] = _RARE
    shares[regions, (regions + 1) % len(SERVICES)] = 2.0
    total: Floats = shares / shares.sum(axis=1, keepdims=True)
    return total


def _never_sold(region: Ints) -> Ints:
    return (region + 3) % len(SERVICES)


def _mean_hours(service: Ints, segment: Ints) -> Floats:
    hours: Floats = _SERVICE_HOURS[service] * (1 + 0.25 * segment)
    return hours


def _draw(random: np.random.Generator, shares: Floats) -> Ints:
    """Draw a code for each row of shares."""
    points = random.random(len(shares))[:, None]
    codes: Ints = (shares.cumsum(axis=1) < points).sum(axis=1).clip(0, shares.shape[1] - 1)
    return codes


def _density(gap: Floats, spread: float) -> Floats:
    value: Floats = np.exp(-0.5 * (gap / spread) ** 2) / spread
    return value


def _two(gap: Floats, factors: tuple[float, float], spread: float) -> Floats:
    """Density of a gap shifted by either of two factors."""
    value: Floats = sum(  # type: ignore[assignment]  # of two arrays
        _density(gap - np.log(factor), spread) for factor in factors
    ) / len(factors)
    return value
