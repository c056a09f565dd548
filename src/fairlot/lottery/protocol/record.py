"""What commitments and draws do to the files of a result, so that everything stays on record.

The draw that counts is at the top: ``commitment.json``, and once drawn ``transcript.json`` and
``assignment.csv``. An aborted draw has a transcript and no assignment. When another draw begins, these
three move to ``draws/001/``, ``draws/002/`` and so on. ``ceremony.json`` keeps an unfinished ceremony.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fairlot.lottery.protocol.ceremony import Ceremony
from fairlot.lottery.protocol.salts import Salts
from fairlot.lottery.protocol.seeds import DrawRefusedError, Seed, Source
from fairlot.lottery.protocol.steps import Commitment, Draw, Transcript, abort, commit, draw
from fairlot.model.lotteries import Lottery
from fairlot.verify.draw import Fault, check_frozen

COMMITMENT_FILE = "commitment.json"
TRANSCRIPT_FILE = "transcript.json"
ASSIGNMENT_FILE = "assignment.csv"
CEREMONY_FILE = "ceremony.json"
LOTTERY_FILE = "lottery.json"
_MANIFEST = "manifest.json"
_OF_ONE_DRAW = (COMMITMENT_FILE, TRANSCRIPT_FILE, ASSIGNMENT_FILE)


@dataclass(frozen=True, eq=False)
class Change:
    """What to write to a result and what to remove from it, in one step.

    Parameters
    ----------
    write : mapping of str to bytes
        Contents by name.
    remove : tuple of str
        Names.
    """

    write: Mapping[str, bytes]
    remove: tuple[str, ...] = ()


def commit_result(
    files: Mapping[str, bytes],
    draw_id: str,
    *,
    source: Source | None = None,
    salts: Salts | None = None,
    again: bool = False,
) -> tuple[Commitment, Change]:
    """Freeze a result.

    Parameters
    ----------
    files : mapping of str to bytes
        The files of the result.
    draw_id : str
        Name of the draw.
    source : Source, optional
        Where the seed will come from; open by default.
    salts : Salts, optional
        Needed where the result holds personal tables.
    again : bool
        Move the draw that is there, drawn or aborted, to ``draws/`` and begin another.

    Raises
    ------
    DrawRefusedError
        If the result is committed already and not to be drawn again.
    """
    lottery = read_lottery(files)
    if COMMITMENT_FILE in files and TRANSCRIPT_FILE not in files:
        msg = "this result is committed already: draw it, or put on record why it will not be drawn"
        raise DrawRefusedError(msg)
    if COMMITMENT_FILE in files and not again:
        msg = "this result was drawn, or a draw of it aborted, already: another draw must be asked for"
        raise DrawRefusedError(msg)
    archive = Change({})
    if COMMITMENT_FILE in files:
        _refuse_changes(files, read_commitment(files))
        archive = _archive(files)
    mine = {LOTTERY_FILE, _MANIFEST, CEREMONY_FILE, *_OF_ONE_DRAW}
    rest = {k: data for k, data in files.items() if k not in mine and not k.startswith("draws/")}
    commitment = commit(lottery, draw_id, source=source, files=rest, salts=salts)
    write = {**archive.write, COMMITMENT_FILE: commitment.to_json()}
    return commitment, Change(write, tuple(name for name in archive.remove if name not in write))


def draw_result(
    files: Mapping[str, bytes], seed: bytes | Seed, *, reason: str | None = None
) -> tuple[Draw, Change]:
    """Draw a committed result.

    Parameters
    ----------
    files : mapping of str to bytes
        The files of the result.
    seed : bytes or Seed
        32 public bytes, a drand round or a finished ceremony.
    reason : str, optional
        Why there is another draw, where there was one before.

    Raises
    ------
    DrawRefusedError
        If the result is not committed, something frozen has changed, the seed was used before, or a
        reason is missing.
    """
    commitment = read_commitment(files)
    _refuse_changes(files, commitment)
    archive = _archive(files) if TRANSCRIPT_FILE in files else Change({})
    drawn = draw(read_lottery(files), seed, commitment=commitment, previous=_previous(files), reason=reason)
    for name, data in files.items():
        if name.endswith(TRANSCRIPT_FILE) and Transcript.from_json(data).seed == drawn.transcript.seed:
            msg = "this seed was drawn with before: another draw needs another seed"
            raise DrawRefusedError(msg)
    remove = tuple(name for name in (CEREMONY_FILE,) if name in files)
    return drawn, Change({**archive.write, **drawn.files()}, remove)


def abort_result(files: Mapping[str, bytes], reason: str) -> tuple[Transcript, Change]:
    """Put on record that a committed result will not be drawn under its commitment.

    Raises
    ------
    DrawRefusedError
        If it is not committed, drawn already, or no reason is given.
    """
    commitment = read_commitment(files)
    if TRANSCRIPT_FILE in files:
        msg = "this result was drawn, or its draw aborted, already"
        raise DrawRefusedError(msg)
    ceremony = Ceremony.from_json(files[CEREMONY_FILE]) if CEREMONY_FILE in files else None
    evidence = ceremony.origin() if ceremony else None
    transcript = abort(commitment, reason, previous=_previous(files), evidence=evidence)
    remove = (CEREMONY_FILE,) if ceremony else ()
    return transcript, Change({TRANSCRIPT_FILE: transcript.to_json()}, remove)


def public_part(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a committed result that may be published: all but personal tables.

    The manifest is left out too, since it lists unsalted hashes of those tables; who writes the rest as a
    result folder makes a new one.
    """
    closed = {_MANIFEST, *(name for name, _ in read_commitment(files).personal)}
    return {name: data for name, data in files.items() if name not in closed}


