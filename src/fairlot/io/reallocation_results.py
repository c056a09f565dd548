"""Designs and outcomes of a reallocation as the files of a result folder, and back.

A design is ``menus.csv``, ``menus.md``, ``mechanism.csv`` (and ``mechanism_menus.csv``) and a blank
``picks.csv``; an outcome is ``menus.csv``, ``picks.csv``, ``shares.csv``, ``prices.csv`` (``task,price``: the
social cost per instance that proves the selection), ``lottery.json`` and ``letters.md``. Both keep what was
read under ``input/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairlot.certificate import Certificate, Check
from fairlot.errors import FairlotError, InvalidProblemError, Issue
from fairlot.io.equilibrium import INPUT, json_bytes, peak_memory_mb, shares_csv
from fairlot.io.lookup import Lookup
from fairlot.io.menus import MENUS, PICKS, menus_csv, picks_csv, read_menus, read_picks
from fairlot.io.problem import parse_reallocation_files
from fairlot.io.tables import FINITE, NON_NEGATIVE, Table, numbers, read_table, write_csv
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.verify.lottery import verify_lottery
from fairlot.verify.reallocation import verify_menus, verify_outcome

if TYPE_CHECKING:
    from fairlot.model.lotteries import Lottery
    from fairlot.reallocation.design import Design
    from fairlot.reallocation.outcome import Outcome


def design_files(design: Design, inputs: Mapping[str, bytes]) -> dict[str, bytes]:
    """Write a design as the files of a result folder.

    Parameters
    ----------
    design : Design
        As designed.
    inputs : mapping
        The problem folder that was read, canonical.
    """
    from fairlot.io.mechanism import mechanism_files
    from fairlot.reallocation.letters import menus_document

    problem, menus = design.problem, design.menus
    return {
        **{f"{INPUT}{name}": data for name, data in inputs.items()},
        MENUS: menus_csv(menus),
        "menus.md": menus_document(problem, menus).encode(),
        **mechanism_files(design),
        PICKS: picks_csv(problem, menus),
        "certificate.json": json_bytes(design.certificate.to_dict()),
        "summary.json": json_bytes(design_summary(design)),
    }


def design_summary(design: Design) -> dict[str, Any]:
    """Return what ``summary.json`` says of a design."""
    return {**_summary(design), **design.to_dict()}


def outcome_files(outcome: Outcome, lottery: Lottery | None, inputs: Mapping[str, bytes]) -> dict[str, bytes]:
    """Write an outcome as the files of a result folder.

    Parameters
    ----------
    outcome : Outcome
        As selected.
    lottery : Lottery or None
        Its lottery; None where the outcome is not certified.
    inputs : mapping
        The problem folder that was read, canonical.
    """
    from fairlot.reallocation.letters import letters_document

    problem, menus = outcome.problem, outcome.menus
    prices = zip(problem.tasks, outcome.prices.tolist(), strict=True)
    files = {
        **{f"{INPUT}{name}": data for name, data in inputs.items()},
        MENUS: menus_csv(menus),
        PICKS: picks_csv(problem, menus, outcome.picks),
        "shares.csv": shares_csv(outcome.shares, "task"),
        "prices.csv": write_csv(("task", "price"), [(task, f"{price:.17g}") for task, price in prices]),
        "letters.md": letters_document(outcome).encode(),
        "certificate.json": json_bytes(outcome.certificate.to_dict()),
        "summary.json": json_bytes(outcome_summary(outcome)),
    }
    if lottery is not None:
        files["lottery.json"] = lottery.to_json()
    return files


def outcome_summary(outcome: Outcome) -> dict[str, Any]:
    """Return what ``summary.json`` says of an outcome."""
    return {**_summary(outcome), **outcome.to_dict()}


def _summary(found: Design | Outcome) -> dict[str, Any]:
    from fairlot import __version__

    return {
        "kind": "reallocation",
        "status": str(found.status),
        "method": found.stats.method,
        "seconds": round(found.stats.seconds, 3),
        "peak_memory_mb": peak_memory_mb(),
        "version": __version__,
        "title": found.problem.title,
        "n_agents": found.problem.n_agents,
        "n_tasks": found.problem.n_tasks,
    }


def read_menus_file(file: str | Path, problem: ReallocationProblem) -> Menus:
    """Read a file of menus from anywhere.

    Parameters
    ----------
    file : str or Path
        ``.csv``, ``.xlsx`` or ``.parquet`` with the columns of ``menus.csv``.
    problem : ReallocationProblem
        Whose menus they are.

    Raises
    ------
    InvalidProblemError
        Listing every fault.
    """
    return read_menus(_read_file(file), problem)


def read_picks_file(file: str | Path, problem: ReallocationProblem, menus: Menus) -> IntArray:
    """Read a file of picks from anywhere; parameters and errors as in :func:`read_menus_file`.

    Returns
    -------
    IntArray, shape (n_members,)
        Position of the ray in the menus, -1 to keep.
    """
    return read_picks(_read_file(file), problem, menus)


def _read_file(file: str | Path) -> Table:
    path, issues = Path(file), list[Issue]()
    table = read_table(lambda _: path.read_bytes(), path.name, issues)
    if table is None or issues:
        raise InvalidProblemError(issues)
    return table


@dataclass(frozen=True, eq=False)
class PublishedOutcome:
    """What a result folder publishes of an outcome.

    Parameters
    ----------
    problem : ReallocationProblem
        Read from ``input/``.
    menus : Menus
        What was offered.
    picks : IntArray, shape (n_members,)
        What was picked.
    amounts : FloatArray, shape (n_members, n_tasks)
        Expected amounts.
    prices : FloatArray, shape (n_tasks,)
        Social cost per instance.
    """

    problem: ReallocationProblem
    menus: Menus
    picks: IntArray
    amounts: FloatArray
    prices: FloatArray


def read_outcome(files: Mapping[str, bytes]) -> PublishedOutcome:
    """Read what a result folder publishes of an outcome.

    Parameters
    ----------
    files : mapping
        Contents by name.

    Raises
    ------
    InvalidProblemError
        Listing every fault.
    """
    from fairlot.reallocation.outcome import member_ids

    problem = published_problem(files)
    menus = read_menus(_table(files, MENUS), problem)
    picks = read_picks(_table(files, PICKS), problem, menus)
    members = member_ids(problem)
    amounts = np.zeros((len(members), problem.n_tasks))
    issues: list[Issue] = []
    shares = _table(files, "shares.csv")
    if shares.require(("agent", "task", "share"), issues):
        whole = Table("the problem", (), (), (), complete=True)
        rows = Lookup("agent", whole, members).positions(
            shares["agent"], shares, shares.rows, "agent", issues
        )
        columns = Lookup("task", whole, problem.tasks).positions(
            shares["task"], shares, shares.rows, "task", issues
        )
        known = (rows >= 0) & (columns >= 0)
        cells = numbers(shares, "share", NON_NEGATIVE, issues)
        np.add.at(amounts, (rows[known], columns[known]), cells[known])
    table = _table(files, "prices.csv")
    prices = np.zeros(problem.n_tasks)
    if table.require(("task", "price"), issues):
        found = numbers(table, "price", FINITE, issues)
        if tuple(table["task"]) == problem.tasks:
            prices = found
        else:
            issues.append(Issue("tasks", "prices.csv", expected="those of the input, in its order"))
    if issues:
        raise InvalidProblemError(issues)
    return PublishedOutcome(problem, menus, picks, amounts, prices)


def read_offer(files: Mapping[str, bytes]) -> tuple[ReallocationProblem, Menus]:
    """Read the problem and the menus that a result folder of a design publishes.

    Parameters
    ----------
    files : mapping
        Contents by name.

    Raises
    ------
    InvalidProblemError
        Listing every fault.
    """
    problem = published_problem(files)
    return problem, read_menus(_table(files, MENUS), problem)


def published_problem(files: Mapping[str, bytes]) -> ReallocationProblem:
    """Read the problem that a result folder keeps under ``input/``.

    Parameters
    ----------
    files : mapping
        Contents by name.
    """
    inputs = {name.removeprefix(INPUT): data for name, data in files.items() if name.startswith(INPUT)}
    return parse_reallocation_files(inputs).problem


def _table(files: Mapping[str, bytes], name: str) -> Table:
    issues: list[Issue] = []

    def read(file: str) -> bytes:
        if file not in files:
            raise FileNotFoundError(file)
        return files[file]

    table = read_table(read, name, issues)
    if table is None or issues:
        raise InvalidProblemError(issues)
    return table


def reallocation_checks(files: Mapping[str, bytes]) -> list[Check]:
    """Recompute what the files of a result folder claim of a design or an outcome.

    Parameters
    ----------
    files : mapping
        Contents by name.

    Returns
    -------
    list of Check
        ``input`` and ``published`` count faults; ``menus: ...`` or ``outcome: ...`` are those of
        :mod:`fairlot.verify.reallocation`, ``mechanism: ...`` those of :mod:`fairlot.verify.mechanism`;
        ``lottery: ...`` say whether the lottery has the published shares; ``summary`` whether the folder
        claims more of itself than was found.
    """
    problem, faults = _input(files)
    checks = [_count("input", faults)]
    if problem is None:
        return checks
    is_outcome = "shares.csv" in files
    certificate: Certificate | None = None
    try:
        if is_outcome:
            published = read_outcome(files)
            moved = published.amounts - np.repeat(problem.endowment, problem.sizes, axis=0)
            certificate = verify_outcome(problem, published.menus, published.picks, moved, published.prices)
        else:
            certificate = verify_menus(problem, read_menus(_table(files, MENUS), problem))
    except FairlotError as error:
        checks.append(_count("published", str(error).splitlines()))
    else:
        checks.append(_count("published", []))
        prefix = "outcome: " if is_outcome else "menus: "
        checks += [
            Check(f"{prefix}{check.name}", check.residual, check.tolerance, check.witness)
            for check in certificate.checks
        ]
        if is_outcome:
            checks += _lottery(files, published)
        else:
            checks += _mechanism(files, problem)
    checks.append(_count("summary", _claims(files, certificate is not None and certificate.passed)))
    return checks


def _count(name: str, faults: list[str]) -> Check:
    return Check(name, float(len(faults)), 0.0, faults[0] if faults else "")


def _input(files: Mapping[str, bytes]) -> tuple[ReallocationProblem | None, list[str]]:
    inputs = {name.removeprefix(INPUT): data for name, data in files.items() if name.startswith(INPUT)}
    try:
        read = parse_reallocation_files(inputs)
    except FairlotError as error:
        return None, [f"{INPUT}{fault}" for fault in str(error).splitlines()]
    return read.problem, [
        f"{INPUT}{name} is not canonical"
        for name in sorted(inputs.keys() | read.files.keys())
        if inputs.get(name) != read.files.get(name)
    ]


def _mechanism(files: Mapping[str, bytes], problem: ReallocationProblem) -> list[Check]:
    """Recompute what a design claims of the mechanism behind its menus, where it tells enough."""
    from fairlot.io.mechanism import MECHANISM_PRICES, mechanism_checks

    if MECHANISM_PRICES not in files:
        return []
    try:
        found = mechanism_checks(files, problem, read_menus(_table(files, MENUS), problem))
    except FairlotError as error:
        return [_count("mechanism: files", str(error).splitlines())]
    return [
        _count("mechanism: files", []),
        *(Check(f"mechanism: {c.name}", c.residual, c.tolerance, c.witness) for c in found),
    ]


def _lottery(files: Mapping[str, bytes], published: PublishedOutcome) -> list[Check]:
    """Compare the lottery's expectations with the published amounts, transfers left out."""
    from fairlot.lottery import lottery_from_shares
    from fairlot.model.lotteries import Lottery
    from fairlot.reallocation.outcome import drawn_shares, member_ids

    problem = published.problem
    shares = drawn_shares(problem, member_ids(problem), published.amounts)
    try:
        expected = lottery_from_shares(shares, kind="reallocation")
        lottery = Lottery.from_json(files["lottery.json"])
    except KeyError:
        return [_count("lottery: file", ["lottery.json is missing"])]
    except FairlotError as error:
        return [_count("lottery: file", str(error).splitlines())]
    same = lottery.to_json() == expected.to_json()
    return [
        _count("lottery: file", []),
        _count("lottery: sets", [] if same else ["not those of everybody's load and every task's total"]),
        *(
            Check(f"lottery: {check.name}", check.residual, check.tolerance, check.witness)
            for check in verify_lottery(lottery, shares).checks
        ),
    ]


def _claims(files: Mapping[str, bytes], found: bool) -> list[str]:
    try:
        claimed = json.loads(files["certificate.json"])["passed"]
        status = str(json.loads(files["summary.json"])["status"])
    except (KeyError, ValueError, TypeError):
        return ["certificate.json or summary.json cannot be read"]
    faults = []
    if claimed is not False and not found:
        faults.append("certificate.json claims that all passed")
    if (status == "certified") != (claimed is True):
        faults.append(f"summary.json says {status}, certificate.json says passed = {claimed}")
    return faults
