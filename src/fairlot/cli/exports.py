"""``export``: what was drawn as a workbook or an enrolment list, what agents prefer as a PrefLib file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlot.cli.output import JsonOption, QuietOption, verb

if TYPE_CHECKING:
    from fairlot.model.market import PseudoMarket

SourceArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Result folder; for preflib a problem folder will do.")
]
FormatOption = Annotated[str, typer.Option("--format", help="xlsx, canvas, oneroster or preflib.")]
FileOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.")]
SchoolOption = Annotated[
    str, typer.Option("--school", metavar="ID", help="oneroster: the school's sourcedId.")
]
ReplaceOption = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]

_ENDINGS = {
    "xlsx": (".xlsx",),
    "canvas": (".csv",),
    "oneroster": (".csv",),
    "preflib": (".soc", ".soi", ".toc", ".toi", ".cat"),
}


def export(
    folder: SourceArgument,
    format_: FormatOption,
    out: FileOption,
    school: SchoolOption = "",
    force: ReplaceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write what was drawn as a workbook or for Canvas or OneRoster, or preferences as PrefLib."""
    with verb(as_json, quiet) as output:
        from fairlot.errors import InvalidProblemError, Issue
        from fairlot.io.folders import write_file

        issues = []
        if format_ not in _ENDINGS:
            issues.append(Issue("--format: not known", found=format_, expected=" or ".join(_ENDINGS)))
        elif out.suffix.lower() not in _ENDINGS[format_]:
            expected = f"a name that ends in {' or '.join(_ENDINGS[format_])}"
            issues.append(Issue("file", found=out.name, expected=expected))
        if not out.parent.is_dir():
            issues.append(Issue("file", found=str(out.parent), expected="a folder that exists"))
        if out.exists() and not force:
            issues.append(Issue("file", found=f"{out} exists", expected="another name, or --force"))
        if issues:
            raise InvalidProblemError(issues)
        data = _written(folder, format_, out.suffix.lower().removeprefix("."), school)
        write_file(out, data)
        said = {"source": str(folder), "format": format_, "file": str(out), "bytes": len(data)}
        if format_ == "xlsx":
            output.say(f"Wrote {out} ({len(data)} bytes)")
        else:
            said["lines"] = data.count(b"\n")
            output.say(f"Wrote {out} ({said['lines']} lines)")
        output.data(said)


def _written(folder: Path, format_: str, kind: str, school: str) -> bytes:
    from fairlot.io.formats.enrolments import canvas_enrolments, oneroster_enrolments
    from fairlot.io.formats.preflib import market_preflib, write_preflib
    from fairlot.io.formats.workbook import assignment_workbook

    if format_ == "preflib":
        return write_preflib(market_preflib(_market(folder), kind))
    files = _sealed(folder)
    if format_ == "xlsx":
        return assignment_workbook(files)
    return canvas_enrolments(files) if format_ == "canvas" else oneroster_enrolments(files, school)


def _market(folder: Path) -> PseudoMarket:
    """Read a problem folder, or the problem that a result folder keeps."""
    from fairlot.io.equilibrium import INPUT
    from fairlot.io.problem import parse_problem_files, read_problem_files
    from fairlot.io.results import MANIFEST

    if not (folder / MANIFEST).is_file():
        return read_problem_files(folder).problem
    files = _sealed(folder)
    inputs = {name.removeprefix(INPUT): data for name, data in files.items() if name.startswith(INPUT)}
    return parse_problem_files(inputs).problem


def _sealed(folder: Path) -> Mapping[str, bytes]:
    """Read a result folder; refuse one that has changed since it was written."""
    from fairlot.io.results import ResultFolderError, manifest_faults, read_result

    files = read_result(folder)
    if faults := manifest_faults(files):
        raise ResultFolderError("\n".join(f"{folder}: {fault}" for fault in faults))
    return files
