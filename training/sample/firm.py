"""Simulates the whole firm block by block and writes its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.sample.billing import billing_tables
from training.sample.clients import (
    CONTRACTS,
    CURRENCIES,
    MANAGERS,
    MONTHS_A_QUARTER,
    REGIONS,
    SECTORS,
    SEGMENTS,
    Clients,
    Firm,
    make_clients,
)
from training.sample.delivery import delivery_tables
from training.sample.demand import demand_tables
from training.sample.marketing import marketing_tables
from training.sample.quotes import quote_tables
from training.sample.records import record_tables
from training.sample.retention import churn_tables
from training.sample.signals import signal_tables

# Clients at a time: bounds the memory, whatever the size of the firm.
BLOCK_CLIENTS = 2_000
# The simulation ends here, so that no row ever lies in the future.
_END_MONTH = (2026 - 1970) * 12
_DRIFT_SHARE = 0.75


def simulate(
    out: Path,
    *,
    clients: int,
    months: int,
    seed: int,
    drift: bool = False,
    progress: Callable[[str, float], None] | None = None,
) -> dict[str, Path]:
    """Simulate a services firm and write its tables as Parquet.

    The same arguments give the same bytes. Truth stands in tables of its own (``truth_*``) that
    the product never reads.

    Parameters
    ----------
    out
        Folder to write to; made when absent.
    clients
        How many clients, at least 1.
    months
        How many months, at least 15, ending with 2025; whole quarters are simulated.
    seed
        Seed of everything.
    drift
        Whether the last quarter of the time is another world: the share of clients that leaves
        grows by two fifths, buyers react less to prices (x .8), and the new clients are of another
        sort (small monthly contracts of one sector).
    progress
        Told what is under way and the share done, 0 to 1.

    Raises
    ------
    OSError
        The folder cannot be made or written.

    Returns
    -------
    dict
        Path of each table by name.
    """
    out.mkdir(parents=True, exist_ok=True)
    quarters = months // MONTHS_A_QUARTER
    drift_from = round(quarters * _DRIFT_SHARE) if drift else quarters
    firm = Firm(quarters, _END_MONTH - quarters * MONTHS_A_QUARTER, drift_from)
    market_seed, *block_seeds = np.random.SeedSequence(seed).spawn(1 + -(-clients // BLOCK_CLIENTS))
    with ExitStack() as stack:
        tables = _Tables(out, stack)
        random = np.random.default_rng(market_seed)
        tables.write(marketing_tables(random, firm))
        tables.write(demand_tables(random, firm))
        tables.write(signal_tables(random, firm))
        for number, block_seed in enumerate(block_seeds):
            if progress is not None:
                progress("clients", number / len(block_seeds))
            first = number * BLOCK_CLIENTS
            count = min(BLOCK_CLIENTS, clients - first)
            _write_block(tables, firm, np.random.default_rng(block_seed), first, count)
        if progress is not None:
            progress("clients", 1.0)
        return tables.paths


def _write_block(
    tables: _Tables, firm: Firm, random: np.random.Generator, first: int, count: int
) -> None:
    block = make_clients(random, firm, first=first, count=count)
    tables.write({"clients": _client_table(firm, block)})
    tables.write({"interactions": _interaction_table(firm, block)})
    tables.write(churn_tables(firm, block))
    for make in (delivery_tables, billing_tables, quote_tables, record_tables):
        tables.write(make(random, firm, block))


class _Tables:
    """Writes blocks of tables, one Parquet file each."""

    def __init__(self, out: Path, stack: ExitStack) -> None:
        self._out = out
        self._stack = stack
        self._writers: dict[str, pq.ParquetWriter] = {}
        self.paths: dict[str, Path] = {}

    def write(self, tables: Mapping[str, pa.Table]) -> None:
        for name, table in tables.items():
            if name not in self._writers:
                self.paths[name] = self._out / f"{name}.parquet"
                writer = pq.ParquetWriter(self.paths[name], table.schema, compression="zstd")
                self._writers[name] = self._stack.enter_context(writer)
            self._writers[name].write_table(table)


def _client_table(firm: Firm, block: Clients) -> pa.Table:
    """Clients with their contracts."""
    begin = (firm.first_month + block.begin * MONTHS_A_QUARTER).astype("datetime64[M]")
    left = block.end <= firm.quarters
    end = firm.first_month + np.minimum(block.end, firm.quarters) * MONTHS_A_QUARTER
    return pa.table(
        {
            "client_id": pa.array(block.names),
            "sector": pa.array(np.array(SECTORS)[block.sector]),
            "region": pa.array(np.array(REGIONS)[block.region]),
            "segment": pa.array(np.array(SEGMENTS)[block.segment]),
            "contract_type": pa.array(np.array(CONTRACTS)[block.contract]),
            "currency": pa.array(np.array(CURRENCIES)[block.currency]),
            "account_manager": pa.array([f"M{m % MANAGERS:02d}" for m in block.manager]),
            "monthly_amount": pa.array(block.monthly_amount),
            "client_since": pa.array(begin.astype("datetime64[D]")),
            "client_until": pa.array(
                end.astype("datetime64[M]").astype("datetime64[D]"), mask=~left
            ),
        }
    )


def _interaction_table(firm: Firm, block: Clients) -> pa.Table:
    """CRM touches: one row for a client and a quarter in which it was served, on its last day."""
    quarters = np.arange(firm.quarters)
    served = (block.begin[:, None] <= quarters) & (quarters < block.end[:, None])
    row, quarter = np.nonzero(served)
    columns: dict[str, pa.Array] = {
        "client_id": pa.array(block.names[row]),
        "as_of": pa.array(
            firm.day(quarter + 1) - np.timedelta64(1, "D"), pa.timestamp("us", tz="UTC")
        ),
    }
    for name, values in block.traits.items():
        # Nobody knows the score of a client who was not asked, here as little as in ``churn``.
        unknown = ~block.nps_asked[row, quarter] if name == "nps" else None
        columns[name] = pa.array(values[row, quarter], mask=unknown)
    return pa.table(columns)
