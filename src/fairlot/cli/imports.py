"""``import``: other people's formats into problem folders, by asking or by flags."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairlot.cli.output import JsonOption, Output, QuietOption, verb

if TYPE_CHECKING:
    from fairlot.io.formats.columns import Question
    from fairlot.io.formats.draft import Draft
    from fairlot.io.formats.mapping import ColumnMapping

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="Spreadsheet, PrefLib file, or fairpyx instance as .json.")
]
OutFolderOption = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Problem folder to write: new or empty.")
]
MappingOption = Annotated[
    Path | None,
    typer.Option("--mapping", metavar="FILE", help="What the columns mean: last term's mapping.toml."),
]
LayoutOption = Annotated[
    str | None, typer.Option("--layout", help="long (a row per pair), wide (a column per good) or choices.")
]
HeaderOption = Annotated[int | None, typer.Option("--header-row", min=1, help="Row of the header.")]
AgentOption = Annotated[str | None, typer.Option("--agent-column", help="Column of agents' ids.")]
GoodsOption = Annotated[
    list[str] | None,
    typer.Option("--good-column", help="Column of goods' ids; wide or choices: each of them."),
]
ValueOption = Annotated[str | None, typer.Option("--value-column", help="Column of values or ranks.")]
ScaleOption = Annotated[
    str | None, typer.Option("--scale", help="value (more is better) or rank (1 is best).")
]
DecimalOption = Annotated[str | None, typer.Option("--decimal", help="point or comma.")]
CapacitiesOption = Annotated[
    Path | None, typer.Option("--capacities", metavar="FILE", help="Table of goods and their capacities.")
]
CapacityOption = Annotated[
    str | None, typer.Option("--capacity-column", help="Long layout: column of the goods' capacities.")
]
SeatsOption = Annotated[int | None, typer.Option("--seats", min=0, help="Capacity of every good.")]
BudgetOption = Annotated[str | None, typer.Option("--budget-column", help="Column of agents' budgets.")]
LoadOption = Annotated[
    str | None, typer.Option("--load", help="Goods one agent may get at most: a number, or a column.")
]
TitleOption = Annotated[str | None, typer.Option("--title", help="Title of the problem, for people.")]


def import_(
    file: FileArgument,
    out: OutFolderOption,
    mapping: MappingOption = None,
    layout: LayoutOption = None,
    header_row: HeaderOption = None,
    agent_column: AgentOption = None,
    good_column: GoodsOption = None,
    value_column: ValueOption = None,
    scale: ScaleOption = None,
    decimal: DecimalOption = None,
    capacities: CapacitiesOption = None,
    capacity_column: CapacityOption = None,
    seats: SeatsOption = None,
    budget_column: BudgetOption = None,
    load: LoadOption = None,
    title: TitleOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn a spreadsheet, a PrefLib file or a fairpyx instance into a problem folder."""
    with verb(as_json, quiet) as output:
        from dataclasses import replace

        from fairlot.io.folders import write_folder
        from fairlot.io.formats.mapping import ColumnMapping, read_mapping

        said = ColumnMapping(
            layout=_one_of("--layout", layout, ("long", "wide", "choices")),
            header_row=header_row,
            agent=agent_column,
            goods=tuple(good_column or ()),
            value=value_column,
            scale=_one_of("--scale", scale, ("value", "rank")),
            decimal=_one_of("--decimal", decimal, ("point", "comma")),
            capacity=capacity_column,
            seats=seats,
            budget=budget_column,
            load=int(load) if load is not None and load.isdecimal() and len(load) < 10 else load,
        )
        if mapping is not None:
            said = said.over(read_mapping(mapping.read_bytes(), str(mapping)))
        data = file.read_bytes()
        ask = _asks(output)
        draft, extra = _read(file, data, said, capacities, ask)
        if title is not None:
            draft = replace(draft, title=title)
        files = {**draft.files(), **extra}
        write_folder(out, files)
        for note in draft.notes:
            output.say(note)
        for warning in draft.warnings:
            if not quiet:
                typer.echo(f"warning: {warning}", err=True)
        output.say(f"Wrote {out}: {', '.join(files)}")
        output.say(f"Look it over, add rules to problem.toml, then: fairlot check {out}")
        output.data(
            {
                "file": str(file),
                "folder": str(out),
                "files": list(files),
                "understood": list(draft.notes),
                "warnings": list(draft.warnings),
            }
        )


def _one_of(option: str, value: str | None, options: tuple[str, ...]) -> str | None:
    if value is not None and value not in options:
        from fairlot.errors import InvalidProblemError, Issue

        raise InvalidProblemError([Issue(f"{option}: not known", found=value, expected=" or ".join(options))])
    return value


