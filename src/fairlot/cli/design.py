"""Reallocation: ``design`` makes menus, ``simulate`` says what they save when people pick."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairlot.cli.output import (
    FolderArgument,
    ForceOption,
    JsonOption,
    OutOption,
    Output,
    QuietOption,
    verb,
)
from fairlot.cli.reallocation import (
    DrawsOption,
    SeedOption,
    headline,
    read_tasks,
    reporter_for,
    saving_words,
    say_certified,
)

if TYPE_CHECKING:
    from fairlot.model.tasks import ReallocationProblem
    from fairlot.reallocation.design import Design
    from fairlot.reallocation.large_market.past_picks import Period
    from fairlot.reallocation.simulation import Simulation


class Method(StrEnum):
    """How menus are designed."""

    MENUS = "menus"
    TWO_PRICE = "two-price"
    BILATERAL = "bilateral"
    ROBUST = "robust"
    PAST_PICKS = "past-picks"


class Engine(StrEnum):
    """Who searches menus."""

    SERIAL = "serial"
    JOBLIB = "joblib"
    DASK = "dask"
    RAY = "ray"


MethodOption = Annotated[
    Method,
    typer.Option(
        "--method",
        help="Any plain menus; two prices each; one trade per pair; least regret; beliefs from past picks.",
    ),
]
LinesOption = Annotated[
    int | None, typer.Option("--max-lines", min=1, help="Most exchanges on anybody's menu.")
]
RatesOption = Annotated[
    int | None, typer.Option("--round-rates", min=1, help="Exchange rates of whole numbers up to this.")
]
LeastOption = Annotated[
    float | None, typer.Option("--min-exchange", min=0, help="Fewest instances an exchange gives away.")
]
ShareOption = Annotated[
    Path | None,
    typer.Option("--share-menus", metavar="FILE", help="Who share a menu: agent,group. '*' means all."),
]
ClassOption = Annotated[
    list[str] | None,
    typer.Option("--class-a", metavar="TASK", help="Two prices: a task of one class; repeat for more."),
]
PastMenusOption = Annotated[
    list[Path] | None,
    typer.Option("--past-menus", metavar="FILE", help="Past picks: menus offered; repeat for more periods."),
]
PastPicksOption = Annotated[
    list[Path] | None, typer.Option("--past-picks", metavar="FILE", help="Past picks: what was picked.")
]
BoundOption = Annotated[
    bool, typer.Option("--bound", help="Bound what any menus could save: seconds an agent up to five tasks.")
]
LimitOption = Annotated[
    float | None, typer.Option("--time-limit", min=0, help="Seconds for the search; the best so far counts.")
]
JobsOption = Annotated[int | None, typer.Option("--jobs", min=1, help="Workers; default one per processor.")]
EngineOption = Annotated[Engine, typer.Option("--engine", help="Where the workers are.")]
OfferOption = Annotated[
    Path, typer.Option("--menus", metavar="FILE", help="Published menus, or the design's result folder.")
]
ReplicasOption = Annotated[
    str, typer.Option("--replicas", metavar="N,N,...", help="Copies of every agent and task.")
]
TruthOption = Annotated[
    Path | None,
    typer.Option("--truth", metavar="FOLDER", help="A problem folder whose preferences are the true ones."),
]


def design(
    folder: FolderArgument,
    out: OutOption,
    method: MethodOption = Method.MENUS,
    max_lines: LinesOption = None,
    round_rates: RatesOption = None,
    min_exchange: LeastOption = None,
    share_menus: ShareOption = None,
    class_a: ClassOption = None,
    past_menus: PastMenusOption = None,
    past_picks: PastPicksOption = None,
    draws: DrawsOption = 200,
    seed: SeedOption = 0,
    bound: BoundOption = False,
    time_limit: LimitOption = None,
    jobs: JobsOption = None,
    engine: EngineOption = Engine.JOBLIB,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Design a menu for everybody, ready to hand out, and say what it is expected to save."""
    with verb(as_json, quiet) as output:
        from fairlot.certificate import Status
        from fairlot.io.reallocation_results import design_files, design_summary
        from fairlot.io.results import refuse, write_result
        from fairlot.reallocation.design import design_menus

        refuse(out, force)
        read = read_tasks(folder)
        with reporter_for(output) as reporter:
            found = design_menus(
                read.problem,
                method=method.value,
                max_lines=max_lines,
                round_rates=round_rates,
                min_exchange=min_exchange,
                group_menus=None if share_menus is None else _groups(share_menus, read.problem),
                class_a=None if class_a is None else _class_a(class_a, read.problem),
                past=_past(past_menus or [], past_picks or [], read.problem),
                draws=draws,
                seed=seed,
                bound=bound,
                time_limit=time_limit,
                n_jobs=jobs,
                engine=engine.value,
                reporter=reporter,
            )
        write_result(out, design_files(found, read.files), force=force)
        _say_design(output, found, folder)
        output.tell(f"Wrote {out}; hand out menus.md, fill in picks.csv, then:")
        # a command is copied as it stands, however long
        output.say(
            f"fairlot reallocate {folder} --menus {out}/menus.csv --picks {out}/picks.csv --out RESULT"
        )
        output.data({"result": str(out), **design_summary(found)})
        if found.status is not Status.CERTIFIED:
            output.fail()


