"""``report``: one self-contained page from a result folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from fairlot.cli.output import ForceOption, JsonOption, QuietOption, ResultArgument, verb

PageOption = Annotated[Path, typer.Option("--out", metavar="PAGE", help="The page to write, .html.")]
PrivateOption = Annotated[
    bool, typer.Option("--private", help="Tell nothing of single agents: only their salted commitments.")
]


def report(
    result: ResultArgument,
    out: PageOption,
    private: PrivateOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make one page of a result: what was decided, why it is right, pictures, look-up, the draw."""
    with verb(as_json, quiet) as output:
        from fairlot.errors import InvalidProblemError, Issue
        from fairlot.io.folders import write_file
        from fairlot.io.results import read_result
        from fairlot.progress import NullReporter, RichReporter
        from fairlot.report import report_page

        issues = []
        if out.suffix not in (".html", ".htm"):
            issues.append(Issue("page", found=out.name, expected="a name that ends in .html"))
        if not out.parent.is_dir():
            issues.append(Issue("page", found=str(out.parent), expected="a folder that exists"))
        if out.exists() and not force:
            issues.append(Issue("page", found=f"{out} exists", expected="another name, or --force"))
        if issues:
            raise InvalidProblemError(issues)
        silent = output.quiet or output.as_json
        with nullcontext(NullReporter()) if silent else RichReporter() as reporter:
            page = report_page(read_result(result), private=private, reporter=reporter)
        write_file(out, page.encode())
        output.say(f"Wrote {out} ({len(page) / 1e6:.1f} MB); it needs no network, and prints")
        output.data(
            {"result": str(result), "page": str(out), "bytes": len(page.encode()), "private": private}
        )