def _asks(output: Output) -> bool:
    """Say whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not (output.as_json or output.quiet)


def _read(
    file: Path, data: bytes, said: ColumnMapping, capacities: Path | None, ask: bool
) -> tuple[Draft, dict[str, bytes]]:
    """Read a file by its ending; a spreadsheet comes with the mapping of its columns."""
    from fairlot.errors import InvalidProblemError, Issue
    from fairlot.io.formats.columns import Question
    from fairlot.io.formats.fairpyx import read_fairpyx
    from fairlot.io.formats.preflib import KINDS, preflib_draft, read_preflib
    from fairlot.io.formats.sheet import ENDINGS

    ending = file.suffix.lower()
    if ending == ".json":
        _refuse_others(file.name, said, capacities, ())
        return read_fairpyx(data, file.name), {}
    if ending.removeprefix(".") in KINDS:
        _refuse_others(file.name, said, capacities, ("seats", "load"))
        content = read_preflib(data, file.name)
        open_ = [
            Question("seats", "how many seats has every good?", "--seats N"),
            Question("load", "how many goods may one agent get at most?", "--load N"),
        ]
        said = _answered(file.name, said, [q for q in open_ if getattr(said, q.key) is None], ask)
        if not isinstance(said.load, int):
            raise InvalidProblemError(
                [Issue("--load: PrefLib has no columns", found=str(said.load), expected="a number")]
            )
        return preflib_draft(content, said.seats or 0, said.load, file.name), {}
    if ending in ENDINGS:
        return _read_spreadsheet(file, data, said, capacities, ask)
    known = ", ".join((*ENDINGS, ".json", *(f".{kind}" for kind in KINDS)))
    raise InvalidProblemError([Issue("format not known", file.name, found=ending, expected=known)])


def _refuse_others(file: str, said: ColumnMapping, capacities: Path | None, known: Sequence[str]) -> None:
    """Refuse what was said about a file that has no columns: it would be without effect."""
    from dataclasses import fields

    from fairlot.errors import InvalidProblemError, Issue

    given = [f.name for f in fields(said) if getattr(said, f.name) not in (None, ()) and f.name not in known]
    given += ["capacities"] if capacities is not None else []
    expected = (
        f"only {' and '.join(f'--{name}' for name in known)}" if known else "none: the file says it all"
    )
    if given:
        raise InvalidProblemError(
            [
                Issue(
                    f"options for spreadsheets: {', '.join(given)}",
                    file,
                    expected=f"{expected}; edit the tables then",
                )
            ]
        )


def _read_spreadsheet(
    file: Path, data: bytes, said: ColumnMapping, capacities: Path | None, ask: bool
) -> tuple[Draft, dict[str, bytes]]:
    from dataclasses import replace

    from fairlot.io.formats.columns import understand
    from fairlot.io.formats.mapping import MAPPING, write_mapping
    from fairlot.io.formats.sheet import read_sheet
    from fairlot.io.formats.spreadsheet import capacity_columns, spreadsheet_draft

    sheet = read_sheet(data, file.name, said.header_row)
    goods: tuple[str, ...] = ()
    seats = None
    if capacities is not None:
        seats = read_sheet(capacities.read_bytes(), capacities.name).table
        goods = tuple(seats[capacity_columns(seats)[0]])
    mapping, questions = understand(sheet.table, said, goods)
    if questions and ask:
        typer.echo("\n".join((*sheet.notes, f"columns: {', '.join(sheet.table.columns)}")))
    while questions:
        said = _answered(file.name, said, questions, ask)
        mapping, questions = understand(sheet.table, said, goods)
    draft = spreadsheet_draft(sheet.table, mapping, seats)
    return replace(draft, notes=(*sheet.notes, *draft.notes)), {MAPPING: write_mapping(mapping)}


def _answered(file: str, said: ColumnMapping, questions: Sequence[Question], ask: bool) -> ColumnMapping:
    """Ask what is open; without anybody to ask, each question is a fault."""
    from dataclasses import replace

    from fairlot.errors import InvalidProblemError, Issue

    if questions and not ask:
        raise InvalidProblemError([Issue(f"unclear: {q.text}", file, expected=q.option) for q in questions])
    for question in questions:
        said = replace(said, **{question.key: _answer(question)})
    return said


def _answer(question: Question) -> Any:
    """Ask until the answer is one of the choices, or a count where anything goes."""
    among = f" [{', '.join(question.choices)}]" if question.choices else ""
    while True:
        answer = typer.prompt(question.text + among).strip()
        if question.choices and answer in question.choices:
            return (answer,) if question.key == "goods" else answer
        if not question.choices and answer.isdecimal() and len(answer) < 10:
            return int(answer)
        typer.echo("one of the names in brackets, please" if question.choices else "a whole number, please")
