"""Personal data: handed out, erased, kept no longer than said.

What the log says of an agent is a hash under her salt; without the salt nobody can tell whose entry it is.
Her id stays in what was published of a result, so ids should not be names.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import warnings
from collections.abc import Mapping
from datetime import timedelta

from fairlot.errors import InvalidProblemError
from fairlot.io.equilibrium import INPUT, json_bytes
from fairlot.io.problem import parse_problem_files, parse_reallocation_files
from fairlot.io.tables import unescape
from fairlot.lottery.protocol import Salts
from fairlot.lottery.protocol.salts import personal_tables
from fairlot.rounds.access import existing, in_state, taking_part
from fairlot.rounds.choose import tag
from fairlot.rounds.drawing import SALTS
from fairlot.rounds.journal import log_lines
from fairlot.rounds.life import FROZEN_SALTS
from fairlot.rounds.outcomes import REDUCED, public_files
from fairlot.rounds.records import RefusedError
from fairlot.rounds.work import PUBLIC_REPORT, REPORT
from fairlot.store import Account, Area, Kind, Participant, Round, RoundState, Store
from fairlot.store.chain import moment
from fairlot.store.writing import Writing

_ENDED = (RoundState.PUBLISHED, RoundState.ARCHIVED)


def export_agent(store: Store, round_id: str, agent: str) -> Mapping[str, bytes]:
    """Return all that is stored of an agent, as files."""
    with store.reading() as tx:
        existing(tx, round_id)
        who = taking_part(tx, round_id, agent)
        answers = tx.receipts(round_id, agent)
        problem = tx.files(round_id, Area.FROZEN) or tx.files(round_id, Area.PROBLEM)
        mine = [entry for entry in tx.log(round_id) if entry.detail.get("agent") == tag(who)]
        result = tx.files(round_id, Area.RESULT)
    times = {"invited": who.invited, "reminded": who.reminded, "visited": who.visited}
    about = {
        "agent": agent,
        "salt": who.salt,
        "tag": tag(who),
        **{name: None if at is None else moment(at) for name, at in times.items()},
    }
    files = {"about.json": json_bytes(about), "log.jsonl": log_lines(mine)}
    for answer in answers:
        files[f"choice-{answer.version:04}.json"] = answer.document
    for name, data in {**_prefixed(problem), **result}.items():
        rows = _rows(data, agent, mine=True) if name.endswith(".csv") else None
        if rows is not None and rows.count(b"\n") > 1:
            files[f"tables/{name.removeprefix(INPUT)}"] = rows
    return files


def erase_agent(store: Store, round_id: str, agent: str, who: Account) -> None:
    """Erase the personal data of an agent; the log keeps a hash that nobody can open any more.

    While a round is open she leaves it; once it is published, her rows go from every table, and from then on
    an export has the public part of the result. In between her data are needed: it is refused.

    Parameters
    ----------
    store, round_id, agent
        The database, an open or a published round, and whom.
    who : Account
        For the log.

    Raises
    ------
    RefusedError
        If the round is neither open nor published, or menus were designed with her and picks are due.
    """
    with store.writing() as tx:
        found = in_state(tx, round_id, (RoundState.OPEN, *_ENDED), "erasing an agent's data")
        person = taking_part(tx, round_id, agent)
        if found.state is RoundState.OPEN:
            _leave(tx, found, agent)
        else:
            _cut(tx, found, agent)
        _forget(tx, round_id, person)
        tx.append(round_id, who.name, "agent erased", {"agent": tag(person)})


def sweep(store: Store) -> int:
    """Erase the personal data of archived rounds whose retention has passed; return how many rounds.

    ``fairlot serve`` calls this once a day, which also drops links and sessions that have expired.
    """
    swept = 0
    with store.writing() as tx:
        tx.drop_expired()
        for found in tx.rounds():
            if found.state is RoundState.ARCHIVED and _is_over(tx, found):
                _erase_all(tx, found)
                swept += 1
    return swept


def _is_over(tx: Writing, found: Round) -> bool:
    """Tell whether a round's retention has passed, and something is left to erase."""
    at = next(entry.at for entry in reversed(tx.log(found.id)) if entry.what == RoundState.ARCHIVED)
    if tx.now(found.id) < at + timedelta(days=found.settings["retention_days"]):
        return False
    return not all(one.erased for one in tx.participants(found.id))


