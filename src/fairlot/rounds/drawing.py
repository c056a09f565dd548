"""The draw of a round, by the protocol of :mod:`fairlot.lottery.protocol`; all of it stays on record.

A solved round is committed to: its hash is published before anybody can know the seed. The seed comes from a
round of drand announced with the commitment, from a ceremony of officials and dice, or is given. Another draw
needs a reason, and so does aborting one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from fairlot.io.results import MANIFEST, manifest
from fairlot.lottery.protocol import (
    Ceremony,
    Change,
    Commitment,
    DrandRound,
    GivenSeed,
    Salts,
    Seed,
    Source,
    Transcript,
    abort_result,
    commit_result,
    draw_result,
    new_salts,
)
from fairlot.lottery.protocol.record import CEREMONY_FILE, COMMITMENT_FILE, TRANSCRIPT_FILE, read_commitment
from fairlot.rounds.access import existing, in_state
from fairlot.rounds.records import Committed, DrawView, RefusedError
from fairlot.store import Account, Area, RoundState, Store
from fairlot.store.writing import Writing
from fairlot.verify.beacon import round_time

SALTS = "salts.json"
_DRAWABLE = (RoundState.SOLVED, RoundState.DRAWN)


def commit(
    store: Store,
    round_id: str,
    who: Account,
    *,
    drand_round: int | None = None,
    officials: Sequence[str] = (),
    again: bool = False,
) -> Committed:
    """Commit to all that the draw depends on, and announce where its seed will come from.

    Parameters
    ----------
    store : Store
        The database.
    round_id : str
        A solved round.
    who : Account
        For the log.
    drand_round : int, optional
        A round of drand's chain quicknet that is not signed yet.
    officials : sequence of str, optional
        Who takes part in a ceremony, in order. Without either, the seed's source stays open.
    again : bool
        Begin another draw, after one that was drawn or aborted.

    Raises
    ------
    DrawRefusedError
        If it is committed already, or the announcement is not possible.
    RefusedError
        If the round is not solved.
    """
    if drand_round is not None and officials:
        msg = "a draw has one source of its seed: a round of drand or officials, not both"
        raise RefusedError(msg)
    source = Source()
    if drand_round is not None:
        source = Source("drand", round=drand_round)
        if round_time(drand_round) <= store.clock().timestamp():
            msg = f"drand has signed round {drand_round} already: announce one that is still to come"
            raise RefusedError(msg)
    elif officials:
        source = Source("ceremony", officials=tuple(name.strip() for name in officials))
    with store.writing() as tx:
        in_state(tx, round_id, _DRAWABLE, "committing")
        files = tx.files(round_id, Area.RESULT)
        kept = tx.file(round_id, Area.PRIVATE, SALTS)
        salts = new_salts(round_id, files) if kept is None else Salts.from_json(kept)
        made, change = commit_result(files, round_id, source=source, salts=salts, again=again)
        tx.put_files(round_id, Area.PRIVATE, {SALTS: salts.to_json()})
        _apply(tx, round_id, files, change)
        tx.set_round(round_id, state=RoundState.SOLVED)
        tx.append(round_id, who.name, "committed", {"commitment": made.hash, "source": str(source)})
    return _committed(made)


def begin_ceremony(store: Store, round_id: str, who: Account, seals: Mapping[str, str]) -> Ceremony:
    """Record the seals of all officials, in the order in which they were announced.

    Parameters
    ----------
    store, round_id, who
        The database, a committed round, and who writes it down.
    seals : mapping of str to str
        By the official's name, what :func:`fairlot.lottery.protocol.seal` made of her number.
    """
    with store.writing() as tx:
        frozen, held = _ceremony(tx, round_id)
        if held is not None:
            msg = "the ceremony has begun already"
            raise RefusedError(msg)
        names = frozen.source.officials or tuple(seals)
        if set(names) != set(seals):
            msg = f"the officials announced are {', '.join(names)}: a seal of each is needed"
            raise RefusedError(msg)
        made = Ceremony.begin(frozen.hash, {name: seals[name] for name in names})
        return _keep(tx, round_id, who, made, "sealed", {name: seals[name] for name in names})


def roll_dice(store: Store, round_id: str, who: Account, dice: str) -> Ceremony:
    """Record the public dice: at least twenty digits from 1 to 6."""
    with store.writing() as tx:
        made = _begun(tx, round_id).roll(dice)
        return _keep(tx, round_id, who, made, "dice rolled", {"dice": made.dice or ""})


def reveal(store: Store, round_id: str, who: Account, official: str, number: str) -> Ceremony:
    """Record an official's number, which must be the one she sealed."""
    with store.writing() as tx:
        made = _begun(tx, round_id).reveal(official, number.strip().lower())
        return _keep(tx, round_id, who, made, "number revealed", {"official": official})