def read_lottery(files: Mapping[str, bytes]) -> Lottery:
    """Read a result's lottery, which must be in canonical form.

    Raises
    ------
    DrawRefusedError
        If there is none, or it is not canonical.
    """
    if LOTTERY_FILE not in files:
        msg = f"there is no {LOTTERY_FILE}: nothing to draw from"
        raise DrawRefusedError(msg)
    lottery = Lottery.from_json(files[LOTTERY_FILE])
    if lottery.to_json() != files[LOTTERY_FILE]:
        msg = f"{LOTTERY_FILE} is not in canonical form: was it edited?"
        raise DrawRefusedError(msg)
    return lottery


def read_commitment(files: Mapping[str, bytes]) -> Commitment:
    """Read a result's commitment.

    Raises
    ------
    DrawRefusedError
        If there is none.
    """
    if COMMITMENT_FILE not in files:
        msg = "this result is not committed: fairlot commit, and publish the commitment, before it is drawn"
        raise DrawRefusedError(msg)
    return Commitment.from_json(files[COMMITMENT_FILE])


def _refuse_changes(files: Mapping[str, bytes], commitment: Commitment) -> None:
    try:
        check_frozen({name: data for name, data in files.items() if not name.startswith("draws/")})
    except Fault as fault:
        msg = f"not what was frozen under {commitment.hash}: {fault}"
        raise DrawRefusedError(msg) from None


def _previous(files: Mapping[str, bytes]) -> Transcript | None:
    """Return the latest transcript, the one at the top if there is one."""
    if TRANSCRIPT_FILE in files:
        return Transcript.from_json(files[TRANSCRIPT_FILE])
    earlier = sorted(name for name in files if name.startswith("draws/") and name.endswith(TRANSCRIPT_FILE))
    return Transcript.from_json(files[earlier[-1]]) if earlier else None


def _archive(files: Mapping[str, bytes]) -> Change:
    """Move the files of the draw at the top to where earlier draws are."""
    number = Transcript.from_json(files[TRANSCRIPT_FILE]).number
    present = [name for name in _OF_ONE_DRAW if name in files]
    return Change({f"draws/{number:03}/{name}": files[name] for name in present}, tuple(present))
