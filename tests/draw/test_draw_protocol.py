"""The steps of the protocol, in order and out of order."""

from __future__ import annotations

import importlib.util
import json

import pytest
from bihierarchies import lottery
from small_results import (
    DRAW,
    ROUND,
    SIGNATURE,
    VALUES,
    changed,
    committed,
    drand_result,
    lottery_file,
    result_files,
    salts,
    sealed,
    seed,
    solved,
)

from fairlot.errors import InvalidProblemError, MissingExtraError
from fairlot.io.results import manifest_faults
from fairlot.io.tables import write_csv
from fairlot.lottery.protocol.canonical import assignment_csv, digest
from fairlot.lottery.protocol.ceremony import Ceremony, seal
from fairlot.lottery.protocol.record import (
    abort_result,
    commit_result,
    draw_result,
    public_part,
    read_lottery,
)
from fairlot.lottery.protocol.salts import Salts, new_salts
from fairlot.lottery.protocol.seeds import DrandRound, DrawRefusedError, GivenSeed, Source
from fairlot.lottery.protocol.steps import Commitment, Transcript, abort, commit, draw
from fairlot.model.lotteries import Lottery
from fairlot.verify import beacon
from fairlot.verify.draw import verify
from fairlot.verify.personal import agent_rows, is_personal
from fairlot.verify.transcript import verify_commitment, verify_draw

needs_curve = pytest.mark.skipif(
    importlib.util.find_spec("py_ecc") is None, reason="the extra 'beacon' is not installed"
)


def test_in_memory_the_lottery_alone_is_committed_to() -> None:
    one = lottery(11)
    drawn = draw(one, seed(1))
    assert drawn.commitment == commit(one)
    files = sealed({"lottery.json": one.to_json(), **drawn.files()})
    certificate = verify_draw(files, commitment=drawn.commitment.hash)
    assert certificate.passed
    assert drawn.transcript == Transcript.from_json(drawn.transcript.to_json())
    assert drawn.commitment == Commitment.from_json(drawn.commitment.to_json())


def test_terms_are_never_frozen() -> None:
    one = Lottery.from_json(lottery_file())
    document = json.loads(lottery_file())
    half = document["denominator"] // 2
    document["terms"] = [[half, [1, 0, 0, 1]], [half, [0, 1, 1, 0]]]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    with_terms = Lottery.from_json(text.encode() + b"\n")
    assert with_terms.terms is not None
    assert commit(with_terms) == commit(one)
    assert draw(with_terms, seed(3)).csv == draw(one, seed(3)).csv


def test_everything_moves_the_seed() -> None:
    base = draw(lottery(11), seed(1)).transcript.seed
    others = [
        draw(lottery(11), seed(2)),
        draw(lottery(12), seed(1)),
        draw(lottery(11), seed(1), commitment=commit(lottery(11), "another name")),
        draw(lottery(11), seed(1), commitment=commit(lottery(11), files={"prices.csv": b"good,price\n"})),
    ]
    assert len({base, *(other.transcript.seed for other in others)}) == 5


def test_the_same_input_gives_the_same_bytes() -> None:
    assert draw(lottery(4), seed(9)).files() == draw(lottery(4), seed(9)).files()
    assert result_files() == result_files()


def test_assignment_csv_is_written_like_every_other_table() -> None:
    for k in range(40):
        one = lottery(k, size=12)
        assignment = draw(one, seed(k)).assignment
        records = [
            (agent, good, str(copies))
            for agent in assignment.agents
            for good, copies in sorted(assignment.of(agent).items())
        ]
        columns = ("agent", "good", "copies") if one.kind == "pseudomarket" else ("agent", "task", "amount")
        assert assignment_csv(one, assignment) == write_csv(columns, records)


def refused(text: str) -> pytest.RaisesExc[DrawRefusedError]:
    return pytest.raises(DrawRefusedError, match=text)


def test_draw_refuses_without_a_commitment() -> None:
    with refused("not committed"):
        draw_result(solved(), seed(1))
    with refused("not committed"):
        abort_result(solved(), "no")


