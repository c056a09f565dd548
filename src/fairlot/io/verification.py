"""An independent check of a whole result folder, from its files alone.

==================  =====================================================================================
``manifest``        every file has the SHA-256 that ``manifest.json`` lists, and none is missing or added
``input``           ``input/`` is a problem folder, in canonical form
``published``       prices and shares can be read, for the agents and goods of the input
``summary``         ``certificate.json`` and ``summary.json`` claim no more than what is found here
``infeasibility``   (only where ``summary.json`` says so) no assignment respects all bounds
``equilibrium: …``  the conditions of a strong equilibrium (:mod:`fairlot.verify.equilibrium`)
``lottery: …``      the published lottery has the published shares and respects every bound of the market
``draw: …``         after a commitment: what was frozen; after a draw: seed, assignment, bounds, record
``menus: …``        of a reallocation, instead of equilibrium and infeasibility: the design's menus, or
``outcome: …``      the outcome of the picks (:mod:`fairlot.verify.reallocation`)
``mechanism: …``    of a design, the randomised mechanism behind it (:mod:`fairlot.verify.mechanism`)
==================  =====================================================================================

A residual of the first four counts faults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlot.certificate import Certificate, Check
from fairlot.errors import FairlotError
from fairlot.io.equilibrium import INPUT, PublishedEquilibrium, published_market, read_equilibrium
from fairlot.io.menus import MENUS
from fairlot.io.problem import parse_problem_files
from fairlot.io.reallocation_results import reallocation_checks
from fairlot.io.results import manifest_faults, read_result
from fairlot.io.timetable import timetable_checks

_EQUILIBRIUM = "equilibrium: "
_LOTTERY = "lottery: "
_DRAW = "draw: "


@dataclass(frozen=True)
class Verification(Certificate):
    """The certificate of a result folder, and what it says nothing about.

    Parameters
    ----------
    unseen : tuple of str
        What no check could see, in words.
    statement : str
        Of a timetable, what its checks make true of every draw.
    """

    unseen: tuple[str, ...] = ()
    statement: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the checks, what was not seen, and what is true of every draw."""
        told = {"statement": self.statement} if self.statement else {}
        return {**super().to_dict(), "unseen": list(self.unseen), **told}


def verify_result(
    folder: str | Path, *, tol: float = 1e-9, commitment: str | None = None, salts: bytes | None = None
) -> Verification:
    """Recompute everything that a result folder claims.

    Parameters
    ----------
    folder : str or Path
        A result folder, or what was published of one.
    tol : float
        Largest residual of an equilibrium or lottery condition that passes.
    commitment : str, optional
        The hash that was published before the draw, 64 hexadecimal digits.
    salts : bytes, optional
        The organiser's private file of salts, which opens the personal tables.

    Returns
    -------
    Verification
        The checks of this module. Where personal tables are kept back, prices and shares cannot be
        recomputed: those checks are left out, and ``unseen`` says so.

    Raises
    ------
    ResultFolderError
        If there is no result folder.
    """
    from fairlot.io.partitioned_results import partitioned_checks

    checks = partitioned_checks(folder, tol=tol)
    if checks is not None:
        return Verification(tuple(check.name for check in checks), tuple(checks))
    return verify_files(read_result(folder), tol=tol, commitment=commitment, salts=salts)


def verify_files(
    files: Mapping[str, bytes],
    *,
    tol: float = 1e-9,
    commitment: str | None = None,
    salts: bytes | None = None,
) -> Verification:
    """Recompute everything that the files of a result folder claim; see :func:`verify_result`."""
    checks = [_count("manifest", manifest_faults(files))]
    unseen: list[str] = []
    statement = ""
    kept_back = _kept_back(files)
    if kept_back:
        unseen.append(
            f"{', '.join(kept_back)} is kept back, so prices, shares and the lottery's bounds were not "
            "recomputed; only who holds the whole result can do that"
        )
    elif MENUS in files:
        checks += reallocation_checks(files)
    else:
        found, statement = _market(files, tol, unseen)
        checks += found
    checks += _draw(files, commitment, salts, unseen)
    return Verification(tuple(check.name for check in checks), tuple(checks), tuple(unseen), statement)


def _market(files: Mapping[str, bytes], tol: float, unseen: list[str]) -> tuple[list[Check], str]:
    """Check what is claimed of a pseudo-market: an equilibrium and a lottery, or that there is none."""
    checks = [_count("input", _input_faults(files))]
    if _status(files) == "infeasible":
        return [*checks, _count("infeasibility", _feasible(files))], ""
    statement = ""
    try:
        published = read_equilibrium(files)
    except FairlotError as error:
        checks.append(_count("published", str(error).splitlines()))
    else:
        checks.append(_count("published", []))
        if published.market.crossings:
            found, statement = timetable_checks(files, published, tol, unseen, _EQUILIBRIUM, _LOTTERY)
            checks += found
        else:
            checks += [*_equilibrium(published, tol), *_lottery(files, published, tol)]
    return [*checks, _count("summary", _claims(files, checks))], statement


