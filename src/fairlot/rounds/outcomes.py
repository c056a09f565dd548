"""What came out: for an agent, for an organiser who answers a complaint, for the public."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fairlot.io.assignment import drawn_copies
from fairlot.io.equilibrium import PublishedEquilibrium, read_equilibrium
from fairlot.io.formats.enrolments import ASSIGNMENT, canvas_enrolments, oneroster_enrolments
from fairlot.io.formats.workbook import assignment_workbook
from fairlot.io.menus import MENUS
from fairlot.io.reallocation_results import PublishedOutcome, read_outcome
from fairlot.io.results import MANIFEST, manifest
from fairlot.lottery.protocol import Salts, Transcript, public_part, ticket
from fairlot.lottery.protocol.record import TRANSCRIPT_FILE
from fairlot.lottery.protocol.salts import personal_tables, rows_of_agents
from fairlot.pseudomarket.explanation import demand_at, explain_agent
from fairlot.reallocation.explanation import explain_member
from fairlot.reallocation.outcome import member_ids
from fairlot.rounds.access import existing, in_state, taking_part
from fairlot.rounds.drawing import SALTS, view_of
from fairlot.rounds.life import FROZEN_FILE
from fairlot.rounds.records import AgentOutcome, DrawView, PublicRound, RefusedError, UnknownError
from fairlot.rounds.work import PUBLIC_REPORT, REPORT
from fairlot.store import Area, RoundState, Store
from fairlot.store.reading import Reading

REDUCED = "reduced/"
"""Where the tables of a result are kept when somebody's rows in them have been erased."""
_KEPT = 2
_SUMMARY = "summary.json"
_FORMATS = ("csv", "xlsx", "canvas", "oneroster")
_SOLVED = (RoundState.SOLVED, RoundState.DRAWN, RoundState.PUBLISHED, RoundState.ARCHIVED)
_PUBLIC = (RoundState.PUBLISHED, RoundState.ARCHIVED)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A result as it was read, for the many who ask within a minute after publication."""

    files: Mapping[str, bytes]
    salts: Salts | None

    @cached_property
    def market(self) -> PublishedEquilibrium:
        return read_equilibrium(self.files)

    @cached_property
    def demand(self) -> Any:
        return demand_at(self.market.market, self.market.prices)

    @cached_property
    def tasks(self) -> PublishedOutcome:
        return read_outcome(self.files)

    @cached_property
    def drawn(self) -> dict[str, dict[str, int]] | None:
        noun, amount = ("task", "amount") if MENUS in self.files else ("good", "copies")
        return drawn_copies(self.files, noun, amount)

    @cached_property
    def transcript(self) -> Transcript | None:
        data = self.files.get(TRANSCRIPT_FILE)
        return None if data is None else Transcript.from_json(data)

    @cached_property
    def rows(self) -> dict[str, bytes]:
        return rows_of_agents(personal_tables(self.files))


_loaded: OrderedDict[tuple[str, str, str], _Loaded] = OrderedDict()
_loaded_lock = threading.Lock()


def outcome(store: Store, round_id: str, agent: str) -> AgentOutcome:
    """Return what an agent got and why; before publication for organisers alone.

    Raises
    ------
    RefusedError
        If the round is not solved yet, or the agent's data were erased.
    UnknownError
        If there is no such agent.
    """
    with store.reading() as tx:
        in_state(tx, round_id, _SOLVED, "an explanation")
        who = taking_part(tx, round_id, agent)
        chosen = tx.submission(round_id, agent)
        if who.erased:
            msg = "an explanation is not possible: this agent's data were erased"
            raise RefusedError(msg)
        found = _load(tx, round_id)
    with _loaded_lock:
        return _explained(found, agent, None if chosen is None else chosen.receipt)


def summary(store: Store, round_id: str) -> Mapping[str, Any]:
    """Return ``summary.json`` of the result, or of the design where there is no result yet."""
    with store.reading() as tx:
        existing(tx, round_id)
        data = tx.file(round_id, Area.RESULT, _SUMMARY) or tx.file(round_id, Area.DESIGN, _SUMMARY)
    if data is None:
        msg = "there is no result yet"
        raise UnknownError(msg)
    found: dict[str, Any] = json.loads(data)
    return found


def result(store: Store, round_id: str, area: Area = Area.RESULT) -> Mapping[str, bytes]:
    """Return the files of the result folder (or the design), byte for byte; none before there is one."""
    with store.reading() as tx:
        existing(tx, round_id)
        return tx.files(round_id, area)


def report_page(store: Store, round_id: str, *, private: bool = False) -> str:
    """Return the report, one HTML page; made now unless a job has made it.

    Parameters
    ----------
    store, round_id
        The database, a solved round.
    private : bool
        Leave out all that tells of one agent, as for the public.
    """
    name = PUBLIC_REPORT if private else REPORT
    with store.reading() as tx:
        in_state(tx, round_id, _SOLVED, "a report")
        page = tx.file(round_id, Area.REPORT, name)
        files = {} if page is not None else tx.files(round_id, Area.RESULT)
    if page is None:
        from fairlot.report import report_page as made

        return made(files, private=private)
    return page.decode()


def public_page(store: Store, round_id: str) -> PublicRound:
    """Return what outsiders see: hashes as soon as there are any, the result once it is published.

    Raises
    ------
    UnknownError
        If there is no such round, or it is not open yet.
    """
    with store.reading() as tx:
        found = existing(tx, round_id)
        if found.state.before(RoundState.OPEN):
            msg = "there is no such round"
            raise UnknownError(msg)
        files = tx.files(round_id, Area.RESULT)
        log = tx.log(round_id)
    view = view_of(files) if files else DrawView(None, None, None, ())
    public = public_files(files) if found.state in _PUBLIC else {}
    return PublicRound(
        found.id,
        found.title,
        found.kind.value,
        found.state,
        found.deadline,
        found.head,
        found.entries,
        next((entry.detail["sha256"] for entry in log if entry.what == "frozen"), None),
        None if view.committed is None else view.committed.hash,
        view,
        json.loads(public[_SUMMARY]) if _SUMMARY in public else {},
        public,
    )


def public_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what may be published of a result, as a result folder of its own."""
    public = public_part(files)
    return {**public, MANIFEST: manifest(public)}