def test_a_second_draw_needs_a_reason_and_another_seed() -> None:
    files = changed(committed(), draw_result(committed(), seed(1))[1])
    with refused("needs a reason"):
        draw_result(files, seed(2))
    with refused("another seed"):
        draw_result(files, seed(1), reason="I did not like it")
    again = changed(files, draw_result(files, seed(2), reason="the room was not quorate")[1])
    assert again["draws/001/assignment.csv"] == files["assignment.csv"]
    assert again["draws/001/transcript.json"] == files["transcript.json"]
    assert verify_draw(again).passed
    third = changed(again, draw_result(again, seed(3), reason="nor was it then")[1])
    assert Transcript.from_json(third["transcript.json"]).number == 3
    assert verify_draw(third).passed
    with refused("another seed"):
        draw_result(third, seed(1), reason="back to the first")


def test_draw_refuses_what_has_changed_since() -> None:
    for name, data in (("prices.csv", b"good,price\n"), ("lottery.json", lottery(4).to_json())):
        with refused("has changed"):
            draw_result(sealed({**committed(), name: data}), seed(1))
    with refused("not that of the frozen part"):
        broken = committed()["commitment.json"].replace(b"electives", b"Electives")
        draw_result(sealed({**committed(), "commitment.json": broken}), seed(1))


def test_only_the_announced_source_is_drawn_from() -> None:
    for source in (Source("drand", round=ROUND), Source("ceremony", officials=("Ann",))):
        with refused("announced another source"):
            draw_result(committed(source), seed(1))
    with refused("announced another source"):
        draw_result(committed(Source("drand", round=ROUND + 1)), DrandRound(ROUND, SIGNATURE))


def test_an_aborted_draw_stays_on_record() -> None:
    files = committed(Source("drand", round=ROUND))
    with refused("needs a reason"):
        abort_result(files, "")
    files = changed(files, abort_result(files, "the league of entropy was down")[1])
    with refused("already"):
        abort_result(files, "again")
    with refused("must be asked for"):
        commit_result(files, DRAW, salts=salts())
    files = changed(files, commit_result(files, DRAW, salts=salts(), again=True)[1])
    with refused("needs a reason"):
        draw_result(files, seed(1))
    files = changed(files, draw_result(files, seed(1), reason="drand was down")[1])
    assert verify_draw(files, salts=salts().to_json()).passed
    assert json.loads(files["draws/001/transcript.json"])["status"] == "aborted"


def test_a_committed_result_is_not_committed_again() -> None:
    with refused("committed already"):
        commit_result(committed(), DRAW, salts=salts(), again=True)


def test_a_commitment_can_be_checked_before_the_draw() -> None:
    files = committed()
    assert verify_commitment(files, salts=salts().to_json()).passed
    failed = verify_commitment(sealed({**files, "prices.csv": b""})).failed
    assert [check.name for check in failed] == ["frozen files"]
    assert not verify_draw(files).passed


def test_lotteries_must_be_canonical() -> None:
    with refused("not in canonical form"):
        read_lottery({"lottery.json": lottery_file().replace(b",", b", ", 1)})
    with refused("nothing to draw from"):
        read_lottery({})
    with pytest.raises(InvalidProblemError):
        read_lottery({"lottery.json": b"{}"})


def test_personal_tables_are_hashed_under_salts_alone() -> None:
    commitment, _ = commit_result(solved(), DRAW, salts=salts())
    assert [name for name, _ in commitment.personal] == ["input/values.csv"]
    assert [agent for agent, _ in commitment.agents] == ["ann", "bob"]
    published = commitment.to_json()
    row = agent_rows({"input/values.csv": VALUES})["ann"]
    for data in (VALUES, row):
        assert digest(data).encode() not in published
    other = Salts(DRAW, {**salts().agents, "bob": "0" * 64}, salts().files)
    again = commit_result(solved(), DRAW, salts=other)[0]
    assert dict(again.agents)["ann"] == dict(commitment.agents)["ann"]
    assert dict(again.agents)["bob"] != dict(commitment.agents)["bob"]
    with refused("need salts"):
        commit_result(solved(), DRAW)
    for wrong in (
        Salts("x", salts().agents, salts().files),
        Salts(DRAW, {}, salts().files),
        Salts(DRAW, {}, {}),
    ):
        with refused("the salts are those of"):
            commit_result(solved(), DRAW, salts=wrong)
    assert Salts.from_json(salts().to_json()) == salts()
    with refused("canonical"):
        Salts.from_json(b"{} ")
    fresh = new_salts(DRAW, solved())
    assert fresh.agents.keys() == salts().agents.keys()
    assert len({*fresh.agents.values(), *fresh.files.values()}) == 3