def _erase_all(tx: Writing, found: Round) -> None:
    people = tx.participants(found.id)
    result = tx.files(found.id, Area.RESULT)
    tx.drop_files(found.id, Area.RESULT)
    tx.put_files(found.id, Area.RESULT, public_files(result))
    for area in (Area.PROBLEM, Area.FROZEN, Area.DESIGN):
        personal = [name.removeprefix(INPUT) for name in personal_tables(_prefixed(tx.files(found.id, area)))]
        tx.drop_files(found.id, area, personal)
    tx.drop_files(found.id, Area.PRIVATE)
    tx.drop_files(found.id, Area.REPORT, (REPORT, PUBLIC_REPORT))
    for person in people:
        _forget(tx, found.id, person)
    tx.append(found.id, "system", "retention passed", {"agents": len(people)})


def _forget(tx: Writing, round_id: str, person: Participant) -> None:
    tx.drop_agent(round_id, person.agent)
    tx.set_participant(round_id, person.agent, erased=True)


def _leave(tx: Writing, found: Round, agent: str) -> None:
    """Take an agent out of the problem of an open round."""
    if found.kind is Kind.REALLOCATION:
        msg = "erasing is not possible now: menus were designed with this agent; wait for the publication"
        raise RefusedError(msg)
    files = _reduced(parse_problem_files(tx.files(found.id, Area.PROBLEM)).files, agent)
    try:
        parse_problem_files(files)
    except InvalidProblemError as error:
        msg = f"erasing is not possible now, the problem would have faults: {error}"
        raise RefusedError(msg) from None
    tx.drop_files(found.id, Area.PROBLEM)
    tx.put_files(found.id, Area.PROBLEM, files)


def _cut(tx: Writing, found: Round, agent: str) -> None:
    """Cut an agent's rows out of all tables of a published round that are not public.

    A member of a group has none: the tables tell of the group.
    """
    result = tx.files(found.id, Area.RESULT)
    private = tx.files(found.id, Area.PRIVATE)
    if SALTS in private and agent not in Salts.from_json(private[SALTS]).agents:
        return
    left = {}
    for name in _reducible(result, private):
        data = private.get(f"{REDUCED}{name}") or result[name]
        left[f"{REDUCED}{name}"] = _rows(data, agent, mine=False) or data
    tx.drop_files(found.id, Area.RESULT)
    tx.put_files(found.id, Area.RESULT, public_files(result))
    for name in (SALTS, FROZEN_SALTS):
        if name in private:
            left[name] = _without_salt(private[name], agent)
    tx.put_files(found.id, Area.PRIVATE, left)
    for area in (Area.PROBLEM, Area.FROZEN):
        files = tx.files(found.id, area)
        if files:
            tx.drop_files(found.id, area)
            tx.put_files(found.id, area, _reduced(_canonical(files, found.kind), agent))
    tx.drop_files(found.id, Area.REPORT, (REPORT, PUBLIC_REPORT))


def _reducible(result: Mapping[str, bytes], private: Mapping[str, bytes]) -> list[str]:
    """List the tables of a result with rows of agents; without the input, they must agree with each other."""
    before = {name.removeprefix(REDUCED) for name in private if name.startswith(REDUCED)}
    drawn = {name for name in ("shares.csv", "assignment.csv", "menus.csv", "picks.csv") if name in result}
    return sorted(before | set(personal_tables(result)) | drawn)


def _canonical(files: Mapping[str, bytes], kind: Kind) -> Mapping[str, bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = parse_problem_files(files) if kind is Kind.PSEUDOMARKET else parse_reallocation_files(files)
    return {**read.files, **{name: files[name] for name in ("menus.csv", "picks.csv") if name in files}}


def _without_salt(data: bytes, agent: str) -> bytes:
    salts = Salts.from_json(data)
    left = {name: salt for name, salt in salts.agents.items() if name != agent}
    return dataclasses.replace(salts, agents=left).to_json()


def _prefixed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{INPUT}{name}": data for name, data in files.items()}


def _reduced(files: Mapping[str, bytes], agent: str) -> dict[str, bytes]:
    """Return canonical files without an agent's rows."""
    return {
        name: (_rows(data, agent, mine=False) or data) if name.endswith(".csv") else data
        for name, data in files.items()
    }


def _rows(data: bytes, agent: str, *, mine: bool) -> bytes | None:
    """Return a table with the rows of an agent, or of all others; None if it is not of agents."""
    reader = csv.reader(io.StringIO(data.decode(), newline=""))
    header = next(reader, [])
    if "agent" not in header:
        return None
    column = header.index("agent")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(row for row in reader if (unescape(row[column]) == agent) is mine)
    return text.getvalue().encode()