def enrolment_list(store: Store, round_id: str, format_: str, *, school: str = "") -> bytes:
    """Return who got what.

    Parameters
    ----------
    store, round_id
        The database, a drawn round.
    format_ : str
        ``csv``, ``xlsx``, ``canvas`` or ``oneroster``; cells that a spreadsheet would run are escaped.
    school : str
        The organisation's ``sourcedId``, of OneRoster.
    """
    if format_ not in _FORMATS:
        msg = f"no such list: {', '.join(_FORMATS)}"
        raise UnknownError(msg)
    with store.reading() as tx:
        in_state(tx, round_id, (RoundState.DRAWN, *_PUBLIC), "a list")
        files = _load(tx, round_id).files
    if format_ == "csv":
        return files[ASSIGNMENT]
    if format_ == "xlsx":
        return assignment_workbook(files)
    return canvas_enrolments(files) if format_ == "canvas" else oneroster_enrolments(files, school)


def frozen_document(store: Store, round_id: str) -> bytes:
    """Return the document whose hash was published at the freeze."""
    with store.reading() as tx:
        existing(tx, round_id)
        document = tx.file(round_id, Area.REPORT, FROZEN_FILE)
    if document is None:
        msg = "the round is not frozen yet"
        raise UnknownError(msg)
    return document


def _load(tx: Reading, round_id: str) -> _Loaded:
    key = (round_id, tx.fingerprint(round_id, Area.RESULT), tx.fingerprint(round_id, Area.PRIVATE))
    with _loaded_lock:
        if key in _loaded:
            _loaded.move_to_end(key)
            return _loaded[key]
    private = tx.files(round_id, Area.PRIVATE)
    reduced = {name.removeprefix(REDUCED): data for name, data in private.items() if name.startswith(REDUCED)}
    files = {**tx.files(round_id, Area.RESULT), **reduced}
    found = _Loaded(files, Salts.from_json(private[SALTS]) if SALTS in private else None)
    with _loaded_lock:
        _loaded[key] = found
        while len(_loaded) > _KEPT:
            _loaded.popitem(last=False)
    return found


def _explained(found: _Loaded, agent: str, receipt: str | None) -> AgentOutcome:
    drawn = None if found.drawn is None else found.drawn.get(agent, {})
    if MENUS in found.files:
        tasks = found.tasks
        explanation = explain_member(
            tasks.problem, tasks.menus, tasks.picks, tasks.amounts, tasks.prices, agent, drawn=drawn
        )
        names = tasks.problem.tasks
        amounts = tasks.amounts[member_ids(tasks.problem).index(agent)]
        shares = dict(zip(names, amounts.tolist(), strict=True))
        prices = dict(zip(names, tasks.prices.tolist(), strict=True))
        pick = None if explanation.picked is None else explanation.picked.name
        return _outcome(found, agent, drawn, shares, prices, explanation, pick, receipt)
    market = found.market
    why = explain_agent(
        market.market, market.prices, market.shares, agent, assignment=drawn, demand=found.demand
    )
    row = market.shares.matrix[[market.market.agents.index(agent)], :].toarray()[0]
    held = np.flatnonzero(row > 0).tolist()
    shares = {market.market.goods[j]: float(row[j]) for j in held}
    prices = dict(zip(market.market.goods, market.prices.tolist(), strict=True))
    return _outcome(found, agent, drawn, shares, prices, why, None, receipt)


def _outcome(
    found: _Loaded,
    agent: str,
    drawn: Mapping[str, int] | None,
    shares: Mapping[str, float],
    prices: Mapping[str, float],
    why: Any,
    pick: str | None,
    receipt: str | None,
) -> AgentOutcome:
    transcript = found.transcript
    drew = transcript is not None and transcript.seed is not None
    owner = agent if agent in found.rows else agent.rpartition("#")[0]
    return AgentOutcome(
        agent=agent,
        drawn=drawn or {},
        shares=shares,
        prices=prices,
        explanation=why,
        sentences=tuple(why.sentences()),
        pick=pick,
        ticket=ticket(bytes.fromhex(transcript.seed or ""), transcript.draw, agent)
        if transcript is not None and drew
        else None,
        draw_number=0 if transcript is None else transcript.number,
        salt=None if found.salts is None else found.salts.agents.get(owner),
        row=found.rows[owner].decode() if owner in found.rows else None,
        receipt=receipt,
    )
