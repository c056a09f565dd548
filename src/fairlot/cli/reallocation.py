"""Reallocation: ``value``, ``design``, ``reallocate``, ``simulate``, and what ``check`` says."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlot.cli.output import (
    FolderArgument,
    ForceOption,
    JsonOption,
    OutOption,
    Output,
    QuietOption,
    verb,
    warned,
)

if TYPE_CHECKING:
    from fairlot.certificate import Certificate, Status
    from fairlot.io.problem import ReallocationFiles
    from fairlot.model.tasks import ReallocationProblem
    from fairlot.progress import NullReporter, RichReporter


class Method(StrEnum):
    """How menus are designed."""

    BILATERAL = "bilateral"
    TWO_PRICE = "two-price"


MethodOption = Annotated[Method, typer.Option("--method", help="One trade per pair, or two prices each.")]
DrawsOption = Annotated[int, typer.Option("--draws", min=2, help="Draws of everybody's preferences.")]
ReplicasOption = Annotated[int, typer.Option("--replicas", min=1, help="Copies of every agent and task.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="For what is drawn.")]
MenusOption = Annotated[Path, typer.Option("--menus", metavar="FILE", help="The menus that were published.")]
PicksOption = Annotated[Path, typer.Option("--picks", metavar="FILE", help="What was picked: agent,ray.")]


def value(
    folder: FolderArgument,
    draws: DrawsOption = 20,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find out whether letting people choose is worth it, and what it may save."""
    with verb(as_json, quiet) as output:
        from fairlot.reallocation.value.choice import value_of_choice

        read = _read(folder)
        with _reporter(output) as reporter:
            found = value_of_choice(read.problem, draws=draws, seed=seed, reporter=reporter)
        output.say(f"{_title(read.problem, folder)}")
        output.tell(found.words())
        output.say(f"Next: fairlot design {folder} --out RESULT")
        output.data({"folder": str(folder), "kind": "reallocation", **found.to_dict()})