def _say_design(output: Output, found: Design, folder: Path) -> None:
    total, notes = found.problem.status_quo_cost, found.stats.parameters
    low, high = found.interval
    choosing = len(set(found.menus.ray_agents.tolist()))
    output.tell(f"{headline(found.problem, folder)}; {found.stats.method}, {found.stats.seconds:.1f} s")
    output.say(f"{choosing} of {found.problem.n_agents} agents have a choice, {found.menus.n_rays} rays")
    rows = [("Expected saving of these menus", found.expected_saving)]
    rows.append(("  95% interval, from", low))
    rows.append(("  to", high))
    rows.append(("Without choice", found.no_choice.saving))
    if found.bilateral_saving is not None:
        rows.append(("Matched pairs", found.bilateral_saving))
    if found.large_market_saving is not None:
        rows.append(("In a large market, best mixture found", found.large_market_saving))
    rows += [(f"  {step.name} costs", step.price) for step in found.simplifications]
    if found.outer_bound is not None:
        rows.append((f"Any menus, large market ({found.outer_bound.kind})", found.outer_bound.saving))
    rows.append(("If everybody's mind were known, at most", found.first_best.saving))
    for name, saving in rows:
        output.say(f"{name:<48} {saving_words(saving, total):>20}")
    output.say("No menu ever loses, whatever is picked.")
    if "pseudo_gap" in notes:
        state = "ended" if notes["search"] == "ended" else "was stopped by the time limit"
        output.tell(
            f"The search {state}: pseudo-gap {100 * notes['pseudo_gap']:.2f}% "
            "(not a bound: to what the menus found allow)"
        )
    if "largest_regret" in notes:
        output.tell(
            f"Nobody's menu forgoes more than {100 * notes['largest_regret']:.0f}% of the most it could"
        )
    if "medians" in notes:
        medians = ", ".join(
            f"{task} {median:.3g}" for task, median in zip(found.problem.tasks, notes["medians"], strict=True)
        )
        output.tell(f"Beliefs from {notes['offers']} picks: medians {medians}; sigma {notes['sigma']:.2f}")
    say_certified(output, found.status, found.certificate, "what makes the choices plain and safe")


