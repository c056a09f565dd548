"""The life of a round: draft, checked, open, frozen, solved, drawn, published, archived.

It moves forward only, one step at a time, and each step is an entry of its log. Until it is open its files
may change; when it is frozen everything that counts is hashed, and nothing changes any more.
"""

from __future__ import annotations

import re
import tomllib
import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.equilibrium import INPUT
from fairlot.io.keys import SETTINGS
from fairlot.io.menus import MENUS, PICKS
from fairlot.io.problem import parse_problem_files, parse_reallocation_files
from fairlot.lottery.protocol import Salts, new_salts
from fairlot.lottery.protocol.canonical import canonical_json, digest
from fairlot.lottery.protocol.salts import personal_tables, rows_of_agents
from fairlot.model.market import PseudoMarket
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.outcome import member_ids
from fairlot.rounds import choices
from fairlot.rounds.access import existing, in_state
from fairlot.rounds.checking import check_problem
from fairlot.rounds.records import CheckReport, Frozen, RefusedError
from fairlot.rounds.wishes import Scale
from fairlot.store import Account, Area, Kind, Role, Round, RoundState, Store
from fairlot.store.chain import moment
from fairlot.store.writing import Writing
from fairlot.verify.personal import salted

FROZEN_FILE = "frozen.json"
FROZEN_SALTS = "frozen-salts.json"
RETENTION_DAYS = 365
_NAME = re.compile(r"[^./\\~][^/\\]{0,120}")
_DEFAULTS = {"scale": Scale.STARS.value, "preview": None, "contact": "", "retention_days": RETENTION_DAYS}
_BEFORE_OPEN = (RoundState.DRAFT, RoundState.CHECKED)
_BEFORE_FREEZE = (*_BEFORE_OPEN, RoundState.OPEN)


def create_round(store: Store, title: str, kind: Kind | str, who: Account, **settings: Any) -> Round:
    """Begin a round.

    Parameters
    ----------
    store : Store
        The database.
    title : str
        For people.
    kind : Kind or str
        Which half.
    who : Account
        Its owner.
    **settings
        See :func:`set_settings`.
    """
    chosen = _checked_settings({**_DEFAULTS, **settings})
    with store.writing() as tx:
        made = tx.add_round(_title(title), Kind(kind), chosen)
        tx.set_role(made.id, who.id, Role.OWNER)
        tx.append(made.id, who.name, "created", {"title": made.title, "kind": made.kind})
        return existing(tx, made.id)


def enrol(tx: Writing, round_id: str, files: Mapping[str, bytes], kind: Kind) -> int:
    """Make the agents of a problem those of a round; return how many."""
    agents = _agents(files, kind)
    tx.set_participants(round_id, agents)
    return len(agents)


def rounds(store: Store, who: Account) -> tuple[Round, ...]:
    """List the rounds that an organiser has a role in, latest first."""
    with store.reading() as tx:
        return tx.rounds(who.id)


def round_(store: Store, round_id: str) -> Round:
    """Return a round.

    Raises
    ------
    UnknownError
        If there is none.
    """
    with store.reading() as tx:
        return existing(tx, round_id)


def set_settings(
    store: Store, round_id: str, who: Account, *, title: str | None = None, **settings: Any
) -> Round:
    """Change the title or some settings of a round.

    Parameters
    ----------
    store : Store
        The database.
    round_id : str
        Which round.
    who : Account
        For the log.
    title : str, optional
        For people; until it is open.
    **settings
        ``scale`` (``stars`` or ``points``, until it is open), ``preview`` (None, or label and prices of an
        earlier round, until it is frozen), ``contact`` (where agents can ask, any time), ``retention_days``
        (how long personal data are kept after it is archived, any time).
    """
    with store.writing() as tx:
        found = existing(tx, round_id)
        if "scale" in settings or title is not None:
            in_state(tx, round_id, _BEFORE_OPEN, "changing the title or the scale")
        if "preview" in settings:
            in_state(tx, round_id, _BEFORE_FREEZE, "changing the preview")
        chosen = _checked_settings({**found.settings, **settings})
        changed = sorted(name for name, value in chosen.items() if value != found.settings.get(name))
        tx.set_round(round_id, title=None if title is None else _title(title), settings=chosen)
        detail = {"settings": changed} if title is None else {"settings": changed, "title": _title(title)}
        tx.append(round_id, who.name, "settings changed", detail)
        return existing(tx, round_id)