def design(
    folder: FolderArgument,
    out: OutOption,
    method: MethodOption = Method.BILATERAL,
    draws: DrawsOption = 200,
    seed: SeedOption = 0,
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
        read = _read(folder)
        with _reporter(output) as reporter:
            found = design_menus(read.problem, method=method.value, draws=draws, seed=seed, reporter=reporter)
        write_result(out, design_files(found, read.files), force=force)
        summary = design_summary(found)
        total = found.problem.status_quo_cost
        low, high = summary["expected_saving_interval"]
        choosing = len(set(found.menus.ray_agents.tolist()))
        output.say(f"{_title(found.problem, folder)}; {method.value}, {found.stats.seconds:.1f} s")
        output.say(f"{choosing} of {found.problem.n_agents} agents have a choice, {found.menus.n_rays} rays")
        output.say(
            f"Expected saving {_of(found.expected_saving, total)} "
            f"(95%: {_of(low, total)} to {_of(high, total)}); without choice "
            f"{_of(found.no_choice.saving, total)}; never negative, whatever is picked"
        )
        output.say(
            f"At most {_of(found.first_best.saving, total)} could be saved if everybody's mind were known"
        )
        _certified(output, found.status, found.certificate, "what makes the choices plain and safe")
        output.say(
            f"Wrote {out}; hand out menus.md, fill in picks.csv, then: "
            f"fairlot reallocate {folder} --menus {out}/menus.csv --picks {out}/picks.csv --out RESULT"
        )
        output.data({"result": str(out), **summary})
        if found.status is not Status.CERTIFIED:
            output.fail()


def reallocate(
    folder: FolderArgument,
    menus: MenusOption,
    picks: PicksOption,
    out: OutOption,
    seed: SeedOption = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Select the best assignment that respects what everybody picked, with its lottery and letters."""
    with verb(as_json, quiet) as output:
        from fairlot.certificate import Status
        from fairlot.io.reallocation_results import (
            outcome_files,
            outcome_summary,
            read_menus_file,
            read_picks_file,
        )
        from fairlot.io.results import refuse, write_result
        from fairlot.reallocation.outcome import reallocate_positions

        refuse(out, force)
        read = _read(folder)
        offered = read_menus_file(menus, read.problem)
        positions = read_picks_file(picks, read.problem, offered)
        outcome = reallocate_positions(read.problem, offered, positions, seed=seed)
        certified = outcome.status is Status.CERTIFIED
        lottery = outcome.lottery() if certified else None
        write_result(out, outcome_files(outcome, lottery, read.files), force=force)
        total = outcome.status_quo_cost
        picked = int((positions >= 0).sum())
        output.say(f"{_title(outcome.problem, folder)}; {outcome.stats.seconds:.1f} s")
        output.say(
            f"{picked} of {len(positions)} people picked an exchange; {outcome.moved:,.6g} instances move"
        )
        output.say(f"Cost {outcome.cost:,.6g}, was {total:,.6g}: a saving of {_of(outcome.saving, total)}")
        _certified(output, outcome.status, outcome.certificate, "what everybody was promised")
        output.say(f"Wrote {out}; letters are in letters.md; next: fairlot commit {out}")
        output.data({"result": str(out), **outcome_summary(outcome)})
        if not certified:
            output.fail()


def simulate(
    folder: FolderArgument,
    menus: MenusOption,
    draws: DrawsOption = 200,
    replicas: ReplicasOption = 1,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw preferences, let everybody pick from the menus, and say what is saved."""
    with verb(as_json, quiet) as output:
        import numpy as np

        from fairlot.io.reallocation_results import read_menus_file
        from fairlot.reallocation.simulation import simulate as run

        read = _read(folder)
        offered = read_menus_file(menus, read.problem)
        with _reporter(output) as reporter:
            found = run(read.problem, offered, draws=draws, replicas=replicas, seed=seed, reporter=reporter)
        total = read.problem.status_quo_cost
        levels = (0.0, 0.05, 0.5, 0.95, 1.0)
        quantiles = np.quantile(found.savings, levels).tolist()
        output.say(f"{_title(read.problem, folder)}: {draws} draws, {replicas} of each agent and task")
        output.say(f"Mean saving {_of(found.mean, total)} ± {1.96 * found.standard_error:,.4g}, per replica")
        names = ("least", "5%", "median", "95%", "most")
        output.say(
            "  ".join(f"{name} {_of(saving, total)}" for name, saving in zip(names, quantiles, strict=True))
        )
        output.say(f"Load as people see it themselves: {100 * float(found.load_changes.mean()):+.2f}%")
        output.data(
            {
                "folder": str(folder),
                "kind": "reallocation",
                "draws": draws,
                "replicas": replicas,
                "seed": seed,
                "status_quo_cost": total,
                "mean_saving": found.mean,
                "standard_error": found.standard_error,
                "quantiles": {f"{level:g}": q for level, q in zip(levels, quantiles, strict=True)},
                "load_change": float(found.load_changes.mean()),
            }
        )


def demo_reallocation(output: Output, out: Path, *, force: bool = False, seed: int = 0) -> None:
    """Run the bundled example from value to letters; its picks are those of drawn preferences."""
    import numpy as np

    from fairlot.io.hospital import demo_reallocation as hospital
    from fairlot.io.problem import parse_reallocation_files
    from fairlot.io.reallocation_results import outcome_files, outcome_summary
    from fairlot.io.results import refuse, write_result
    from fairlot.reallocation.design import design_menus
    from fairlot.reallocation.letters import menu_words, menus_document
    from fairlot.reallocation.outcome import reallocate_positions
    from fairlot.reallocation.simulation import pick_myopically
    from fairlot.reallocation.value.choice import value_of_choice

    refuse(out, force)
    read = parse_reallocation_files(hospital())
    problem = read.problem
    total = problem.status_quo_cost
    output.tell(
        f"VALUE  {problem.title}: {problem.n_agents} doctors, {problem.n_tasks} types of cases, cost in "
        "minutes. All of it is invented: doctors, cases, minutes, licences, beliefs."
    )
    with _reporter(output) as reporter:
        found = value_of_choice(problem, seed=seed, reporter=reporter)
        designed = design_menus(problem, seed=seed, reporter=reporter)
    output.tell(found.words())
    choosing = len(set(designed.menus.ray_agents.tolist()))
    example = menu_words(problem, designed.menus, problem.agents[int(designed.menus.ray_agents[0])])
    output.tell(
        f"\nDESIGN  {choosing} of {problem.n_agents} doctors are offered a trade, one each; expected saving "
        f"{_of(designed.expected_saving, total)}. One of them is handed this page:"
    )
    output.tell("\n".join(f"  {line}" for line in example.splitlines() if line and not line.startswith("#")))
    types = problem.beliefs.types(np.random.default_rng(seed).random(problem.status_quo.shape))
    picks = pick_myopically(designed.menus, np.arange(problem.n_agents), types, problem.endowment)
    outcome = reallocate_positions(problem, designed.menus, picks, seed=seed)
    files = outcome_files(outcome, outcome.lottery(), read.files)
    files["menus.md"] = menus_document(problem, designed.menus).encode()
    write_result(out, files, force=force)
    picked = int((picks >= 0).sum())
    output.tell(
        f"\nREALLOCATE  {picked} of {problem.n_agents} doctors, their preferences invented too, picked their "
        f"trade: saving {_of(outcome.saving, total)}"
    )
    _certified(output, outcome.status, outcome.certificate, "what everybody was promised")
    output.data({"result": str(out), **outcome_summary(outcome)})


def check_reallocation(output: Output, problem: ReallocationProblem, folder: Path) -> None:
    """Say what the theory asks of a reallocation problem, and whether it holds: findings, not faults."""
    from fairlot.reallocation.value.conditions import theorem1

    found = theorem1(problem)
    sizes = {"agents": problem.n_agents, "people": int(problem.sizes.sum()), "tasks": problem.n_tasks}
    output.say(f"{_title(problem, folder)}; the present split costs {problem.status_quo_cost:,.6g}")
    for condition in found.conditions:
        output.tell(f"{'ok     ' if condition.holds else 'warning'}  {condition}")
    verdicts = {True: "yes", False: "no", None: "not decided by the theory"}
    output.say(f"Choice can improve on the present split: {verdicts[found.improves]}")
    output.say(f"Next: fairlot value {folder}")
    output.data(
        {
            "folder": str(folder),
            "kind": "reallocation",
            "title": problem.title,
            "sizes": sizes,
            "passed": True,
            "findings": [
                {
                    "name": condition.name,
                    "severity": "ok" if condition.holds else "warning",
                    "passed": condition.holds,
                    "text": str(condition),
                }
                for condition in found.conditions
            ],
            "choice_improves": found.improves,
            "choice_optimal": found.optimal,
        }
    )


def _read(folder: Path) -> ReallocationFiles:
    from fairlot.io.problem import read_reallocation_files

    with warned():
        return read_reallocation_files(folder)


def _reporter(output: Output) -> nullcontext[NullReporter] | RichReporter:
    from fairlot.progress import NullReporter, RichReporter

    return nullcontext(NullReporter()) if output.quiet or output.as_json else RichReporter()


def _title(problem: ReallocationProblem, folder: Path) -> str:
    people = int(problem.sizes.sum())
    members = f" ({people} people)" if people != problem.n_agents else ""
    return f"{problem.title or folder}: {problem.n_agents} agents{members}, {problem.n_tasks} tasks"


def _of(saving: float, total: float) -> str:
    share = f" ({100 * saving / abs(total):.2f}%)" if total else ""
    return f"{saving:,.5g}{share}"


def _certified(output: Output, status: Status, certificate: Certificate, what: str) -> None:
    from fairlot.certificate import Status

    if status is Status.CERTIFIED:
        output.say(f"Certified: all {len(certificate.checks)} checks of {what} pass")
        return
    output.say("NOT certified:")
    for failed in certificate.failed:
        output.say(
            f"  {failed.name}: {failed.residual:.1e} (at most {failed.tolerance:.0e})  {failed.witness}"
        )
