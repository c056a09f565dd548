"""Problem folders: ``problem.toml`` and the tables it names, read into a problem with every fault at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.io.folders import write_folder
from fairlot.io.keys import SETTINGS, Keys, write_toml
from fairlot.io.market_tables import market_tables
from fairlot.io.pseudomarket import read_market
from fairlot.io.source import Source
from fairlot.io.tables import Table, write_csv
from fairlot.model.market import PseudoMarket

Problem = PseudoMarket


@dataclass(frozen=True)
class ProblemFiles:
    """A problem and the canonical files that say the same.

    Parameters
    ----------
    problem : PseudoMarket
        What was read.
    files : mapping
        File contents by name: ``problem.toml`` and a CSV file per table.
    """

    problem: Problem
    files: Mapping[str, bytes]


def read_problem(folder: str | Path) -> Problem:
    """Read and check a problem folder.

    Parameters
    ----------
    folder : str or Path
        Holds ``problem.toml`` and the tables it names.

    Returns
    -------
    PseudoMarket
        The problem.

    Raises
    ------
    InvalidProblemError
        Listing every fault found, with file, row and column.
    NotSupportedError
        If the folder states a kind of problem that this version does not read.
    """
    problem, _ = _parse(_open(folder))
    return problem


def read_problem_files(folder: str | Path) -> ProblemFiles:
    """Read and check a problem folder, and keep a canonical copy of all that was read.

    Reading the copy gives the same problem. Parameters and errors are those of :func:`read_problem`.
    """
    return _with_files(_open(folder))


def parse_problem_files(files: Mapping[str, bytes]) -> ProblemFiles:
    """Read and check a problem folder that is given as contents by name.

    Returns and errors are those of :func:`read_problem_files`.
    """
    return _with_files(Source.of_files(files))


def _open(folder: str | Path) -> Source:
    if not Path(folder).is_dir():
        expected = "a problem folder (fairlot new makes one)"
        raise InvalidProblemError([Issue("no such folder", str(folder), expected=expected)])
    return Source.of_folder(Path(folder))


def _with_files(source: Source) -> ProblemFiles:
    problem, settings = _parse(source)
    return ProblemFiles(problem, table_files(settings, source.tables))


def _parse(source: Source) -> tuple[Problem, Mapping[str, Any]]:
    """Read a problem and its settings, or raise with every fault."""
    settings = source.settings()
    if settings is None:
        raise InvalidProblemError(source.issues)
    keys = Keys(settings, "", source.issues)
    if keys.get("format") != 1:
        keys.fault("format", "missing or unknown", settings.get("format"), "format = 1")
    kind = keys.choice("kind", tuple(_READERS))
    problem = _READERS[kind](source, keys) if kind in _READERS else None
    if problem is None or source.issues:
        raise InvalidProblemError(source.issues)
    return problem, settings


def table_files(data: Mapping[str, Any], tables: Mapping[str, Table]) -> dict[str, bytes]:
    """Write settings and tables as canonical files: ``problem.toml`` and ``<section>.csv``."""
    settings = {
        key: {**value, "file": f"{key}.csv"} if key in tables else value for key, value in data.items()
    }
    files = {SETTINGS: write_toml(settings)}
    for section, table in tables.items():
        files[f"{section}.csv"] = write_csv(table.columns, zip(*table.cells, strict=True))
    return files


def problem_files(problem: Problem) -> dict[str, bytes]:
    """Write a problem as the files of a problem folder.

    Parameters
    ----------
    problem : PseudoMarket
        The problem.

    Raises
    ------
    InvalidProblemError
        If an id cannot stand in a table.
    """
    return table_files(*market_tables(problem))


def write_problem(problem: Problem, folder: str | Path) -> None:
    """Write a problem folder; :func:`read_problem` gives the problem back.

    Parameters
    ----------
    problem : PseudoMarket
        The problem.
    folder : str or Path
        Must not exist, or be empty.
    """
    write_folder(folder, problem_files(problem))


def _read_reallocation(source: Source, keys: Keys) -> Problem | None:
    msg = "problems of kind 'reallocation' are not read by this version"
    raise NotSupportedError(msg)


_READERS: Mapping[str, Callable[[Source, Keys], Problem | None]] = {
    "pseudomarket": read_market,
    "reallocation": _read_reallocation,
}