def simulate(
    folder: FolderArgument,
    menus: OfferOption,
    draws: DrawsOption = 200,
    replicas: ReplicasOption = "1",
    truth: TruthOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw preferences, let everybody pick from the menus, and say what is saved."""
    with verb(as_json, quiet) as output:
        from fairlot.io.mechanism import MECHANISM_MENUS, read_mechanism
        from fairlot.io.menus import MENUS
        from fairlot.io.reallocation_results import read_menus_file
        from fairlot.reallocation.large_market.replicas import study_replicas
        from fairlot.reallocation.simulation import simulate as run

        sizes = _sizes(replicas)
        problem = read_tasks(folder).problem
        believed = None if truth is None else _true_beliefs(truth, problem)
        total = problem.status_quo_cost
        output.say(headline(problem, folder))
        document: dict[str, Any] = {
            "folder": str(folder),
            "kind": "reallocation",
            "draws": draws,
            "seed": seed,
            "status_quo_cost": total,
        }
        file = menus / MENUS if menus.is_dir() else menus
        offered = read_menus_file(file, problem)
        with reporter_for(output) as reporter:
            behind = menus.is_dir() and sizes != [1] and (menus / MECHANISM_MENUS).is_file()
            economies = []
            for n in [1] if behind else sizes:
                found = run(
                    problem, offered, draws=draws, replicas=n, truth=believed, seed=seed, reporter=reporter
                )
                economies.append(_say_simulation(output, found, total))
            document |= economies[0] if len(economies) == 1 else {"economies": economies}
            if behind:
                mechanism = read_mechanism(menus, problem)
                study = study_replicas(mechanism, sizes, draws=draws, seed=seed, reporter=reporter)
                document |= {"large_market": study.to_dict()}
                output.say(f"Large market: {saving_words(study.large_market_saving, total)}")
                output.say(
                    f"{'copies':>8} {'saving per copy':>22} {'±':>9} {'least':>10} {'of large market':>16}"
                )
                for row in study.rows:
                    words = saving_words(row.saving, total)
                    margin = 1.96 * row.standard_error
                    output.say(
                        f"{row.replicas:>8} {words:>22} {margin:>9.3g} {row.least:>10.4g} {row.share:>16.3f}"
                    )
                output.say(f"Shortfall about {study.coefficient:.2f} / √copies")
        output.data(document)


def _say_simulation(output: Output, found: Simulation, total: float) -> dict[str, Any]:
    import numpy as np

    levels = (0.0, 0.05, 0.5, 0.95, 1.0)
    quantiles = np.quantile(found.savings, levels).tolist()
    output.say(f"{len(found.savings)} draws, {found.replicas} of each agent and task")
    output.say(
        f"Mean saving {saving_words(found.mean, total)} ± {1.96 * found.standard_error:,.4g}, per replica"
    )
    for name, saving in zip(("least", "5%", "median", "95%", "most"), quantiles, strict=True):
        output.say(f"  {name:<8} {saving_words(saving, total):>20}")
    output.say(f"Load as people see it themselves: {100 * float(found.load_changes.mean()):+z.2f}%")
    return {
        "replicas": found.replicas,
        "mean_saving": found.mean,
        "standard_error": found.standard_error,
        "quantiles": {f"{level:g}": q for level, q in zip(levels, quantiles, strict=True)},
        "load_change": float(found.load_changes.mean()),
    }


def _sizes(text: str) -> list[int]:
    from fairlot.errors import InvalidProblemError, Issue

    parts = [part.strip() for part in text.split(",")]
    wrong = [part for part in parts if not (part.isascii() and part.isdigit() and int(part) >= 1)]
    if wrong:
        raise InvalidProblemError(
            [Issue("--replicas", found=part, expected="numbers of at least 1, with commas") for part in wrong]
        )
    return sorted({int(part) for part in parts})


def _true_beliefs(folder: Path, problem: ReallocationProblem) -> Any:
    from fairlot.errors import InvalidProblemError, Issue

    true = read_tasks(folder).problem
    if (true.agents, true.tasks) != (problem.agents, problem.tasks):
        expected = "the same agents and tasks, in the same order"
        raise InvalidProblemError([Issue("true preferences", str(folder), expected=expected)])
    return true.beliefs


def _groups(file: Path, problem: ReallocationProblem) -> list[str]:
    from fairlot.errors import InvalidProblemError, Issue
    from fairlot.io.tables import read_table

    if str(file) == "*":
        return ["all"] * problem.n_agents
    issues: list[Issue] = []
    table = read_table(lambda _: file.read_bytes(), file.name, issues)
    if table is None or issues or not table.require(("agent", "group"), issues):
        raise InvalidProblemError(issues)
    group = dict(zip(table["agent"], table["group"], strict=True))
    unknown = [name for name in group if name not in problem.agents]
    if unknown:
        raise InvalidProblemError([Issue("unknown agent", file.name, found=name) for name in unknown])
    # an agent who is in no group has a menu of her own
    return [group.get(agent, f"\0{agent}") for agent in problem.agents]


def _class_a(tasks: list[str], problem: ReallocationProblem) -> list[bool]:
    from fairlot.errors import InvalidProblemError, Issue

    unknown = [task for task in tasks if task not in problem.tasks]
    if unknown:
        expected = " or ".join(problem.tasks)
        raise InvalidProblemError([Issue("--class-a", found=task, expected=expected) for task in unknown])
    return [task in tasks for task in problem.tasks]


def _past(menus: list[Path], picks: list[Path], problem: ReallocationProblem) -> list[Period]:
    from fairlot.errors import InvalidProblemError, Issue
    from fairlot.io.reallocation_results import read_menus_file, read_picks_file

    if len(menus) != len(picks):
        found = f"{len(menus)} and {len(picks)} files"
        raise InvalidProblemError([Issue("--past-menus and --past-picks", found=found, expected="as many")])
    periods = []
    for offer, answer in zip(menus, picks, strict=True):
        offered = read_menus_file(offer, problem)
        periods.append((offered, read_picks_file(answer, problem, offered)))
    return periods