def test_tables_that_cannot_be_read_are_not_published() -> None:
    for data in (b"x" * 200_000, b"agent,good\nann\n", b"agent,good\n\xff,art\n", b'agent,good\n"ann\n'):
        assert is_personal("input/values.csv", data)
        with refused("input/values.csv"):
            new_salts(DRAW, {"input/values.csv": data})
    assert not is_personal("input/goods.csv", b"good,capacity\n")
    assert not is_personal("shares.csv", b"agent,good,share\n")
    assert not is_personal("input/values.csv", b"")


def test_rows_of_agents_are_gathered_as_a_plain_reader_would() -> None:
    tables = {
        "input/agents.csv": b'agent,year\n\'=x,1\n"b,c",2\n',
        "input/values.csv": b"good,agent,value\nart,'=x,1\nlaw,'=x,2\nart,\"b,c\",3\n",
    }
    rows = {agent: json.loads(data) for agent, data in agent_rows(tables).items()}
    assert rows == {
        "=x": {
            "agent": "=x",
            "tables": {
                "input/agents.csv": [["agent", "year"], ["'=x", "1"]],
                "input/values.csv": [["good", "agent", "value"], ["art", "'=x", "1"], ["law", "'=x", "2"]],
            },
        },
        "b,c": {
            "agent": "b,c",
            "tables": {
                "input/agents.csv": [["agent", "year"], ["b,c", "2"]],
                "input/values.csv": [["good", "agent", "value"], ["art", "b,c", "3"]],
            },
        },
    }


def test_what_is_published_leaves_out_what_people_entered() -> None:
    files = changed(committed(), draw_result(committed(), seed(1))[1])
    public = public_part(files)
    assert files.keys() - public.keys() == {"input/values.csv", "manifest.json"}
    certificate = verify_draw(sealed(public))
    assert certificate.passed
    assert certificate["personal tables"].witness == "not opened: input/values.csv"
    assert not any(VALUES in data for data in public.values())
    assert manifest_faults(sealed(public)) == []


def test_a_ceremony_goes_in_order() -> None:
    commitment = "0" * 64
    numbers = {"Ann": "1" * 64, "Bob": "2" * 64}
    begun = Ceremony.begin(commitment, {n: seal(commitment, n, v) for n, v in numbers.items()})
    with refused("after the dice"):
        begun.reveal("Ann", numbers["Ann"])
    for dice in ("123", "7" * 20, "1" * 19 + "x"):
        with refused("at least 20 digits"):
            begun.roll(dice)
    rolled = begun.roll("1 2 3 4 5, 6 1 2 3 4  5 6 1 2 3 4 5 6 1 2")
    with refused("already"):
        rolled.roll("1" * 20)
    with refused("not the number that Ann sealed"):
        rolled.reveal("Ann", numbers["Bob"])
    with refused("64 digits"):
        rolled.reveal("Ann", "17")
    with refused("not an official"):
        rolled.reveal("Eve", numbers["Ann"])
    with refused("waits for Ann, Bob"):
        _ = rolled.public_seed
    with refused("waits for the dice"):
        _ = begun.public_seed
    done = rolled.reveal("Bob", numbers["Bob"]).reveal("Ann", numbers["Ann"])
    assert done.complete
    for state in (begun, rolled, done):
        assert Ceremony.from_json(state.to_json()) == state
    with refused("another commitment"):
        done.check("1" * 64)
    for seals in ({}, {"": "0" * 64}, {"Ann": "17"}):
        with refused("every official needs"):
            Ceremony.begin(commitment, seals)


