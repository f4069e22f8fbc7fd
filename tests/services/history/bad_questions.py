"""Questions that are wrong, each with status, code and what the answer says of the fix."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from core import clock
from tests.services.history.archive_house import PAST

FUTURE = (clock.now() + timedelta(days=400)).isoformat()
NOW = clock.now().isoformat()
CHURN = {"model": "churn"}
TIMES: list[tuple[dict[str, Any], str]] = [
    ({"since": NOW, "until": PAST.isoformat()}, "?since does not lie before until"),
    ({"since": NOW, "until": NOW}, "?since does not lie before until"),
    ({"since": FUTURE}, "?since lies in the future; it should lie before now."),
    ({"since": FUTURE, "until": FUTURE}, "?since lies in the future; it should lie before now."),
    ({"since": "2026-01-31T00:00:00"}, "a time with its zone is allowed"),
    ({"since": "2026-01-31"}, "a time with its zone is allowed"),
    ({"until": "yesterday"}, "a time with its zone is allowed"),
    ({"until": "1767225600"}, "a time with its zone is allowed"),
    ({"until": "0001-01-01T00:00:00+14:00"}, "should lie in 2000 or later"),
    ({"until": FUTURE}, "?until lies more than 30 days in the future, and since"),
    ({"until": "9999-12-31T23:59:59-14:00"}, "should lie before 2200"),
]
EARLY = {"since": "2020-01-01T00:00:00Z", "until": "2020-02-01T00:00:00Z"}
BAD: list[tuple[str, dict[str, Any], int, str, str]] = [
    *(("predictions", CHURN | times, 400, "QueryInvalid", said) for times, said in TIMES),
    *(("trends", CHURN | times, 400, "QueryInvalid", said) for times, said in TIMES),
    *(("entities/c7", times, 400, "QueryInvalid", said) for times, said in TIMES),
    *(("outcomes", CHURN | times, 400, "QueryInvalid", said) for times, said in TIMES),
    ("predictions", {}, 400, "QueryInvalid", "model"),
    ("predictions", {"model": "chrun"}, 404, "ModelUnknown", "Did you mean 'churn'?"),
    ("trends", {"model": "chrun"}, 404, "ModelUnknown", "Did you mean 'churn'?"),
    ("trends", {"model": "Churn"}, 400, "QueryInvalid", "is allowed; did you mean 'churn'?"),
    ("predictions", {"model": "../x"}, 400, "QueryInvalid", "profitability, churn"),
    ("predictions", CHURN | {"modle": "x"}, 400, "QueryInvalid", "is not known here"),
    ("trends", CHURN | {"sql": "1"}, 400, "QueryInvalid", "is not known here"),
    ("predictions", CHURN | {"where": "region"}, 400, "QueryInvalid", "?where is the text"),
    ("predictions", CHURN | {"where": ":north"}, 400, "QueryInvalid", "region:north"),
    ("predictions", CHURN | {"where": "regoin:a"}, 400, "QueryInvalid", "'input.region'?"),
    ("predictions", CHURN | {"where": "hours:many"}, 400, "QueryInvalid", "such as 12.5"),
    ("predictions", CHURN | {"where": ["region:a"] * 9}, 400, "QueryInvalid", "at most 8"),
    ("predictions", CHURN | {"field": "band", "least": 1}, 400, "QueryInvalid", "result.prob"),
    *(
        ("trends", {"model": "demand"} | EARLY | wrong, 400, "QueryInvalid", said)
        for wrong, said in (
            ({"where": "zzz:1"}, "input.promo_share"), ({"group": "region"}, "input.promo_share"),
            ({"field": "nope"}, "'nope' is nothing"), ({"least": 5, "most": 1}, "?least is more"),
        )
    ),
    ("predictions", CHURN | {"least": "nan"}, 400, "QueryInvalid", "finite"),
    *(
        ("predictions", CHURN | {"limit": limit}, 400, "QueryInvalid", "a whole number, such as 20")
        for limit in ("1_0", " 5", "5.0", "+5", "05", "\u0665", "", "1e2")
    ),
    *(
        ("trends", CHURN | {"least": least}, 400, "QueryInvalid", "a finite number, such as 12.5")
        for least in ("1_0", " 1", "+1", ".5", "inf", "0x1")
    ),
    *(
        ("trends", CHURN | {"flagged": flagged}, 400, "QueryInvalid", "it should be true or false")
        for flagged in ("on", "T", "1", "")
    ),
    ("predictions", CHURN | {"limit": [5, 6]}, 400, "QueryInvalid", "is given 2 times; once is"),
    ("trends", CHURN | {"by": ["day", "day"]}, 400, "QueryInvalid", "is given 2 times; once is"),
    ("predictions", CHURN | {"limit": 0}, 400, "QueryInvalid", "greater than or equal to 1"),
    ("predictions", CHURN | {"limit": 1001}, 400, "QueryInvalid", "csv, parquet or arrow, which"),
    ("predictions", CHURN | {"format": "xlsx"}, 400, "QueryInvalid", "'parquet'"),
    ("predictions", CHURN | {"cursor": "AAAA"}, 400, "QueryInvalid", "send `next` of the page"),
    ("trends", CHURN | {"group": "regoin"}, 400, "QueryInvalid", "'input.region'?"),
    ("trends", CHURN | {"measure": "mean"}, 400, "QueryInvalid", "'volume'"),
    ("trends", CHURN | {"by": "year"}, 400, "QueryInvalid", "'month'"),
    ("features/huors", CHURN, 400, "PathInvalid", "hours"),
    ("compare", CHURN | {"versus": "south"}, 400, "QueryInvalid", "versus"),
    ("compare", CHURN, 400, "QueryInvalid", "versus is missing"),
    (
        "compare", CHURN | {"versus": "period:0001-01-01T00:00:00Z/0001-01-02T00:00:00Z"},
        400, "QueryInvalid", "2000 or later",
    ),
    (
        "compare", CHURN | {"versus": "period:2026-05-01/2026-06-01"}, 400, "QueryInvalid",
        "is no period: since is '2026-05-01', not a time with its zone; a time with its zone",
    ),
    ("predictions/nothing", {}, 400, "PathInvalid", "a UUID of version 7"),
    ("predictions/6e918e36-99b2-45bd-b0d7-4dded5bfb641", {}, 400, "PathInvalid", "version 7"),
    ("predictions/01a2233d-fc9a-77d1-9fc3-0653f532e5cc", {}, 404, "PredictionUnknown", "within"),
    ("predictions/ffffffff-ffff-7fff-bfff-ffffffffffff", {}, 404, "PredictionUnknown", ""),
    ("predictions/00000000-0000-7000-8000-000000000000", {}, 404, "PredictionUnknown", ""),
    ("backtests/nothing", {}, 404, "BacktestUnknown", "begins one"),
    ("backtests/%00", {}, 404, "BacktestUnknown", "begins one"),
    ("erasures/nothing", {}, 404, "ErasureUnknown", "There is no erasure"),
    (f"erasures/{'0' * 32}", {}, 404, "ErasureUnknown", "within seconds"),
    ("erasures/..%2F..%2Fx", {}, 404, "", ""),
]  # fmt: skip
