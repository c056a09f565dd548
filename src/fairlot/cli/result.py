"""Result folders: ``explain`` and ``verify``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlot.cli.output import JsonOption, Output, QuietOption, ResultArgument, verb

if TYPE_CHECKING:
    from fairlot.pseudomarket.explanation import Explanation

AgentOption = Annotated[str, typer.Option("--agent", metavar="ID", help="Whose outcome.")]
CommitmentOption = Annotated[
    str | None, typer.Option("--commitment", metavar="HEX", help="The hash published before the draw.")
]
SaltsOption = Annotated[
    Path | None, typer.Option("--salts", metavar="FILE", help="Private salts, to open personal tables.")
]


def explain(
    result: ResultArgument, agent: AgentOption, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Say why an agent got what she got."""
    with verb(as_json, quiet) as output:
        from fairlot.io.equilibrium import read_equilibrium
        from fairlot.io.menus import MENUS
        from fairlot.io.results import read_result
        from fairlot.pseudomarket.explanation import explain_agent

        files = read_result(result)
        if MENUS in files:
            _explain_reallocation(output, files, agent)
            return
        found = read_equilibrium(files)
        drawn = _drawn(files, agent, "good", "copies")
        explanation = explain_agent(found.market, found.prices, found.shares, agent, assignment=drawn)
        _tell(output, explanation)
        output.data(explanation.to_dict())


def verify(
    result: ResultArgument,
    commitment: CommitmentOption = None,
    salts: SaltsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check a result folder, from its files alone."""
    with verb(as_json, quiet) as output:
        from fairlot.io.verification import verify_result

        opened = None if salts is None else salts.read_bytes()
        certificate = verify_result(result, commitment=commitment, salts=opened)
        width = max(len(check.name) for check in certificate.checks)
        for check in certificate.checks:
            mark = "ok  " if check.passed else "FAIL"
            size = f"{abs(check.residual):.1e}, at most {check.tolerance:.0e}" if check.tolerance else "exact"
            if not check.passed:
                size = f"{check.residual:g}, at most {check.tolerance:g}: {check.witness}"
            output.say(f"{mark}  {check.name.ljust(width)}  {size}")
        for note in certificate.unseen:
            output.say(f"not checked: {note}")
        if certificate.statement:
            output.say(certificate.statement)
        output.say("All of these checks pass." if certificate.passed else "This result does NOT check.")
        output.data({"result": str(result), **certificate.to_dict()})
        if not certificate.passed:
            output.fail()


def _explain_reallocation(output: Output, files: Mapping[str, bytes], agent: str) -> None:
    """Explain a member's outcome; of a design, which has none yet, her menu."""
    from fairlot.io.reallocation_results import read_offer, read_outcome
    from fairlot.reallocation.explanation import explain_member, explain_offer

    if "shares.csv" not in files:
        problem, menus = read_offer(files)
        offer = explain_offer(problem, menus, agent)
        output.tell(offer.text)
        output.data(offer.to_dict())
        return
    found = read_outcome(files)
    why = explain_member(
        found.problem,
        found.menus,
        found.picks,
        found.amounts,
        found.prices,
        agent,
        drawn=_drawn(files, agent, "task", "amount"),
    )
    output.tell("\n\n".join(why.sentences()))
    output.data(why.to_dict())


def _tell(output: Output, explanation: Explanation) -> None:
    for paragraph in explanation.sentences():
        output.say(paragraph)
        output.say()
    rows: list[tuple[str, ...]] = [("good", "points", "price (money)", "points left", "copies", "why")]
    for line in explanation.lines:
        why = f"{line.reason.value} ({line.quota})" if line.quota else line.reason.value
        numbers = map(_number, (line.value, line.price, line.left, line.share))
        rows.append((line.good, *numbers, why))
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(row[k].rjust(widths[k]) for k in range(1, 5)), row[5]]
        output.say("  ".join(cells))


def _number(number: float) -> str:
    return f"{round(number, 9) + 0.0:.4g}"


def _drawn(files: Mapping[str, bytes], agent: str, noun: str, number: str) -> dict[str, int] | None:
    """Read what the draw gave the agent, by good or task; None before the draw."""
    from fairlot.errors import InvalidProblemError, Issue
    from fairlot.io.tables import COUNT, numbers, read_table

    if "assignment.csv" not in files:
        return None
    issues: list[Issue] = []
    table = read_table(files.__getitem__, "assignment.csv", issues)
    if table is None or not table.require(("agent", noun, number), issues):
        raise InvalidProblemError(issues)
    counts = numbers(table, number, COUNT, issues)
    if issues:
        raise InvalidProblemError(issues)
    return {
        name: int(count)
        for who, name, count in zip(table["agent"], table[noun], counts, strict=True)
        if who == agent
    }