def draw(
    store: Store,
    round_id: str,
    who: Account,
    *,
    seed: str | None = None,
    signature: str | None = None,
    reason: str | None = None,
) -> Transcript:
    """Draw one assignment.

    Parameters
    ----------
    store : Store
        The database.
    round_id : str
        A committed round.
    who : Account
        For the log.
    seed : str, optional
        A public seed, 64 hexadecimal digits.
    signature : str, optional
        drand's signature of the announced round, 96 hexadecimal digits. Without either, the ceremony that
        has been held gives the seed.
    reason : str, optional
        Why there is another draw, where there was one before.

    Raises
    ------
    DrawRefusedError
        If it is not committed to, or the seed is not one for this commitment.
    """
    with store.writing() as tx:
        in_state(tx, round_id, _DRAWABLE, "drawing")
        files = tx.files(round_id, Area.RESULT)
        evidence = _seed(files, seed, signature)
        drawn, change = draw_result(files, evidence, reason=reason or None)
        _apply(tx, round_id, files, change)
        tx.set_round(round_id, state=RoundState.DRAWN)
        transcript = drawn.transcript
        detail = {
            "number": transcript.number,
            "commitment": transcript.commitment,
            "seed": transcript.public_seed or "",
            "assignment": transcript.assignment or "",
        }
        tx.append(round_id, who.name, "drawn", detail | ({"reason": reason} if reason else {}))
    return transcript


def abort_draw(store: Store, round_id: str, who: Account, reason: str) -> Transcript:
    """Put on record that nothing is drawn under this commitment, and why."""
    with store.writing() as tx:
        in_state(tx, round_id, (RoundState.SOLVED,), "aborting")
        files = tx.files(round_id, Area.RESULT)
        transcript, change = abort_result(files, reason.strip())
        _apply(tx, round_id, files, change)
        detail = {"number": transcript.number, "commitment": transcript.commitment, "reason": reason.strip()}
        tx.append(round_id, who.name, "draw aborted", detail)
    return transcript


def draw_view(store: Store, round_id: str) -> DrawView:
    """Return where the draw is."""
    with store.reading() as tx:
        existing(tx, round_id)
        files = tx.files(round_id, Area.RESULT)
    return view_of(files)


def view_of(files: Mapping[str, bytes]) -> DrawView:
    """Say where the draw of a result is."""
    frozen = read_commitment(files) if COMMITMENT_FILE in files else None
    earlier = sorted(name for name in files if name.startswith("draws/") and name.endswith(TRANSCRIPT_FILE))
    return DrawView(
        None if frozen is None else _committed(frozen),
        Ceremony.from_json(files[CEREMONY_FILE]) if CEREMONY_FILE in files else None,
        Transcript.from_json(files[TRANSCRIPT_FILE]) if TRANSCRIPT_FILE in files else None,
        tuple(Transcript.from_json(files[name]) for name in earlier),
    )


def _committed(made: Commitment) -> Committed:
    at = None if made.source.round is None else _seed_time(made.source.round)
    return Committed(made.hash, str(made.source), at, made.source.officials)


def _seed_time(drand_round: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(round_time(drand_round), UTC)
    except (OverflowError, ValueError, OSError):  # no date in any calendar
        return None


def _apply(tx: Writing, round_id: str, files: Mapping[str, bytes], change: Change) -> None:
    """Change a result folder, and seal it anew."""
    gone = {MANIFEST, *change.remove}
    kept = {name: data for name, data in files.items() if name not in gone} | dict(change.write)
    tx.drop_files(round_id, Area.RESULT, change.remove)
    tx.put_files(round_id, Area.RESULT, {**change.write, MANIFEST: manifest(kept)})


def _ceremony(tx: Writing, round_id: str) -> tuple[Commitment, Ceremony | None]:
    in_state(tx, round_id, (RoundState.SOLVED,), "a ceremony")
    files = tx.files(round_id, Area.RESULT)
    frozen = read_commitment(files)
    if TRANSCRIPT_FILE in files:
        msg = "this commitment was drawn under, or aborted: a new ceremony needs a new commitment"
        raise RefusedError(msg)
    if frozen.source.kind == "drand":
        msg = f"the seed will be that of {frozen.source}: there is no ceremony"
        raise RefusedError(msg)
    return frozen, Ceremony.from_json(files[CEREMONY_FILE]) if CEREMONY_FILE in files else None


def _begun(tx: Writing, round_id: str) -> Ceremony:
    frozen, held = _ceremony(tx, round_id)
    if held is None:
        msg = "the ceremony has not begun: seals first"
        raise RefusedError(msg)
    held.check(frozen.hash)
    return held


def _keep(
    tx: Writing, round_id: str, who: Account, made: Ceremony, what: str, detail: Mapping[str, str]
) -> Ceremony:
    files = tx.files(round_id, Area.RESULT)
    _apply(tx, round_id, files, Change({CEREMONY_FILE: made.to_json()}))
    tx.append(round_id, who.name, what, detail)
    return made


def _seed(files: Mapping[str, bytes], seed: str | None, signature: str | None) -> Seed:
    """Return the seed that was given; by default that of a finished ceremony."""
    if seed and signature:
        msg = "one seed: digits, or drand's signature"
        raise RefusedError(msg)
    if seed:
        return GivenSeed(_bytes(seed, "a seed", 32))
    if signature:
        announced = read_commitment(files).source.round
        if announced is None:
            msg = "no round of drand was announced with the commitment"
            raise RefusedError(msg)
        return DrandRound(announced, _bytes(signature, "drand's signature", 48))
    if CEREMONY_FILE in files:
        return Ceremony.from_json(files[CEREMONY_FILE])
    read_commitment(files)
    msg = "there is no seed: give one, or drand's signature, or hold a ceremony first"
    raise RefusedError(msg)


def _bytes(text: str, what: str, length: int) -> bytes:
    digits = "".join(text.split()).lower()
    if not re.fullmatch(f"[0-9a-f]{{{2 * length}}}", digits):
        msg = f"{what} is {2 * length} digits of 0-9 and a-f"
        raise RefusedError(msg)
    return bytes.fromhex(digits)
