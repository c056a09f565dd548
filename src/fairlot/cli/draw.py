"""The verifiable draw: ``commit``, ``draw`` and ``ceremony``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlot.cli.output import JsonOption, Output, QuietOption, ResultArgument, verb

if TYPE_CHECKING:
    from fairlot.lottery.protocol.ceremony import Ceremony
    from fairlot.lottery.protocol.salts import Salts
    from fairlot.lottery.protocol.seeds import Seed
    from fairlot.lottery.protocol.steps import Commitment

NameOption = Annotated[
    str | None, typer.Option("--name", help="Name of the draw; default: the folder's name.")
]
RoundOption = Annotated[
    int | None, typer.Option("--drand-round", metavar="N", help="Round of drand's quicknet.")
]
OfficialOption = Annotated[
    list[str] | None, typer.Option("--official", metavar="NAME", help="Official of a ceremony; repeat.")
]
SaltsOption = Annotated[
    Path | None, typer.Option("--salts", metavar="FILE", help="Private salts; default: RESULT-salts.json.")
]
AgainOption = Annotated[bool, typer.Option("--again", help="Begin another draw; the last stays on record.")]
SeedOption = Annotated[
    str | None, typer.Option("--seed", metavar="HEX", help="Public seed, 64 hexadecimal digits.")
]
SignatureOption = Annotated[
    str | None, typer.Option("--signature", metavar="HEX", help="drand's signature of the round.")
]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why again, or why not.")]
AbortOption = Annotated[bool, typer.Option("--abort", help="Record, with --reason, that nothing is drawn.")]
PublicOption = Annotated[
    Path | None, typer.Option("--public", metavar="FOLDER", help="Also write what may be published.")
]
SealOption = Annotated[
    str | None, typer.Option("--seal", metavar="NAME", help="Only make a number and its seal for NAME.")
]


def commit(
    result: ResultArgument,
    name: NameOption = None,
    drand_round: RoundOption = None,
    official: OfficialOption = None,
    salts: SaltsOption = None,
    again: AgainOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Freeze what the draw depends on, and print the hash to publish."""
    with verb(as_json, quiet) as output:
        from fairlot.io.results import add_to_result, read_result
        from fairlot.lottery.protocol.record import commit_result
        from fairlot.lottery.protocol.seeds import DrawRefusedError, Source

        if drand_round is not None and official:
            msg = "a draw has one source of its seed: --drand-round or --official, not both"
            raise DrawRefusedError(msg)
        source = Source()
        if drand_round is not None:
            source = Source("drand", round=drand_round)
            _refuse_past(drand_round)
        elif official:
            source = Source("ceremony", officials=tuple(official))
        draw_id = name or result.resolve().name
        files = read_result(result)
        private = salts or result.resolve().with_name(f"{result.resolve().name}-salts.json")
        kept = _salts(private, draw_id, files)
        frozen, change = commit_result(files, draw_id, source=source, salts=kept, again=again)
        add_to_result(result, change.write, remove=change.remove, since=files)
        _tell_commitment(output, frozen, result)
        if frozen.personal:
            output.say(f"Private, keep it and give each agent hers: the salts in {private}")
        output.data(
            {
                "result": str(result),
                "commitment": frozen.hash,
                "draw": draw_id,
                "source": source.to_dict(),
                "agents": _people(frozen),
                "salts": str(private) if frozen.personal else None,
            }
        )


