"""The background work itself: files and settings in, files and words out; no database."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fairlot.certificate import Certificate, Status
from fairlot.errors import FairlotError
from fairlot.io.equilibrium import equilibrium_files, json_bytes
from fairlot.io.menus import MENUS, PICKS, read_menus, read_picks
from fairlot.io.problem import ReallocationFiles, parse_problem_files, parse_reallocation_files
from fairlot.io.reallocation_results import design_files, outcome_files
from fairlot.io.results import MANIFEST, manifest
from fairlot.io.tables import Table, read_table
from fairlot.io.verification import verify_files
from fairlot.progress import Reporter
from fairlot.store import Area

REPORT = "report.html"
PUBLIC_REPORT = "report-public.html"
VALUE = "value.json"
PAST_MENUS, PAST_PICKS = "past-menus.csv", "past-picks.csv"
"""Files of a problem folder that say what was offered and picked last period."""


class NotDoneError(FairlotError):
    """The work came to an end without a result that may be used; the message says why."""


@dataclass(frozen=True)
class Done:
    """What some work made.

    Parameters
    ----------
    area : Area
        Where its files go.
    files : mapping of str to bytes
        A whole folder where the area is one.
    messages : tuple of str
        What came out, in words.
    """

    area: Area
    files: Mapping[str, bytes]
    messages: tuple[str, ...]


def solve(files: Mapping[str, bytes], settings: Mapping[str, Any], reporter: Reporter) -> Done:
    """Find certified prices and shares, and their lottery."""
    from fairlot.pseudomarket.solve import solve_equilibrium

    read = parse_problem_files(files)
    found = solve_equilibrium(read.problem, reporter=reporter, **settings)
    _refuse(found.status, found.certificate, "no certified equilibrium")
    made = equilibrium_files(found, found.lottery(), read.files)
    priced = 0 if found.prices is None else int((found.prices > 0).sum())
    return _sealed(
        Area.RESULT,
        made,
        f"{read.problem.n_agents} agents, {read.problem.n_goods} goods: {priced} goods have a price",
    )


def value(files: Mapping[str, bytes], settings: Mapping[str, Any], reporter: Reporter) -> Done:
    """Find out whether letting people choose is worth it."""
    from fairlot.reallocation.value.choice import value_of_choice

    found = value_of_choice(_tasks(files).problem, reporter=reporter, **settings)
    return Done(Area.REPORT, {VALUE: json_bytes(found.to_dict())}, tuple(found.words().splitlines()))


def design(files: Mapping[str, bytes], settings: Mapping[str, Any], reporter: Reporter) -> Done:
    """Design everybody's menu."""
    from fairlot.reallocation.design import design_menus

    read = _tasks(files)
    past = []
    if PAST_MENUS in files and PAST_PICKS in files and settings.get("method") == "past-picks":
        menus = read_menus(_table(files, PAST_MENUS), read.problem)
        past.append((menus, read_picks(_table(files, PAST_PICKS), read.problem, menus)))
    found = design_menus(read.problem, reporter=reporter, past=past, **settings)
    _refuse(found.status, found.certificate, "no certified menus")
    choosing = len(set(found.menus.ray_agents.tolist()))
    total = found.problem.status_quo_cost
    share = f" ({100 * found.expected_saving / abs(total):.1f}%)" if total else ""
    return _sealed(
        Area.DESIGN,
        design_files(found, read.files),
        f"{choosing} of {found.problem.n_agents} agents have a choice, {found.menus.n_rays} lines in all",
        f"expected saving {found.expected_saving:,.5g}{share}",
    )


def reallocate(files: Mapping[str, bytes], settings: Mapping[str, Any], reporter: Reporter) -> Done:
    """Select the best assignment that respects what everybody picked."""
    from fairlot.reallocation.outcome import reallocate_positions

    reporter.stage("selection")
    read = _tasks(files)
    menus = read_menus(_table(files, MENUS), read.problem)
    picks = read_picks(_table(files, PICKS), read.problem, menus)
    found = reallocate_positions(read.problem, menus, picks, **settings)
    _refuse(found.status, found.certificate, "no certified selection")
    picked = int((picks >= 0).sum())
    return _sealed(
        Area.RESULT,
        outcome_files(found, found.lottery(), read.files),
        f"{picked} of {len(picks)} people picked an exchange; {found.moved:,.6g} instances move",
        f"cost {found.cost:,.6g}, was {found.status_quo_cost:,.6g}: a saving of {found.saving:,.5g}",
    )


def report(files: Mapping[str, bytes], settings: Mapping[str, Any], reporter: Reporter) -> Done:
    """Make the report of a result, for the organiser and for the public."""
    from fairlot.report import report_page

    pages = {
        name: report_page(files, private=private, reporter=reporter).encode()
        for name, private in ((REPORT, False), (PUBLIC_REPORT, True))
    }
    return Done(Area.REPORT, pages, (f"{sum(map(len, pages.values())) / 1e6:.1f} MB, two pages",))


WORK: Mapping[str, Callable[[Mapping[str, bytes], Mapping[str, Any], Reporter], Done]] = {
    "solve": solve,
    "value": value,
    "design": design,
    "reallocate": reallocate,
    "report": report,
}


def _sealed(area: Area, files: Mapping[str, bytes], *messages: str) -> Done:
    """Seal a result folder, and check it once more from its files alone."""
    folder = {**files, MANIFEST: manifest(files)}
    checked = verify_files(folder)
    if not checked.passed:
        failed = "; ".join(f"{check.name}: {check.witness}" for check in checked.failed)
        msg = f"the result does not check: {failed}"
        raise NotDoneError(msg)
    seconds = json.loads(files["summary.json"])["seconds"]
    return Done(area, folder, (*messages, f"all {len(checked.checks)} checks pass; {seconds:.1f} s"))


def _refuse(status: Status, certificate: Certificate, what: str) -> None:
    if status is Status.CERTIFIED:
        return
    failed = [
        f"{check.name}: {check.residual:.1e}, at most {check.tolerance:.0e} {check.witness}".strip()
        for check in certificate.failed
    ]
    raise NotDoneError("\n".join([f"{what} ({status.replace('_', ' ')})", *failed[:20]]))


def _tasks(files: Mapping[str, bytes]) -> ReallocationFiles:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were told when it was checked
        return parse_reallocation_files(files)


def _table(files: Mapping[str, bytes], name: str) -> Table:
    table = read_table(files.__getitem__, name, [])
    if table is None:
        msg = f"{name} cannot be read"
        raise NotDoneError(msg)
    return table
