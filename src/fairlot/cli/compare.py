"""``compare``: this mechanism beside others on the same input."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairlot.cli.output import FolderArgument, JsonOption, Output, QuietOption, verb, warned

if TYPE_CHECKING:
    from fairlot.baselines.comparison import Comparison, Row

MechanismOption = Annotated[
    list[str] | None,
    typer.Option("--mechanism", metavar="NAME", help="Only this one; may be repeated. Default all."),
]
DrawsOption = Annotated[int, typer.Option("--draws", min=2, help="Draws of each mechanism.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The same for all mechanisms.")]
LimitOption = Annotated[
    float, typer.Option("--time-limit", metavar="SECONDS", min=0.1, help="For each mechanism.")
]
TableOption = Annotated[
    Path | None, typer.Option("--out", metavar="TABLE", help="Also write a .csv or .parquet table.")
]


def compare(
    folder: FolderArgument,
    mechanism: MechanismOption = None,
    draws: DrawsOption = 100,
    seed: SeedOption = 0,
    time_limit: LimitOption = 60.0,
    out: TableOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Set this mechanism beside others: welfare, envy, waste, clearing, incentives, time."""
    with verb(as_json, quiet) as output:
        from fairlot.baselines.comparison import compare_mechanisms
        from fairlot.io.comparison import comparison_records, refuse_table, write_table
        from fairlot.io.problem import read_problem
        from fairlot.progress import NullReporter, RichReporter

        with warned():
            problem = read_problem(folder)
        if out is not None:
            refuse_table(out)  # before the work, not after it
        silent = output.quiet or output.as_json
        with nullcontext(NullReporter()) if silent else RichReporter() as reporter:
            found = compare_mechanisms(
                problem, mechanism, n_draws=draws, seed=seed, time_limit=time_limit, reporter=reporter
            )
        records = comparison_records(found)
        if out is not None:
            write_table(out, records)
        _tell(output, found, records)
        if out is not None:
            output.say(f"Wrote {out}")
        output.data(
            {"folder": str(folder), "draws": draws, "seed": seed, "time_limit": time_limit, "rows": records}
        )


def _tell(output: Output, found: Comparison, records: list[dict[str, Any]]) -> None:
    from fairlot.model.market import PseudoMarket

    if isinstance(found.problem, PseudoMarket):
        _tell_goods(output, found, records)
    else:
        _tell_tasks(output, found, records)


def _tell_goods(output: Output, found: Comparison, records: list[dict[str, Any]]) -> None:
    output.say(f"{'':28}{'of her best':^12}{'envious %':^12}{'seats':^13}{'gain':>5}  truth")
    output.say(f"{'':28}{'mean':>6}{'worst':>6}{'before':>7}{'after':>6}{'waste':>6}{'over':>5}{'%':>7}")
    for row, record in zip(found.rows, records, strict=True):
        title = f"{row.mechanism.title[:28]:28}"
        if row.measures is None:
            output.tell(f"{title} {row.note}")
            continue
        truth = {"obvious": "obvious", "dominant": "best", "no": "no"}[record["truth"]]
        output.say(
            f"{title}{_figure(record['welfare'], 6, 3)}{_figure(record['worst_off'], 6, 3)}"
            f"{_figure(record['envious_ex_ante'], 7, 0, 100)}{_figure(record['envious_ex_post'], 6, 0, 100)}"
            f"{_figure(record['waste'], 6, 1)}{_figure(record['clearing_over'], 5, 1)}"
            f"{_figure(record['improvement'], 7, 2, 100)}  {truth}"
        )
    output.say()
    output.say("of her best: expected utility relative to the most she could hold, mean and worst")
    output.say("envious: who would rather have another's lottery (before), or bundle (after)")
    output.say("waste: seats left that somebody wants; over: seats given that are not there")
    output.say("gain: what all could gain on average with nobody losing; 0 is efficient")
    output.say("truth: whether it is a best report; if not, --json tells who gains by which lie")
    _costs(output, found.rows)
    for row, record in zip(found.rows, records, strict=True):
        if row.measures is not None and record["clearing_error"] is not None:
            output.tell(
                f"{row.mechanism.title}: clearing error {record['clearing_error']:.3g} (over "
                f"{record['clearing_over']:.3g}, left at a price {record['clearing_under']:.3g}); {row.note}"
            )
        if row.measures is not None and record["broken_quotas"]:
            output.say(f"{row.mechanism.title}: breaks quotas by {record['broken_quotas']:.3g} a draw")


def _tell_tasks(output: Output, found: Comparison, records: list[dict[str, Any]]) -> None:
    output.say(f"{'':28}{'saving %':>9}{'95%':^15}{'least %':>8}{'own load %':>11}  obvious")
    total = abs(getattr(found.problem, "status_quo_cost", 1.0)) or 1.0
    for row, record in zip(found.rows, records, strict=True):
        title = f"{row.mechanism.title[:28]:28}"
        if row.measures is None:
            output.tell(f"{title} {row.note}")
            continue
        low, high = (_figure(record[key], 0, 2, 100 / total) for key in ("saving_low", "saving_high"))
        output.say(
            f"{title}{_figure(record['saving'], 9, 2, 100 / total)}{f'{low} to {high}':^15}"
            f"{_figure(record['least_saving'], 8, 2, 100 / total)}"
            f"{_figure(record['load_change'], 11, 2, 100)}  "
            f"{'yes' if record['obviously_strategy_proof'] else 'no'}"
        )
    output.say()
    output.say("saving: of the status quo's cost, over draws of everybody's preferences")
    output.say("own load: change of the load as people see it themselves")
    output.say("obvious: whether the truth is obviously the best pick")
    for row, record in zip(found.rows, records, strict=True):
        if row.measures is not None and not record["obviously_strategy_proof"]:
            output.tell(f"{row.mechanism.title}: {row.note}")
    _costs(output, found.rows)


def _costs(output: Output, rows: tuple[Row, ...]) -> None:
    runs = [f"{row.mechanism.name} {row.seconds:.2g} s" for row in rows if row.seconds]
    if runs:
        output.tell(f"seconds: {', '.join(runs)}")


def _figure(number: float | None, width: int, digits: int, scale: float = 1.0) -> str:
    # z: what is rounded to zero has no sign
    return f"{'-':>{width}}" if number is None else f"{number * scale:z{width}.{digits}f}"
