"""``demo``: a bundled example from tables to a checked draw."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fairlot.cli.draw import commit, draw
from fairlot.cli.market import solve_into
from fairlot.cli.output import ForceOption, JsonOption, OutOption, Output, QuietOption, verb
from fairlot.cli.reallocation import demo_reallocation
from fairlot.cli.result import verify

_SEED = "2026" * 16
"""A seed that everybody can see is made up: a real draw takes one that nobody could choose."""


class Half(StrEnum):
    """The halves of the product that have an example."""

    PSEUDOMARKET = "pseudomarket"
    REALLOCATION = "reallocation"


def demo(
    kind: Annotated[Half, typer.Argument(metavar="[pseudomarket|reallocation]", help="Which half.")] = (
        Half.PSEUDOMARKET
    ),
    out: OutOption = Path("demo-result"),
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a bundled example end to end, and write a result folder."""
    with verb(as_json, quiet) as output:
        if kind is Half.REALLOCATION:
            demo_reallocation(output, out, force=force)
            _commit_draw_verify(output, out, as_json or quiet)
            output.say(
                f"""
WHAT TO LOOK AT
  {out}/menus.md        what everybody was handed before she picked
  {out}/letters.md      what everybody is told: had, picked, gets
  {out}/assignment.csv  the cases of next month, whole numbers, after the draw
  {out}/input/          the tables it was made from: copy them to begin your own
  fairlot explain {out} --agent dr01"""
            )
            return
        from fairlot.certificate import Status
        from fairlot.io.demo import demo_pseudomarket
        from fairlot.io.equilibrium import equilibrium_summary
        from fairlot.io.problem import parse_problem_files

        output.say("SOLVE  a synthetic university: every student, course and point is invented")
        equilibrium = solve_into(output, parse_problem_files(demo_pseudomarket()), out, force=force)
        if equilibrium.status is not Status.CERTIFIED or equilibrium.prices is None:
            output.fail()
        _commit_draw_verify(output, out, as_json or quiet)
        agent = equilibrium.market.agents[0]
        dearest = equilibrium.market.goods[int(equilibrium.prices.argmax())]
        output.say(
            f"""
WHAT TO LOOK AT
  {out}/prices.csv        {dearest} costs most: it is wanted most for its seats
  {out}/limits.csv        the shared laboratory has a price of its own
  {out}/shares.csv        everybody's chances, as exactly as the draw will honour them
  {out}/assignment.csv    who got what
  {out}/certificate.json  every condition, by how much it is missed at worst
  {out}/input/            the tables it was made from: copy them to begin your own
  fairlot explain {out} --agent {agent}"""
        )
        output.data({"result": str(out), **equilibrium_summary(equilibrium)})


def _commit_draw_verify(output: Output, out: Path, silent: bool) -> None:
    output.say("\nCOMMIT  before the seed is known")
    commit(out, quiet=silent)
    output.say("\nDRAW  with a made-up seed; a real one is a public random number")
    draw(out, seed=_SEED, quiet=silent)
    output.say("\nVERIFY  from the folder alone")
    verify(out, quiet=silent)