def draw(
    result: ResultArgument,
    seed: SeedOption = None,
    drand_round: RoundOption = None,
    signature: SignatureOption = None,
    reason: ReasonOption = None,
    abort: AbortOption = False,
    public: PublicOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw one assignment from the public seed."""
    with verb(as_json, quiet) as output:
        from fairlot.io.results import add_to_result, read_result, refuse, write_result
        from fairlot.lottery.protocol.record import abort_result, draw_result, public_part

        files = read_result(result)
        if public is not None:
            refuse(public, False)  # before the draw, not after it
        if abort:
            aborted, change = abort_result(files, reason or "")
            add_to_result(result, change.write, remove=change.remove, since=files)
            output.say(f"On record: draw {aborted.number} is aborted: {aborted.reason}")
            output.data(
                {"result": str(result), "status": "aborted", "number": aborted.number, "reason": reason}
            )
            return
        evidence = _seed(files, seed, drand_round, signature)
        drawn, change = draw_result(files, evidence, reason=reason)
        add_to_result(result, change.write, remove=change.remove, since=files)
        if public is not None:
            write_result(public, public_part(read_result(result)))
        transcript, matrix = drawn.transcript, drawn.assignment.matrix
        output.say(f"Draw {transcript.number} of '{transcript.draw}'")
        output.say(f"  commitment   {transcript.commitment}")
        output.say(f"  public seed  {transcript.public_seed} ({evidence.origin()['kind']})")
        output.say(f"  seed         {transcript.seed}")
        holders = int((matrix.sum(axis=1) > 0).sum())
        output.say(
            f"{int(matrix.sum())} copies went to {holders} of {matrix.shape[0]} agents: assignment.csv"
        )
        if evidence.origin()["kind"] == "given":
            output.say("Write down, with witnesses, where the public seed came from: no file can prove it.")
        output.say(f"Anyone can draw again and compare: fairlot verify {public or result}")
        output.data(
            {
                "result": str(result),
                "status": "drawn",
                "number": transcript.number,
                "commitment": transcript.commitment,
                "public_seed": transcript.public_seed,
                "seed": transcript.seed,
                "assignment_sha256": transcript.assignment,
                "copies": int(matrix.sum()),
                "public": None if public is None else str(public),
            }
        )


def ceremony(
    result: ResultArgument,
    official: OfficialOption = None,
    seal: SealOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Walk officials through a seed: seal numbers, roll dice, reveal."""
    with verb(as_json, quiet) as output:
        from fairlot.io.results import add_to_result, read_result
        from fairlot.lottery.protocol.ceremony import Ceremony
        from fairlot.lottery.protocol.record import (
            CEREMONY_FILE,
            COMMITMENT_FILE,
            TRANSCRIPT_FILE,
            read_commitment,
        )
        from fairlot.lottery.protocol.seeds import DrawRefusedError

        files = read_result(result)
        frozen = read_commitment(files)
        if TRANSCRIPT_FILE in files:
            msg = f"{COMMITMENT_FILE} was drawn under, or aborted: a new ceremony needs a new commitment"
            raise DrawRefusedError(msg)
        if seal is not None:
            _make_seal(output, frozen, seal)
            return

        def keep(state: Ceremony) -> Ceremony:
            add_to_result(result, {CEREMONY_FILE: state.to_json()})
            return state

        if CEREMONY_FILE in files:
            held = Ceremony.from_json(files[CEREMONY_FILE])
            held.check(frozen.hash)
        else:
            held = keep(_ask_seals(output, frozen, official or []))
            output.say("Sealed. Publish these lines before any die is rolled:")
            for one in held.officials:
                output.say(f"  {one.seal}  {one.name}")
        if held.dice is None and (rolled := _ask("Roll at least 20 dice in public, in order (1-6)")):
            held = keep(held.roll(rolled))
        for waiting in held.waiting if held.dice is not None else ():
            if number := _ask(f"{waiting}, reveal your number", hide_input=True):
                held = keep(held.reveal(waiting, number.strip().lower()))
        public_seed = held.public_seed.hex() if held.complete else None
        if public_seed:
            output.say(f"Public seed: {public_seed}")
            output.say(f"Next: fairlot draw {result}")
        else:
            missing = "the dice" if held.dice is None else ", ".join(held.waiting)
            output.say(f"Not complete: waiting for {missing}. Run the same line again to go on; if")
            output.say(f"someone refuses: fairlot draw {result} --abort --reason 'who, and why'")
        output.data(
            {
                "result": str(result),
                "commitment": frozen.hash,
                "seals": {one.name: one.seal for one in held.officials},
                "dice": held.dice,
                "waiting": list(held.waiting),
                "public_seed": public_seed,
            }
        )


def _refuse_past(drand_round: int) -> None:
    """Refuse a round whose randomness is known already."""
    import time

    from fairlot.lottery.protocol.seeds import DrawRefusedError
    from fairlot.verify.beacon import round_time

    if round_time(drand_round) <= time.time():
        msg = f"drand signed round {drand_round} at {_utc(drand_round)}: announce one that is still to come"
        raise DrawRefusedError(msg)


def _utc(drand_round: int) -> str:
    import datetime

    from fairlot.verify.beacon import round_time

    try:
        moment = datetime.datetime.fromtimestamp(round_time(drand_round), datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return "no date in any calendar"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _salts(private: Path, draw_id: str, files: dict[str, bytes]) -> Salts | None:
    """Read the salts of an earlier commitment of this draw, or make new ones where any are needed."""
    from fairlot.io.private import write_private
    from fairlot.lottery.protocol.salts import Salts, new_salts, personal_tables

    if not personal_tables(files):
        return None
    if private.exists():
        return Salts.from_json(private.read_bytes())
    made = new_salts(draw_id, files)
    write_private(private, made.to_json())
    return made


def _people(frozen: Commitment) -> int:
    """Count the agents whose rows are under salts: rows of beliefs about all are nobody's."""
    from fairlot.io.reallocation import ALL

    return sum(agent != ALL for agent, _ in frozen.agents)


def _tell_commitment(output: Output, frozen: Commitment, result: Path) -> None:
    n_files = 1 + len(frozen.files) + len(frozen.personal)
    output.say(
        f"Frozen for the draw '{frozen.draw}': {n_files} files, the rows of {_people(frozen)} agents under "
        "salts"
    )
    output.say("Publish this line now, before anyone can know the seed:")
    output.say(f"  {frozen.hash}")
    source = frozen.source
    if source.kind == "drand" and source.round is not None:
        output.say(f"The seed will be drand's round {source.round}, signed at {_utc(source.round)}")
        output.say(f"Then: fairlot draw {result} --drand-round {source.round} --signature HEX")
    elif source.kind == "ceremony":
        output.say(f"The seed will come from {source}, and dice")
        output.say(f"Then: fairlot ceremony {result}")
    else:
        output.say("No source of the seed is announced: whoever supplies it could try several. To leave no")
        output.say("choice, announce a round of drand (--drand-round) or officials (--official).")
        output.say(f"Then: fairlot draw {result} --seed HEX")


def _seed(files: dict[str, bytes], seed: str | None, drand_round: int | None, signature: str | None) -> Seed:
    """Return the seed that the options name; by default that of a finished ceremony."""
    from fairlot.lottery.protocol.ceremony import Ceremony
    from fairlot.lottery.protocol.record import CEREMONY_FILE, read_commitment
    from fairlot.lottery.protocol.seeds import DrandRound, DrawRefusedError, GivenSeed

    if seed is not None and (drand_round is not None or signature is not None):
        msg = "one seed: --seed, or --drand-round with --signature"
        raise DrawRefusedError(msg)
    if seed is not None:
        return GivenSeed(_bytes(seed, "--seed", 32))
    if drand_round is not None or signature is not None:
        announced = read_commitment(files).source.round
        number = announced if drand_round is None else drand_round
        if number is None or signature is None:
            msg = "a round of drand takes both --drand-round N and --signature HEX"
            raise DrawRefusedError(msg)
        return DrandRound(number, _bytes(signature, "--signature", 48))
    if CEREMONY_FILE in files:
        return Ceremony.from_json(files[CEREMONY_FILE])
    read_commitment(files)
    msg = "no seed: give --seed HEX, or --drand-round N --signature HEX, or hold a ceremony first"
    raise DrawRefusedError(msg)


def _bytes(text: str, option: str, length: int) -> bytes:
    from fairlot.lottery.protocol.seeds import DrawRefusedError

    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != length or len(text) != 2 * length:
        msg = f"{option}: found {text[:80]!r}, expected {2 * length} hexadecimal digits"
        raise DrawRefusedError(msg)
    return data


def _ask(question: str, *, hide_input: bool = False) -> str:
    """Ask on standard error; an empty answer means not now."""
    answer: str = typer.prompt(question, default="", show_default=False, hide_input=hide_input, err=True)
    return answer


def _ask_seals(output: Output, frozen: Commitment, officials: list[str]) -> Ceremony:
    import secrets

    from fairlot.lottery.protocol.ceremony import Ceremony
    from fairlot.lottery.protocol.ceremony import seal as seal_of

    names = list(frozen.source.officials) or officials
    if not names:
        names = [name.strip() for name in _ask("Names of the officials, with semicolons between").split(";")]
    seals = {}
    for name in names:
        answer = _ask(f"{name}, your seal (made with --seal on your own computer; Enter to make it here)")
        if answer:
            seals[name] = answer.strip().lower()
        else:
            number = secrets.token_hex(32)
            seals[name] = seal_of(frozen.hash, name, number)
            _ask(f"{name} alone looks now. Your number is {number}. Write it down, then press Enter")
            typer.echo("\n" * 60, err=True)  # off the screen before the next one looks
    return Ceremony.begin(frozen.hash, seals)


def _make_seal(output: Output, frozen: Commitment, name: str) -> None:
    import secrets

    from fairlot.lottery.protocol.ceremony import seal as seal_of

    number = secrets.token_hex(32)
    sealed = seal_of(frozen.hash, name, number)
    output.say(f"number, secret until it is revealed: {number}")
    output.say(f"seal, to announce now:               {sealed}")
    output.data({"official": name, "number": number, "seal": sealed})
