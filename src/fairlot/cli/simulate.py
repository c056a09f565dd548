"""``simulate``: what if. Menus of a reallocation problem, or studies of a pseudo-market."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fairlot.cli import design
from fairlot.cli.output import FolderArgument, JsonOption, Output, QuietOption, verb, warned
from fairlot.cli.studies import STUDIES, Options, Study, numbers

StudyOption = Annotated[
    Study | None, typer.Option("--study", help="Pseudo-markets: which question. Default misreports.")
]
MenusOption = Annotated[
    Path | None,
    typer.Option("--menus", metavar="FILE", help="Reallocation: the menus, or a folder that design wrote."),
]
TruthOption = Annotated[
    Path | None,
    typer.Option("--truth", metavar="FOLDER", help="Reallocation: preferences are drawn from these beliefs."),
]
DrawsOption = Annotated[
    int | None,
    typer.Option(
        "--draws", min=1, help="Draws of what is left to chance. Default 200 for reallocation, else 5 or 20."
    ),
]
ReplicasOption = Annotated[
    str, typer.Option("--replicas", metavar="N,N", help="Copies of everybody and everything: 1,2,4.")
]
LieOption = Annotated[
    list[str] | None,
    typer.Option("--lie", metavar="NAME", help="misreports: only this lie; may be repeated."),
]
MechanismOption = Annotated[
    str | None,
    typer.Option("--mechanism", metavar="NAME", help="misreports, preferences: another than ours."),
]
AgentOption = Annotated[
    list[str] | None,
    typer.Option("--agent", metavar="ID", help="Who lies or leaves; may be repeated."),
]
AgentsOption = Annotated[
    int | None, typer.Option("--agents", min=0, help="So many agents at random. Default 10.")
]
GoodOption = Annotated[
    list[str] | None,
    typer.Option("--good", metavar="ID", help="withdrawal: what is withdrawn; may be repeated."),
]
GoodsOption = Annotated[
    int | None, typer.Option("--goods", min=0, help="withdrawal: so many goods at random. Default 10.")
]
ShareOption = Annotated[
    str | None,
    typer.Option("--share", metavar="S,S", help="misreports: also shares of agents at once: 0.1,0.5."),
]
SpreadOption = Annotated[
    str | None,
    typer.Option("--spread", metavar="S,S", help="preferences: about the error of a value: 0.1,0.3."),
]
RatioOption = Annotated[
    str | None,
    typer.Option("--ratio", metavar="R,R", help="budgets: the largest over the smallest: 1,1.5,2,4."),
]
ColumnOption = Annotated[
    str | None,
    typer.Option("--column", metavar="NAME", help="budgets: numeric agents column, the seniority."),
]
LimitOption = Annotated[
    float | None, typer.Option("--time-limit", metavar="SECONDS", min=0.1, help="For each equilibrium.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="For what is drawn.")]
JobsOption = Annotated[int, typer.Option("--jobs", min=1, help="Processes.")]
TableOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="TABLE", help="Also write a .csv or .parquet table, a row an observation."),
]


def simulate(
    folder: FolderArgument,
    study: StudyOption = None,
    menus: MenusOption = None,
    truth: TruthOption = None,
    draws: DrawsOption = None,
    replicas: ReplicasOption = "1",
    lie: LieOption = None,
    mechanism: MechanismOption = None,
    agent: AgentOption = None,
    agents: AgentsOption = None,
    good: GoodOption = None,
    goods: GoodsOption = None,
    share: ShareOption = None,
    spread: SpreadOption = None,
    ratio: RatioOption = None,
    column: ColumnOption = None,
    time_limit: LimitOption = None,
    seed: SeedOption = 0,
    jobs: JobsOption = 1,
    out: TableOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find out what happens if: people lie, tastes differ, seniors get more, somebody leaves."""
    given = {
        "lie": lie,
        "mechanism": mechanism,
        "agent": agent,
        "agents": agents,
        "good": good,
        "goods": goods,
        "share": share,
        "spread": spread,
        "ratio": ratio,
        "column": column,
        "time-limit": time_limit,
        "out": out,
        "study": study,
    }
    if menus is not None:
        with verb(as_json, quiet):
            _refuse({name for name, value in given.items() if value is not None}, "menus of tasks")
        design.simulate(
            folder,
            menus=menus,
            draws=draws or 200,
            replicas=replicas,
            truth=truth,
            seed=seed,
            as_json=as_json,
            quiet=quiet,
        )
        return
    with verb(as_json, quiet) as output:
        from fairlot.errors import InvalidProblemError, Issue
        from fairlot.io.comparison import refuse_table, write_table
        from fairlot.io.problem import read_problem
        from fairlot.model.market import PseudoMarket

        with warned():
            market = read_problem(folder)
        if not isinstance(market, PseudoMarket):
            expected = "the menus that people pick from, since this is a reallocation problem"
            raise InvalidProblemError([Issue("--menus", found="none", expected=expected)])
        asked = Study.MISREPORTS if study is None else study
        usable = {"study", "out", "time-limit", *STUDIES[asked].options}
        wrong = {name for name, value in given.items() if value is not None} - usable
        if truth is not None:
            wrong.add("truth")
        if replicas != "1" and "replicas" not in usable:
            wrong.add("replicas")
        if draws is not None and "draws" not in usable:
            wrong.add("draws")
        _refuse(wrong, f"the study {asked.value}")
        if out is not None:
            refuse_table(out)  # before the work, not after it
        options = Options(
            folder=folder,
            draws=draws,
            replicas=[int(n) for n in numbers("--replicas", replicas, whole=True)],
            lies=lie,
            mechanism=mechanism or "equilibrium",
            agents=agent or (10 if agents is None else agents),
            goods=good or (10 if goods is None else goods),
            shares=numbers("--share", share),
            spreads=numbers("--spread", spread),
            ratios=numbers("--ratio", ratio),
            column=column,
            time_limit=time_limit,
            seed=seed,
            n_jobs=jobs,
        )
        output.say(f"{market.title or folder}: {market.n_agents} agents, {market.n_goods} goods")
        found = STUDIES[asked].run(output, market, options)
        if out is not None:
            write_table(out, found.records)
            output.say(f"Wrote {out}: {len(found.records)} observations")
        document: dict[str, Any] = {"folder": str(folder), "kind": "pseudomarket", "study": asked.value}
        document |= {"seed": seed, "left_out": found.left_out, **found.document}
        output.data(document | {"observations": found.records})
        _tell_left_out(output, found.truth, found.left_out)


def _tell_left_out(output: Output, truth: str, left_out: int) -> None:
    if truth in ("uncertified", "time_limit", "iteration_limit"):
        output.tell(f"NOT certified even as reported ({truth}): no figure here counts.")
        output.fail()
    if left_out:
        output.tell(f"Not certified, hence in the table and in none of the means: {left_out} of the runs.")


def _refuse(wrong: set[str], place: str) -> None:
    from fairlot.errors import InvalidProblemError, Issue

    if wrong:
        raise InvalidProblemError([Issue(f"--{name} has no meaning for {place}") for name in sorted(wrong)])
