"""What every verb has in common: options, where words go, and the one shape of an error.

Words go to standard output, faults and progress to standard error. With ``--json`` standard output holds one
JSON document and nothing else; faults are ``{"errors": [...]}``. Exit codes: 0 done, 1 a check failed or the
result is not certified, 2 bad usage or bad input.
"""

from __future__ import annotations

import json
import math
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from fairlot.errors import FairlotError, InvalidProblemError

FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Problem folder: problem.toml and its tables.")
]
ResultArgument = Annotated[Path, typer.Argument(metavar="RESULT", help="Result folder.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="RESULT", help="Result folder to write.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing result folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but faults.")]

FAILED = 1
BAD_INPUT = 2


@dataclass
class Output:
    """Where a verb's words go.

    Parameters
    ----------
    as_json, quiet : bool
        The options of the same names.
    """

    as_json: bool
    quiet: bool

    def say(self, text: str = "") -> None:
        """Print a line for people."""
        if not self.quiet and not self.as_json:
            typer.echo(text)

    def tell(self, text: str) -> None:
        """Print paragraphs for people, their lines no wider than a terminal of 80 columns."""
        for line in text.splitlines():
            indent = " " * (len(line) - len(line.lstrip()))
            self.say(
                textwrap.fill(
                    line, 80, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
                )
            )

    def data(self, document: Any) -> None:
        """Print the document that ``--json`` asked for; numbers that JSON does not have are null."""
        if self.as_json:
            typer.echo(json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False))

    def fail(self, code: int = FAILED) -> NoReturn:
        """Exit with a code other than 0."""
        raise typer.Exit(code)


@contextmanager
def verb(as_json: bool, quiet: bool) -> Iterator[Output]:
    """Run the body of a verb; tell bad input in one line per fault, and exit 2."""
    output = Output(as_json, quiet)
    try:
        yield output
    except BrokenPipeError:
        raise
    except (FairlotError, OSError) as error:
        faults = _faults(error)
        output.data({"errors": faults})
        for line in _message(error).splitlines():
            typer.echo(line, err=True)
        raise typer.Exit(BAD_INPUT) from None


@contextmanager
def warned() -> Iterator[None]:
    """Tell warnings about the input in a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        typer.echo(f"warning: {warning.message}", err=True)


def _plain(document: Any) -> Any:
    match document:
        case dict():
            return {key: _plain(value) for key, value in document.items()}
        case list() | tuple():
            return [_plain(value) for value in document]
        case float() if not math.isfinite(document):
            return None
        case _:
            return document


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, FairlotError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return str(error)


def _faults(error: Exception) -> list[dict[str, Any]]:
    if not isinstance(error, InvalidProblemError):
        return [{"message": _message(error)}]
    return [
        {
            "message": issue.message,
            "file": issue.file,
            "row": issue.row,
            "column": issue.column,
            "found": issue.found,
            "expected": issue.expected,
        }
        for issue in error.issues
    ]