def _status(files: Mapping[str, bytes]) -> str:
    try:
        return str(json.loads(files["summary.json"])["status"])
    except (KeyError, ValueError, TypeError):
        return ""


def _feasible(files: Mapping[str, bytes]) -> list[str]:
    """Look for an assignment where the result says that there is none."""
    from fairlot.pseudomarket.preconditions import feasible_assignment

    try:
        trouble = feasible_assignment(published_market(files))
    except FairlotError as error:
        return str(error).splitlines()
    return [] if trouble else ["an assignment within all bounds exists"]


def _kept_back(files: Mapping[str, bytes]) -> list[str]:
    """Name the personal tables that the commitment froze and the folder does not hold."""
    try:
        personal = json.loads(files["commitment.json"])["frozen"]["personal"]
        return [name for name, _ in personal if name not in files]
    except (KeyError, ValueError, TypeError):
        return []


def _count(name: str, faults: list[str]) -> Check:
    return Check(name, float(len(faults)), 0.0, faults[0] if faults else "")


def _input_faults(files: Mapping[str, bytes]) -> list[str]:
    inputs = {name.removeprefix(INPUT): data for name, data in files.items() if name.startswith(INPUT)}
    try:
        canonical = parse_problem_files(inputs).files
    except FairlotError as error:
        return [f"{INPUT}{fault}" for fault in str(error).splitlines()]
    return [
        f"{INPUT}{name} is not canonical"
        for name in sorted(inputs.keys() | canonical.keys())
        if inputs.get(name) != canonical.get(name)
    ]


def _equilibrium(published: PublishedEquilibrium, tol: float) -> list[Check]:
    from fairlot.verify.equilibrium import verify_equilibrium

    certificate = verify_equilibrium(
        published.market, published.prices, published.shares, row_prices=published.row_prices, tol=tol
    )
    return [_renamed(_EQUILIBRIUM, check) for check in certificate.checks]


def _renamed(prefix: str, check: Check) -> Check:
    return Check(f"{prefix}{check.name}", check.residual, check.tolerance, check.witness)


def _claims(files: Mapping[str, bytes], checks: list[Check]) -> list[str]:
    """Compare what the folder claims of itself with what was found."""
    try:
        claimed = json.loads(files["certificate.json"])["passed"]
    except (KeyError, ValueError, TypeError):
        return ["certificate.json cannot be read"]
    status = _status(files)
    found = all(check.passed for check in checks if check.name.startswith(_EQUILIBRIUM))
    faults = []
    if claimed is not False and not found:
        faults.append("certificate.json claims that all passed")
    if (status == "certified") != (claimed is True):
        faults.append(f"summary.json says {status}, certificate.json says passed = {claimed}")
    return faults


def _lottery(files: Mapping[str, bytes], published: PublishedEquilibrium, tol: float) -> list[Check]:
    from fairlot.model.lotteries import Lottery
    from fairlot.verify.lottery import verify_lottery

    try:
        lottery = Lottery.from_json(files["lottery.json"])
    except KeyError:
        return [_count(f"{_LOTTERY}file", ["lottery.json is missing"])]
    except FairlotError as error:
        return [_count(f"{_LOTTERY}file", str(error).splitlines())]
    certificate = verify_lottery(lottery, published.shares, market=published.market, tol=tol)
    return [_count(f"{_LOTTERY}file", []), *(_renamed(_LOTTERY, check) for check in certificate.checks)]


def _draw(
    files: Mapping[str, bytes], commitment: str | None, salts: bytes | None, unseen: list[str]
) -> list[Check]:
    """Check the commitment, and the draws once there is a transcript; note what these cannot see."""
    from fairlot.verify.transcript import verify_commitment, verify_draw

    if "commitment.json" not in files and commitment is None:
        return []
    verify = verify_draw if "transcript.json" in files else verify_commitment
    checks = []
    for check in verify(files, commitment=commitment, salts=salts).checks:
        if check.name == "manifest":  # at the top already
            continue
        if check.passed and check.witness and check.name != "frozen files":  # the personal tables say it
            unseen.append(check.witness.replace("not opened:", "personal tables that no salt opened:"))
        witness = "" if check.passed else check.witness
        checks.append(Check(f"{_DRAW}{check.name}", check.residual, check.tolerance, witness))
    return checks
