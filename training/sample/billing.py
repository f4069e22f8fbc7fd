"""Invoices and their lines, the leaks among them, and the audits.

Every line has a bill that the contract asks for. Most lines bill it, up to small noise; some are
let down on purpose, most of these with an approval code; some leak (``training.sample.leaks``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.sample import leaks
from training.sample.clients import CONTRACTS, CURRENCIES, Clients, Firm, Floats, Ints
from training.sample.contracts import Terms, contract_table
from training.sample.delivery import SERVICES
from training.sample.engagements import engagement_table
from training.sample.lines import GRADES, Lines, draw_lines
from training.sample.staffing import staff_tables

_AUDITED_SHARE = 0.4
_DAYS_TO_PAY = 30


@dataclass(frozen=True)
class Bills:
    """What was billed for ``m`` lines, what is missing, and who knows of it.

    Parameters
    ----------
    billed
        Shape ``(m,)``: amount on the invoice, in the line's currency.
    coded, audited, is_leak
        Shape ``(m,)``: has an approval code; was audited; leaks.
    kind
        Shape ``(m,)``: code of the kind of leak, were it one.
    amount
        Shape ``(m,)``: what is missing, in the home currency; 0 without a leak.
    posterior
        Shape ``(m,)``: P(leak | the line).
    """

    billed: Floats
    coded: npt.NDArray[np.bool_]
    audited: npt.NDArray[np.bool_]
    is_leak: npt.NDArray[np.bool_]
    kind: Ints
    amount: Floats
    posterior: Floats


def billing_tables(
    random: np.random.Generator, firm: Firm, clients: Clients
) -> dict[str, pa.Table]:
    """Give all that bills make of a block of clients.

    ``contracts``, ``invoices``, ``invoice_lines``, ``audits``, ``revenue_leak`` and its truth,
    and the ``engagements``, ``staff`` and ``timesheets`` behind the hours.
    """
    lines, terms = draw_lines(random, firm, clients)
    bills = _bill(random, lines)
    # A generator of its own: the bills stay as they are whatever is drawn for the staff.
    [staff_random] = random.spawn(1)
    line_id = _line_ids(lines, clients)
    engagement_id, engagements = engagement_table(firm, clients, lines)
    keys = {"engagement_id": engagement_id, "invoice_line_id": line_id}
    return (
        _tables(firm, clients, lines, bills=bills, terms=terms, line_id=line_id)
        | {"engagements": engagements}
        | staff_tables(staff_random, firm, clients, lines=lines, keys=keys)
    )


def _bill(random: np.random.Generator, lines: Lines) -> Bills:
    """Draw leaks, approved deviations, noise, approval codes and audits."""
    count = len(lines.row)
    sizes, possible = leaks.kind_sizes(random, lines)
    share = leaks.leak_share(lines)
    drawn = random.random(count)
    is_leak = drawn < share
    is_benign = ~is_leak & (drawn < share + leaks.BENIGN_SHARE)
    weights = leaks.KIND_WEIGHTS * possible
    cumulated = (weights / weights.sum(axis=1, keepdims=True)).cumsum(axis=1)
    kind = (random.random(count)[:, None] > cumulated).sum(axis=1).clip(0, len(leaks.KINDS) - 1)
    benign_size = leaks.LEAST_SIZE + leaks.SIZE_SPAN * random.beta(*leaks.BENIGN_SHAPES, count)
    size = np.where(is_leak, sizes[np.arange(count), kind], np.where(is_benign, benign_size, 0.0))
    noise = leaks.NOISE * random.standard_t(leaks.NOISE_FREEDOM, count)
    billed = (lines.due_amount * (1 - size) * np.exp(noise)).round(2)
    code_share = np.where(
        is_leak,
        leaks.CODE_IF_LEAK,
        np.where(is_benign, leaks.CODE_IF_BENIGN, leaks.CODE_ELSE),
    )
    coded = random.random(count) < code_share
    log_gap = np.log(billed / lines.due_amount)
    return Bills(
        billed=billed, coded=coded, audited=random.random(count) < _AUDITED_SHARE,
        is_leak=is_leak, kind=kind,
        amount=np.where(is_leak, lines.due_amount * size / lines.fx, 0.0).round(2),
        posterior=leaks.leak_posterior(
            lines, log_gap=log_gap, coded=coded, share=share, possible=possible
        ),
    )  # fmt: skip


def _line_ids(lines: Lines, clients: Clients) -> pa.Array:
    """Number the lines of each client in the order of time; lines come sorted by client."""
    starts = np.searchsorted(lines.row, np.arange(len(clients.number)))
    place = np.arange(len(lines.row)) - starts[lines.row]
    return pa.array(
        [f"L{n:07d}-{p:04d}" for n, p in zip(clients.number[lines.row], place, strict=True)]
    )


def _tables(
    firm: Firm, clients: Clients, lines: Lines, *, bills: Bills, terms: Terms, line_id: pa.Array
) -> dict[str, pa.Table]:
    months = (firm.first_month + lines.month).astype("datetime64[M]").astype("datetime64[us]")
    # Every invoice of a month is written on its 28th, the last day that each month has.
    as_of = pa.array(months + np.timedelta64(27, "D"), pa.timestamp("us", tz="UTC"))
    client = pa.array(clients.names[lines.row])
    keys = {"invoice_line_id": line_id, "client_id": client, "as_of": as_of}
    seen = _seen(clients, lines, bills)
    labels = {
        "leak": pa.array(bills.is_leak.astype(np.int64), mask=~bills.audited),
        "leak_amount": pa.array(bills.amount, mask=~bills.audited),
    }
    truth = {
        "invoice_line_id": line_id,
        "is_leak": pa.array(bills.is_leak),
        "leak_type": pa.array(np.where(bills.is_leak, np.array(leaks.KINDS)[bills.kind], "none")),
        "leak_amount": pa.array(bills.amount),
        "posterior": pa.array(bills.posterior),
    }
    table = pa.table(keys | seen | labels)
    audits = table.select(["invoice_line_id", "leak", "leak_amount"])
    invoice_id, invoices = _invoices(clients, lines, bills, as_of)
    return {
        "contracts": contract_table(firm, clients, terms),
        "invoices": invoices,
        "invoice_lines": pa.table(keys | {"invoice_id": invoice_id} | seen),
        "audits": audits.filter(pa.array(bills.audited)),
        "revenue_leak": table,
        "truth_revenue_leak": pa.table(truth),
    }


def _invoices(
    clients: Clients, lines: Lines, bills: Bills, as_of: pa.Array
) -> tuple[pa.Array, pa.Table]:
    """Give the invoice of each line, and the invoices: one a client and month."""
    invoice_id = pa.array(
        [f"I{n:07d}-{m:03d}" for n, m in zip(clients.number[lines.row], lines.month, strict=True)]
    )
    key = lines.row * (lines.month.max(initial=0) + 1) + lines.month
    _, first, of_line = np.unique(key, return_index=True, return_inverse=True)
    total = np.bincount(of_line, weights=bills.billed, minlength=len(first)).round(2)
    issued = as_of.take(pa.array(first))
    days = np.timedelta64(_DAYS_TO_PAY, "D")
    due = issued.cast(pa.int64()).to_numpy().astype("datetime64[us]") + days
    invoices = {
        "invoice_id": invoice_id.take(pa.array(first)),
        "client_id": pa.array(clients.names[lines.row[first]]),
        "as_of": issued,
        "due_at": pa.array(due, pa.timestamp("us", tz="UTC")),
        "currency": pa.array(np.array(CURRENCIES)[clients.currency[lines.row[first]]]),
        "lines_count": pa.array(np.bincount(of_line, minlength=len(first)).astype(np.int64)),
        "invoice_currency_amount": pa.array(total),
    }
    return invoice_id, pa.table(invoices)


def _seen(clients: Clients, lines: Lines, bills: Bills) -> dict[str, pa.Array]:
    """What the firm knows of a line once it is billed."""
    return {
        "service_line": pa.array(np.array(SERVICES)[lines.service]),
        "grade": pa.array(np.array(GRADES)[lines.grade]),
        "contract_type": pa.array(np.array(CONTRACTS)[clients.contract[lines.row]]),
        "currency": pa.array(np.array(CURRENCIES)[clients.currency[lines.row]]),
        "worked_hours": pa.array(lines.hours),
        "list_rate_amount_per_hour": pa.array(lines.list_rate),
        "contract_rate_amount_per_hour": pa.array(lines.rate),
        "agreed_discount_ratio": pa.array(lines.discount),
        "tier_discount_ratio": pa.array(lines.tier_discount),
        "tier_from_hours": pa.array(lines.tier_hours),
        "minimum_fee_amount": pa.array(lines.minimum),
        "fx_rate": pa.array(lines.fx),
        "contract_amount": pa.array((lines.due_amount / lines.fx).round(2)),
        "uplift_ratio": pa.array(lines.uplift),
        "months_since_uplift": pa.array(lines.uplift_age, mask=lines.uplift_age < 0),
        "junior_biller": pa.array(lines.junior_biller > 0),
        "approval_code": pa.array(bills.coded),
        "billed_amount": pa.array((bills.billed / lines.fx).round(2)),
    }