def test_a_ceremony_seed_depends_on_everything() -> None:
    def public_seed(commitment: str, dice: str, numbers: dict[str, str]) -> bytes:
        held = Ceremony.begin(commitment, {n: seal(commitment, n, v) for n, v in numbers.items()}).roll(dice)
        for name, number in numbers.items():
            held = held.reveal(name, number)
        return held.public_seed

    ann, bob = {"Ann": "1" * 64}, {"Bob": "2" * 64}
    seeds = {
        public_seed("0" * 64, "1" * 20, ann | bob),
        public_seed("1" * 64, "1" * 20, ann | bob),
        public_seed("0" * 64, "1" * 19 + "2", ann | bob),
        public_seed("0" * 64, "1" * 20, bob | ann),
        public_seed("0" * 64, "1" * 20, ann | {"Bob": "3" * 64}),
        public_seed("0" * 64, "1" * 20, ann | {"Rob": "2" * 64}),
        public_seed("0" * 64, "1" * 20, ann),
    }
    assert len(seeds) == 7


def test_a_ceremony_is_drawn_from_and_checked() -> None:
    files = committed(Source("ceremony", officials=("Ann", "Bob")))
    hashed = json.loads(files["commitment.json"])["commitment"]
    numbers = {name: digest(name.encode()) for name in ("Ann", "Bob")}
    held = Ceremony.begin(hashed, {n: seal(hashed, n, v) for n, v in numbers.items()}).roll("1234" * 5)
    files = sealed({**files, "ceremony.json": held.to_json()})
    with refused("not complete"):
        draw_result(files, held)
    held = held.reveal("Ann", numbers["Ann"]).reveal("Bob", numbers["Bob"])
    files = changed(files, draw_result(files, held)[1])
    assert "ceremony.json" not in files
    assert verify_draw(files).passed


@needs_curve
def test_a_round_of_drand_is_drawn_from_and_checked() -> None:
    certificate = verify_draw(drand_result(), salts=salts().to_json())
    assert certificate.passed
    assert "BLS12-381" in certificate["seed"].witness
    with refused("not drand's signature"):
        draw_result(committed(Source("drand", round=ROUND + 1)), DrandRound(ROUND + 1, SIGNATURE))


def test_without_the_library_no_round_is_drawn_from_and_none_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beacon, "is_genuine", lambda number, signature: True)
    files = drand_result()

    def missing(number: int, signature: bytes) -> bool:
        raise MissingExtraError("checking the signature of a drand round", "beacon")

    monkeypatch.setattr(beacon, "is_genuine", missing)
    with pytest.raises(MissingExtraError, match=r"fairlot\[beacon\]"):
        drand_result()
    certificate = verify_draw(files)
    assert [check.name for check in certificate.failed] == ["beacon"]
    assert certificate["beacon"].residual != certificate["beacon"].residual
    assert "not checked" in certificate["beacon"].witness
    assert all(passed for passed, _ in verify(files).values())


def test_seeds_and_sources_of_the_wrong_form_are_refused() -> None:
    for wrong in (b"", bytes(31), bytes(33)):
        with refused("32 bytes"):
            draw(lottery(1), wrong)
    with refused("32 bytes"):
        GivenSeed("00" * 32)  # type: ignore[arg-type]
    for bad in (
        {"kind": "drand"},
        {"kind": "drand", "round": 0},
        {"kind": "open", "round": 5},
        {"kind": "ceremony"},
        {"kind": "ceremony", "officials": ("Ann", "Ann")},
        {"kind": "dice"},
    ):
        with pytest.raises(DrawRefusedError):
            Source(**bad)  # type: ignore[arg-type]
    with refused("not the one that was frozen"):
        draw(lottery(1), seed(1), commitment=commit(lottery(2)))
    with refused("needs a reason"):
        abort(commit(lottery(1)), "")


def test_tickets_are_public_and_differ() -> None:
    drawn = draw(lottery(11), seed(1))
    tickets = {drawn.ticket(agent) for agent in ("ann", "bob", "")}
    assert len(tickets) == 3
    assert drawn.ticket("ann") != draw(lottery(11), seed(2)).ticket("ann")