def upload(store: Store, round_id: str, files: Mapping[str, bytes], who: Account) -> tuple[Issue, ...]:
    """Make these files the problem folder of a round, in place of what was there; it is a draft again.

    They are kept even if they have faults, to be mended. A table of values may be missing: agents will say.

    Parameters
    ----------
    store : Store
        The database.
    round_id : str
        A round that is not open yet.
    files : mapping of str to bytes
        Contents by name.
    who : Account
        For the log.

    Returns
    -------
    tuple of Issue
        All faults found.
    """
    if bad := [name for name in files if not _NAME.fullmatch(name) or not name.isprintable()]:
        issues = [Issue("not a name for a file of a problem", name) for name in bad]
        raise InvalidProblemError(issues)
    with store.writing() as tx:
        found = in_state(tx, round_id, _BEFORE_OPEN, "changing the problem")
        kept = _with_values(files, found.kind)
        tx.drop_files(round_id, Area.PROBLEM)
        tx.drop_files(round_id, Area.DESIGN)
        tx.put_files(round_id, Area.PROBLEM, kept)
        tx.set_round(round_id, state=RoundState.DRAFT)
        detail = {"files": len(kept), "sha256": tx.fingerprint(round_id, Area.PROBLEM)}
        tx.append(round_id, who.name, "problem uploaded", detail)
    return check_problem(kept, found.kind).issues


def read_back(store: Store, round_id: str) -> Mapping[str, bytes]:
    """Return the problem folder: as uploaded, from the freeze on as frozen, with what agents chose."""
    with store.reading() as tx:
        existing(tx, round_id)
        return tx.files(round_id, Area.FROZEN) or tx.files(round_id, Area.PROBLEM)


def check_report(store: Store, round_id: str) -> CheckReport:
    """Check the problem as it stands, changing nothing."""
    with store.reading() as tx:
        found = existing(tx, round_id)
        files = tx.files(round_id, Area.FROZEN) or tx.files(round_id, Area.PROBLEM)
    return check_problem(files, found.kind)


def check(store: Store, round_id: str, who: Account) -> CheckReport:
    """Check the problem; a draft that passes is checked from then on."""
    with store.reading() as tx:
        found = existing(tx, round_id)
        before = tx.fingerprint(round_id, Area.PROBLEM)
        files = tx.files(round_id, Area.FROZEN) or tx.files(round_id, Area.PROBLEM)
    report = check_problem(files, found.kind)
    if found.state is RoundState.DRAFT:
        with store.writing() as tx:
            unchanged = tx.fingerprint(round_id, Area.PROBLEM) == before
            if unchanged and existing(tx, round_id).state is RoundState.DRAFT:
                if report.passed:
                    tx.set_round(round_id, state=RoundState.CHECKED)
                detail = {"passed": int(report.passed), "faults": len(report.issues), "sha256": before}
                tx.append(round_id, who.name, "checked", detail)
    return report


def open_round(store: Store, round_id: str, deadline: datetime, who: Account) -> Round:
    """Open a checked round for choices until the deadline; of a reallocation, once menus are designed.

    Raises
    ------
    RefusedError
        If it is not checked, has no menus, or the deadline has passed.
    """
    with store.writing() as tx:
        found = in_state(tx, round_id, (RoundState.CHECKED,), "opening")
        files = tx.files(round_id, Area.PROBLEM)
        _refuse_past(tx, round_id, deadline)
        if found.kind is Kind.REALLOCATION and tx.file(round_id, Area.DESIGN, MENUS) is None:
            msg = "opening is not possible now: menus have not been designed"
            raise RefusedError(msg)
        agents = enrol(tx, round_id, files, found.kind)
        tx.set_round(round_id, state=RoundState.OPEN, deadline=deadline)
        menus = tx.fingerprint(round_id, Area.DESIGN) if found.kind is Kind.REALLOCATION else ""
        detail = {
            "agents": agents,
            "deadline": moment(deadline),
            "problem": tx.fingerprint(round_id, Area.PROBLEM),
            "menus": menus,
        }
        tx.append(round_id, who.name, "opened", detail)
        return existing(tx, round_id)


def extend(store: Store, round_id: str, deadline: datetime, who: Account) -> Round:
    """Move the deadline of an open round.

    Raises
    ------
    RefusedError
        If it is not open, or the new deadline has passed.
    """
    with store.writing() as tx:
        in_state(tx, round_id, (RoundState.OPEN,), "moving the deadline")
        _refuse_past(tx, round_id, deadline)
        tx.set_round(round_id, deadline=deadline)
        tx.append(round_id, who.name, "deadline moved", {"deadline": moment(deadline)})
        return existing(tx, round_id)


def freeze(store: Store, round_id: str, who: Account) -> Frozen:
    """Close choices, put them into the problem folder, and hash all of it.

    The hash covers every file; those with rows of agents under salts, so that nobody can find a choice by
    trying, and every agent's rows once more under a salt of her own, so that she can check hers.

    Raises
    ------
    RefusedError
        If the round is not open.
    InvalidProblemError
        If the choices make a problem that cannot be read.
    """
    with store.writing() as tx:
        found = in_state(tx, round_id, (RoundState.OPEN,), "freezing")
        chosen = {submission.agent: submission.payload for submission in tx.submissions(round_id)}
        files = tx.files(round_id, Area.PROBLEM)
        if found.kind is Kind.PSEUDOMARKET:
            merged = choices.values_csv(files, chosen, found.settings["scale"])
            frozen_files = dict(parse_problem_files(merged).files)
        else:
            menus = tx.file(round_id, Area.DESIGN, MENUS) or b""
            picks = choices.picks_csv(files, menus, chosen)
            frozen_files = {**_canonical_tasks(files), MENUS: menus, PICKS: picks}
        entry_time = tx.now(round_id)
        named = {f"{INPUT}{name}": data for name, data in frozen_files.items()}
        salts = new_salts(round_id, named)
        document = _frozen_document(found, named, salts, len(chosen))
        tx.put_files(round_id, Area.FROZEN, frozen_files)
        tx.put_files(round_id, Area.PRIVATE, {FROZEN_SALTS: salts.to_json()})
        tx.put_files(round_id, Area.REPORT, {FROZEN_FILE: document})
        tx.set_round(round_id, state=RoundState.FROZEN)
        early = found.deadline is not None and entry_time < found.deadline
        detail = {"sha256": digest(document), "choices": len(chosen), "before_deadline": int(early)}
        entry = tx.append(round_id, who.name, "frozen", detail)
        return Frozen(digest(document), document, entry.at, len(chosen))


