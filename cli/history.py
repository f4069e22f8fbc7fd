"""`septet history`: what was predicted, and what then happened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from cli.sheet import show, shown

if TYPE_CHECKING:
    from cli.asking import Asker

history = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ask a running platform what was predicted, how that went over time, and what then "
    "happened.\n\nExample: `septet history trends churn --by week -o churn.png`",
)

_Model = Annotated[str, typer.Argument(help="Name of the model, such as churn.")]
_Since = Annotated[str | None, typer.Option(help="From when: 30d ago, or 2030-01-31.")]
_Until = Annotated[str | None, typer.Option(help="Before when; now without it.")]
_Where = Annotated[
    list[str] | None, typer.Option(help="A level, as region:north; may be given again.")
]
_More = Annotated[
    list[str] | None,
    typer.Option("--with", help="Another parameter of the route, as version=3; may be repeated."),
]
_Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Write to this file, in the form that its name ends in."),
]
_Url = Annotated[str | None, typer.Option(help="Address of the platform.")]
_KeyFile = Annotated[
    Path | None, typer.Option(help="File that holds the key; SEPTET_KEY without it.")
]
_Query = dict[str, str | list[str]]
# Of an entity: `measure` says the model again.
_SEEN = ("at", "model", "value", "unit", "outcome", "found_by", "version")
# What two sides are compared for, before the units and intervals of it.
_COMPARED = ("measure", "a", "b", "difference", "effect (effect size)", "size")


@history.command()
def predictions(
    model: _Model,
    *,
    since: _Since = None,
    until: _Until = None,
    entity: Annotated[str | None, typer.Option(help="Whom they are about.")] = None,
    where: _Where = None,
    more: _More = None,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, help="Most rows; over 1,000 into .csv, .parquet or .arrow alone."
        ),
    ] = 20,
    output: _Output = None,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """List predictions, the newest first, or write them to a .csv, .parquet, .arrow or .json file.

    Example: `septet history predictions churn --since 7d --where region:north -o last-week.csv`
    """
    query = _query(since, until, where, more) | {"model": model, "limit": str(limit)}
    if entity is not None:
        query["entity"] = entity
    asker = _asker(url, key_file)
    path = "/api/history/predictions"
    if output is not None:
        _write(asker, path, query, output, forms=("csv", "parquet", "arrow", "json"))
        return
    page = asker.get(path, query)
    found = page["predictions"]
    results = list(dict.fromkeys(name for one in found for name in one["result"]))
    before, after = ["prediction_id", "at", "entity"], ["version", "source"]
    rows = [
        [
            *(one[name] for name in before),
            *(one["result"].get(name) for name in results),
            *(one[name] for name in after),
        ]
        for one in found
    ]
    show([*before, *results, *after], rows, page, whole="-o all.csv")


@history.command()
def receipt(
    prediction_id: Annotated[str, typer.Argument(help="Id of an answer.")],
    *,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Show all that is known of one prediction: input, answer, release, outcome.

    Example: `septet history receipt 01a208e3-aa18-7595-b18e-361f686aad6c`
    """
    from cli.screen import out

    out().print_json(data=_asker(url, key_file).get(f"/api/history/predictions/{prediction_id}"))


