"""Reallocation: ``value``, ``reallocate``, the demonstration, and what ``check`` says."""

from __future__ import annotations

from contextlib import nullcontext
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


DrawsOption = Annotated[int, typer.Option("--draws", min=2, help="Draws of everybody's preferences.")]
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

        read = read_tasks(folder)
        with reporter_for(output) as reporter:
            found = value_of_choice(read.problem, draws=draws, seed=seed, reporter=reporter)
        output.say(f"{headline(read.problem, folder)}")
        output.tell(found.words())
        output.say(f"Next: fairlot design {folder} --out RESULT")
        output.data({"folder": str(folder), "kind": "reallocation", **found.to_dict()})


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
        read = read_tasks(folder)
        offered = read_menus_file(menus, read.problem)
        positions = read_picks_file(picks, read.problem, offered)
        with reporter_for(output) as reporter:
            reporter.stage("selection")
            outcome = reallocate_positions(read.problem, offered, positions, seed=seed)
            certified = outcome.status is Status.CERTIFIED
            reporter.stage("lottery")
            lottery = outcome.lottery() if certified else None
        write_result(out, outcome_files(outcome, lottery, read.files), force=force)
        total = outcome.status_quo_cost
        picked = int((positions >= 0).sum())
        output.say(f"{headline(outcome.problem, folder)}; {outcome.stats.seconds:.1f} s")
        output.say(
            f"{picked} of {len(positions)} people picked an exchange; {outcome.moved:,.6g} instances move"
        )
        output.say(
            f"Cost {outcome.cost:,.6g}, was {total:,.6g}: a saving of {saving_words(outcome.saving, total)}"
        )
        say_certified(output, outcome.status, outcome.certificate, "what everybody was promised")
        output.say(f"Wrote {out}; letters are in letters.md; next: fairlot commit {out}")
        output.data({"result": str(out), **outcome_summary(outcome)})
        if not certified:
            output.fail()


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
    with reporter_for(output) as reporter:
        found = value_of_choice(problem, seed=seed, reporter=reporter)
        designed = design_menus(problem, seed=seed, tol=0.01, reporter=reporter)
    output.tell(found.words())
    choosing = len(set(designed.menus.ray_agents.tolist()))
    example = menu_words(problem, designed.menus, problem.agents[int(designed.menus.ray_agents[0])])
    output.tell(
        f"\nDESIGN  {choosing} of {problem.n_agents} doctors are offered exchanges; expected saving "
        f"{saving_words(designed.expected_saving, total)}. One of them is handed this page:"
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
        f"trade: saving {saving_words(outcome.saving, total)}"
    )
    say_certified(output, outcome.status, outcome.certificate, "what everybody was promised")
    output.data({"result": str(out), **outcome_summary(outcome)})


def check_reallocation(output: Output, problem: ReallocationProblem, folder: Path) -> None:
    """Say what the theory asks of a reallocation problem, and whether it holds: findings, not faults."""
    from fairlot.reallocation.value.conditions import theorem1

    found = theorem1(problem)
    sizes = {"agents": problem.n_agents, "people": int(problem.sizes.sum()), "tasks": problem.n_tasks}
    output.say(f"{headline(problem, folder)}; the present split costs {problem.status_quo_cost:,.6g}")
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


def read_tasks(folder: Path) -> ReallocationFiles:
    """Read a reallocation folder, saying its warnings."""
    from fairlot.io.problem import read_reallocation_files

    with warned():
        return read_reallocation_files(folder)


def reporter_for(output: Output) -> nullcontext[NullReporter] | RichReporter:
    """Report progress unless words are not wanted."""
    from fairlot.progress import NullReporter, RichReporter

    return nullcontext(NullReporter()) if output.quiet or output.as_json else RichReporter()


def headline(problem: ReallocationProblem, folder: Path) -> str:
    """Name a problem and its size."""
    people = int(problem.sizes.sum())
    members = f" ({people} people)" if people != problem.n_agents else ""
    return f"{problem.title or folder}: {problem.n_agents} agents{members}, {problem.n_tasks} tasks"


def saving_words(saving: float, total: float) -> str:
    """Write a saving, and its share of the cost."""
    share = f" ({100 * saving / abs(total):z.2f}%)" if total else ""
    return f"{saving:z,.5g}{share}"


def say_certified(output: Output, status: Status, certificate: Certificate, what: str) -> None:
    """Say that all checks pass, or which do not."""
    from fairlot.certificate import Status

    if status is Status.CERTIFIED:
        output.say(f"Certified: all {len(certificate.checks)} checks of {what} pass")
        return
    output.say("NOT certified:")
    for failed in certificate.failed:
        output.say(
            f"  {failed.name}: {failed.residual:.1e} (at most {failed.tolerance:.0e})  {failed.witness}"
        )
