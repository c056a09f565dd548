"""Problem folders: ``problem.toml`` and the tables it names, read into a problem with every fault at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.conflicts import section
from fairlot.io.folders import write_folder
from fairlot.io.keys import SETTINGS, Keys, write_toml
from fairlot.io.market_tables import market_tables
from fairlot.io.pseudomarket import read_market
from fairlot.io.reallocation import read_reallocation
from fairlot.io.reallocation_tables import reallocation_tables
from fairlot.io.source import Source
from fairlot.io.tables import Table, write_csv
from fairlot.model.market import PseudoMarket
from fairlot.model.tasks import ReallocationProblem

Problem = PseudoMarket | ReallocationProblem
_P = TypeVar("_P", PseudoMarket, ReallocationProblem)


@dataclass(frozen=True)
class ProblemFiles:
    """A pseudo-market and the canonical files that say the same.

    Parameters
    ----------
    problem : PseudoMarket
        What was read.
    files : mapping
        File contents by name: ``problem.toml`` and a CSV file per table.
    """

    problem: PseudoMarket
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class ReallocationFiles:
    """A reallocation problem and the canonical files that say the same.

    Parameters
    ----------
    problem : ReallocationProblem
        What was read.
    files : mapping
        File contents by name: ``problem.toml`` and a CSV file per table.
    """

    problem: ReallocationProblem
    files: Mapping[str, bytes]


def read_problem(folder: str | Path) -> Problem:
    """Read and check a problem folder.

    Parameters
    ----------
    folder : str or Path
        Holds ``problem.toml`` and the tables it names.

    Returns
    -------
    PseudoMarket or ReallocationProblem
        The problem.

    Raises
    ------
    InvalidProblemError
        Listing every fault found, with file, row and column.
    """
    problem, _ = parse_problem(_open(folder))
    return problem


def read_problem_files(folder: str | Path) -> ProblemFiles:
    """Read and check the folder of a pseudo-market, and keep a canonical copy of all that was read.

    Reading the copy gives the same problem. Parameters and errors are those of :func:`read_problem`; a
    problem of the other kind is a fault.
    """
    return ProblemFiles(*_with_files(_open(folder), PseudoMarket))


def read_reallocation_files(folder: str | Path) -> ReallocationFiles:
    """Read and check the folder of a reallocation problem, and keep a canonical copy of all that was read.

    Parameters and errors are those of :func:`read_problem_files`.
    """
    return ReallocationFiles(*_with_files(_open(folder), ReallocationProblem))


def parse_problem_files(files: Mapping[str, bytes]) -> ProblemFiles:
    """Read and check the folder of a pseudo-market that is given as contents by name.

    Returns and errors are those of :func:`read_problem_files`.
    """
    return ProblemFiles(*_with_files(Source.of_files(files), PseudoMarket))


def parse_reallocation_files(files: Mapping[str, bytes]) -> ReallocationFiles:
    """Read and check the folder of a reallocation problem that is given as contents by name.

    Returns and errors are those of :func:`read_reallocation_files`.
    """
    return ReallocationFiles(*_with_files(Source.of_files(files), ReallocationProblem))


def _open(folder: str | Path) -> Source:
    if not Path(folder).is_dir():
        expected = "a problem folder (fairlot new makes one)"
        raise InvalidProblemError([Issue("no such folder", str(folder), expected=expected)])
    return Source.of_folder(Path(folder))


def _with_files(source: Source, kind: type[_P]) -> tuple[_P, dict[str, bytes]]:
    problem, settings = parse_problem(source)
    if not isinstance(problem, kind):
        found = settings["kind"]
        expected = next(name for name, (made, _) in _READERS.items() if made is kind)
        raise InvalidProblemError(
            [Issue("a problem of another kind", SETTINGS, None, "kind", found, f'"{expected}" for this')]
        )
    return problem, table_files(settings, source.tables)


def parse_problem(source: Source) -> tuple[Problem, Mapping[str, Any]]:
    """Read a problem and its settings, or raise with every fault.

    Parameters
    ----------
    source : Source
        A problem folder that nothing was read of yet.
    """
    settings = source.settings()
    if settings is None:
        raise InvalidProblemError(source.issues)
    keys = Keys(settings, "", source.issues)
    keys.require_format()
    kind = keys.choice("kind", tuple(_READERS))
    problem = _READERS[kind][1](source, keys) if kind in _READERS else None
    if problem is None or source.issues:
        raise InvalidProblemError(source.issues)
    return problem, settings


def table_files(data: Mapping[str, Any], tables: Mapping[str, Table]) -> dict[str, bytes]:
    """Write settings and tables as canonical files: ``problem.toml`` and ``<section>.csv``."""
    settings = {
        key: {**value, "file": f"{key}.csv"} if key in tables else value for key, value in data.items()
    }
    if "conflict" in data:
        settings["conflict"] = [
            {**entry, "file": f"{section(k)}.csv"} if section(k) in tables else entry
            for k, entry in enumerate(data["conflict"], start=1)
        ]
    files = {SETTINGS: write_toml(settings)}
    for name, table in tables.items():
        files[f"{name}.csv"] = write_csv(table.columns, zip(*table.cells, strict=True))
    return files


def problem_files(problem: Problem) -> dict[str, bytes]:
    """Write a problem as the files of a problem folder.

    Parameters
    ----------
    problem : PseudoMarket or ReallocationProblem
        The problem.

    Raises
    ------
    InvalidProblemError
        If an id cannot stand in a table.
    """
    if isinstance(problem, ReallocationProblem):
        return table_files(*reallocation_tables(problem))
    return table_files(*market_tables(problem))


def write_problem(problem: Problem, folder: str | Path) -> None:
    """Write a problem folder; :func:`read_problem` gives the problem back.

    Parameters
    ----------
    problem : PseudoMarket or ReallocationProblem
        The problem.
    folder : str or Path
        Must not exist, or be empty.
    """
    write_folder(folder, problem_files(problem))


_READERS: Mapping[str, tuple[type[Problem], Callable[[Source, Keys], Problem | None]]] = {
    "pseudomarket": (PseudoMarket, read_market),
    "reallocation": (ReallocationProblem, read_reallocation),
}