def frozen(store: Store, round_id: str) -> Frozen | None:
    """Return what was frozen; None before that."""
    with store.reading() as tx:
        existing(tx, round_id)
        document = tx.file(round_id, Area.REPORT, FROZEN_FILE)
        if document is None:
            return None
        entry = next(e for e in tx.log(round_id) if e.what == "frozen")
        return Frozen(digest(document), document, entry.at, entry.detail["choices"])


def publish(store: Store, round_id: str, who: Account) -> Round:
    """Show everybody her outcome, and the public what may be published."""
    return _step(store, round_id, who, RoundState.DRAWN, RoundState.PUBLISHED, "publishing")


def archive(store: Store, round_id: str, who: Account) -> Round:
    """End a published round; personal data are erased when its retention has passed."""
    return _step(store, round_id, who, RoundState.PUBLISHED, RoundState.ARCHIVED, "archiving")


def _step(
    store: Store, round_id: str, who: Account, before: RoundState, after: RoundState, doing: str
) -> Round:
    with store.writing() as tx:
        in_state(tx, round_id, (before,), doing)
        tx.set_round(round_id, state=after)
        tx.append(round_id, who.name, after.value, {})
        return existing(tx, round_id)


def _title(title: str) -> str:
    plain = " ".join(title.split())
    if not plain or len(plain) > 300 or not plain.isprintable():
        msg = "a title is one line of 1 to 300 characters"
        raise RefusedError(msg)
    return plain


def _checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    faults = [f"{name}: no such setting" for name in settings if name not in _DEFAULTS]
    if settings.get("scale") not in list(Scale):
        faults.append("scale: stars or points")
    days = settings.get("retention_days")
    if not isinstance(days, int) or not 0 <= days <= 36500:
        faults.append("retention_days: a whole number of days")
    if not isinstance(settings.get("contact"), str) or len(settings["contact"]) > 400:
        faults.append("contact: up to 400 characters")
    if faults:
        raise RefusedError("; ".join(faults))
    return dict(settings)


def _refuse_past(tx: Writing, round_id: str, deadline: datetime) -> None:
    if deadline.tzinfo is None:
        msg = "a deadline needs a time zone"
        raise RefusedError(msg)
    if not timedelta() < deadline - tx.now(round_id) < timedelta(days=3700):
        msg = "the deadline must be in the future, and within ten years"
        raise RefusedError(msg)


def _with_values(files: Mapping[str, bytes], kind: Kind) -> dict[str, bytes]:
    """Add an empty table of values where ``problem.toml`` names one that is not there."""
    kept = dict(files)
    if kind is Kind.PSEUDOMARKET and SETTINGS in kept:
        try:
            section = tomllib.loads(kept[SETTINGS].decode()).get("values", {})
            name = section.get("file")
        except (ValueError, AttributeError, RecursionError):
            return kept
        if isinstance(name, str) and name.endswith(".csv") and _NAME.fullmatch(name) and name not in kept:
            wide = section.get("layout") == "wide"
            kept[name] = b"agent\n" if wide else b"agent,good,value\n"
    return kept


def _agents(files: Mapping[str, bytes], kind: Kind) -> tuple[str, ...]:
    problem: PseudoMarket | ReallocationProblem
    if kind is Kind.PSEUDOMARKET:
        return parse_problem_files(files).problem.agents
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = parse_reallocation_files(files).problem
    return member_ids(problem)


def _canonical_tasks(files: Mapping[str, bytes]) -> dict[str, bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were told when it was checked
        return dict(parse_reallocation_files(files).files)


def _frozen_document(found: Round, named: Mapping[str, bytes], salts: Salts, chosen: int) -> bytes:
    tables = personal_tables(named)
    rows = rows_of_agents(tables)
    return canonical_json(
        {
            "format": 1,
            "round": found.id,
            "log": found.head,
            "choices": chosen,
            "files": [[name, digest(data)] for name, data in sorted(named.items()) if name not in tables],
            "personal": [[name, salted(salts.files[name], tables[name])] for name in sorted(tables)],
            "agents": [[agent, salted(salts.agents[agent], rows[agent])] for agent in sorted(rows)],
        }
    )
