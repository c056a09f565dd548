"""Problem folders: ``new`` and ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlot.cli.output import FolderArgument, JsonOption, QuietOption, verb, warned
from fairlot.cli.reallocation import check_reallocation

if TYPE_CHECKING:
    from fairlot.model.market import PseudoMarket


def new(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write: new or empty.")],
    kind: Annotated[str, typer.Option("--kind", help="pseudomarket or reallocation")] = "pseudomarket",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a commented problem folder with example rows."""
    with verb(as_json, quiet) as output:
        from fairlot.io.folders import write_folder
        from fairlot.io.template import template_files

        files = template_files(kind)
        write_folder(folder, files)
        output.say(f"Wrote {folder}: {', '.join(files)}")
        output.say(f"Put your own tables in, then: fairlot check {folder}")
        output.data({"folder": str(folder), "files": list(files)})


def check(folder: FolderArgument, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Validate a problem folder, and check what the theory asks of it."""
    with verb(as_json, quiet) as output:
        from fairlot.io.problem import read_problem
        from fairlot.model.tasks import ReallocationProblem
        from fairlot.pseudomarket.preconditions import Severity, check_market

        with warned():
            market = read_problem(folder)
        if isinstance(market, ReallocationProblem):
            check_reallocation(output, market, folder)
            return
        sizes = _sizes(market)
        counts = [f"{n} {noun if n > 1 else noun.removesuffix('s')}" for noun, n in sizes.items() if n]
        output.say(f"{market.title or folder}: {', '.join(counts)}")
        findings = check_market(market)
        marks = {Severity.OK: "ok     ", Severity.WARNING: "warning", Severity.FAULT: "FAULT  "}
        for finding in findings:
            output.say(f"{marks[finding.severity]}  {finding.name}: {finding.text}")
        passed = all(finding.severity is not Severity.FAULT for finding in findings)
        output.data(
            {
                "folder": str(folder),
                "kind": "pseudomarket",
                "title": market.title,
                "sizes": sizes,
                "passed": passed,
                "findings": [
                    {"name": f.name, "severity": f.severity.value, "passed": f.passed, "text": f.text}
                    for f in findings
                ],
            }
        )
        if not passed:
            output.fail()


def _sizes(market: PseudoMarket) -> dict[str, int]:
    return {
        "agents": market.n_agents,
        "goods": market.n_goods,
        "seats": int(market.capacities.sum()),
        "acceptable pairs": int(market.values.nnz),
        "quota sets": len(market.quotas),
        "taper sets": len(market.tapers),
        "limits": len(market.limits),
    }