@history.command()
def trends(
    model: _Model,
    *,
    by: Annotated[str, typer.Option(help="hour, day, week or month.")] = "day",
    measure: Annotated[
        list[str] | None,
        typer.Option(help="volume, value, flagged, latency, errors, outcomes; may be repeated."),
    ] = None,
    group: Annotated[str | None, typer.Option(help="version, caller, source, or an input.")] = None,
    since: _Since = None,
    until: _Until = None,
    where: _Where = None,
    more: _More = None,
    output: _Output = None,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Show how predictions went over time, or draw it into a .png or .svg file.

    Example: `septet history trends churn --by week --group segment -o churn.png`
    """
    query = _query(since, until, where, more) | {"model": model, "by": by}
    if measure:
        query["measure"] = measure
    if group is not None:
        query["group"] = group
    _series(_asker(url, key_file), "/api/history/trends", query, output)


@history.command()
def compare(
    model: _Model,
    versus: Annotated[
        str, typer.Argument(help="version:2, region:south, or period:<since>/<until>.")
    ],
    *,
    since: _Since = None,
    until: _Until = None,
    where: _Where = None,
    more: _More = None,
    output: _Output = None,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Hold two versions, periods or segments against each other, with effect sizes.

    Example: `septet history compare churn region:south --where region:north -o regions.png`
    """
    query = _query(since, until, where, more) | {"model": model, "versus": versus}
    _series(_asker(url, key_file), "/api/history/compare", query, output, first=_COMPARED)


@history.command()
def feature(
    model: _Model,
    name: Annotated[str, typer.Argument(help="Name of the input.")],
    *,
    by: Annotated[str, typer.Option(help="hour, day, week or month.")] = "week",
    since: _Since = None,
    until: _Until = None,
    where: _Where = None,
    more: _More = None,
    output: _Output = None,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Show how an input was distributed over time, against training.

    Example: `septet history feature churn nps --since 180d -o nps.png`
    """
    query = _query(since, until, where, more) | {"model": model, "by": by}
    _series(_asker(url, key_file), f"/api/history/features/{quote(name, safe='')}", query, output)


@history.command()
def entity(
    name: Annotated[str, typer.Argument(help="Id of a client, as rows name it.")],
    *,
    since: _Since = None,
    until: _Until = None,
    output: _Output = None,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Show one client as all models saw it.

    Example: `septet history entity C0000017 --since 365d -o client.svg`
    """
    query = _query(since, until, None, None)
    _series(
        _asker(url, key_file), f"/api/history/entities/{quote(name)}", query, output, first=_SEEN
    )


@history.command()
def outcomes(
    model: _Model,
    *,
    state: Annotated[str, typer.Option(help="all, matched or unmatched.")] = "all",
    since: _Since = None,
    until: _Until = None,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """List outcomes as they came in, and to how many predictions each belongs.

    Example: `septet history outcomes churn --state unmatched`
    """
    query = _query(since, until, None, None) | {"model": model, "state": state}
    page = _asker(url, key_file).get("/api/history/outcomes", query)
    names = ["at", "prediction_id", "entity", "as_of", "value", "amount", "predictions"]
    rows = [[one[name] for name in names] for one in page["outcomes"]]
    show(names, rows, page, first=("at", "prediction_id", "entity", "value"))
    from cli.screen import err

    err().print(f"{page['matched']:,} belong to a prediction, {page['unmatched']:,} to none so far")


@history.command()
def erase(
    name: Annotated[str, typer.Argument(help="Id of a client, as rows name it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Erase all that was predicted of an entity until now, of every model; for good.

    Example: `septet history erase C0000017 --yes`
    """
    from cli.screen import out

    asker = _asker(url, key_file)
    if not yes:
        typer.confirm(f"Erase all that was predicted of {name}, for good?", abort=True)
    page = asker.delete(f"/api/history/entities/{quote(name)}")
    out().print("It begins within seconds. How far it is, and then the proof:")
    # Never folded: it is there to be copied.
    out().print(f"septet history erasure {page['erasure_id']}", soft_wrap=True)


@history.command()
def erasure(
    erasure_id: Annotated[str, typer.Argument(help="Id that `erase` gave.")],
    *,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Show how far an erasure is, and the proof once it is done.

    Example: `septet history erasure 0f1d2e3c4b5a6978a7b6c5d4e3f2a1b0`
    """
    from cli.screen import out

    out().print_json(data=_asker(url, key_file).get(f"/api/history/erasures/{erasure_id}"))


def replay(
    prediction_id: Annotated[str, typer.Argument(help="Id of an answer.")],
    *,
    version: Annotated[
        str | None, typer.Option(help="Another version; the one that answered without it.")
    ] = None,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Ask a prediction again, and show in what the answers differ.

    Example: `septet replay 01a208e3-aa18-7595-b18e-361f686aad6c --version 4`
    """
    from rich.text import Text

    from cli.screen import err, out

    asked = {} if version is None else {"version": version}
    path = f"/api/history/predictions/{prediction_id}/replay"
    page = _asker(url, key_file).post(path, asked)
    for note in page["notes"]:
        err().print(note, markup=False, style="dim")
    head = f"{page['model']} version {page['version']}, asked again of {page['replayed_version']}"
    if page["refused"] is not None:
        out().print(f"{head}: it refuses the row. {page['refused']}", markup=False)
        return
    out().print(f"{head}: {'the same, byte for byte' if page['identical'] else 'it differs'}")
    for one in page["differences"]:
        line = f"{one['field']}: {shown(one['was'])} → {shown(one['now'])}"
        out().print(Text(line), soft_wrap=True)


def backtest(
    model: _Model,
    against: Annotated[str, typer.Argument(help="Version that answers again.")],
    *,
    since: _Since = None,
    until: _Until = None,
    url: _Url = None,
    key_file: _KeyFile = None,
) -> None:
    """Let a version answer again all that a model was asked in a period, and wait for the result.

    Example: `septet backtest churn 4 --since 90d`
    """
    from cli.backtests import wait_for
    from cli.screen import err, out

    asker = _asker(url, key_file)
    asked = _query(since, until, None, None) | {"model": model, "against": against}
    page = asker.post("/api/history/backtests", asked)
    with err().status("asks again") as status:

        def show_rows(rows: int) -> None:
            status.update(f"asks again: {rows:,} so far")

        page = wait_for(asker, page, show=show_rows)
    out().print_json(data=page)


def _asker(url: str | None, key_file: Path | None) -> Asker:
    """Give what asks the platform."""
    from cli.asking import Asker, platform_url, read_key
    from core.settings import load_settings

    return Asker(url or platform_url(load_settings()), read_key(key_file))


def _query(
    since: str | None, until: str | None, where: Sequence[str] | None, more: Sequence[str] | None
) -> _Query:
    """Write the parameters that many questions have."""
    from cli.duration import read_moment

    found: _Query = {}
    for name, text in (("since", since), ("until", until)):
        if text is not None:
            found[name] = read_moment(text, option=f"--{name}", ahead=False).isoformat()
    if where:
        found["where"] = list(where)
    for pair in more or ():
        name, _, value = pair.partition("=")
        found[name] = value
    return found


def _series(
    asker: Asker, path: str, query: _Query, output: Path | None, *, first: Sequence[str] = ()
) -> None:
    """Show a series as a table, or write it to a file."""
    if output is not None:
        _write(asker, path, query, output, forms=("png", "svg", "json"))
        return
    page = asker.get(path, query)
    names = [
        column["name"] + (f" ({column['unit']})" if column["unit"] else "")
        for column in page["columns"]
    ]
    show(names, page["rows"], page, first=first, whole="-o all.json")


def _write(asker: Asker, path: str, query: _Query, output: Path, *, forms: Sequence[str]) -> None:
    """Write an answer to a file."""
    from cli.screen import err
    from core.errors import FieldProblem
    from core.refusals import FieldsInvalid

    form = output.suffix.lower().removeprefix(".")
    if form not in forms:
        allowed = f"a name that ends in .{', .'.join(forms)} is allowed"
        raise FieldsInvalid([FieldProblem("--output", f"is {output.name[:80]!r}", allowed)])
    found = asker.download(path, {**query, "format": form})
    try:
        output.write_bytes(found.content)
    except OSError as error:
        wrong = f"cannot be written: {error.strerror}"
        allowed = "a file in a folder that is there is allowed"
        raise FieldsInvalid([FieldProblem("--output", wrong, allowed)]) from error
    err().print(f"Written: {output}", markup=False, soft_wrap=True)
    if found.notes:
        err().print(found.notes, markup=False)
