"""``[[conflict]]`` in problem folders, and timetables from folder to draw to verification."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from fairlot.errors import InvalidProblemError
from fairlot.io.equilibrium import equilibrium_files
from fairlot.io.problem import parse_problem_files, problem_files
from fairlot.io.results import add_to_result, read_result, write_result
from fairlot.io.verification import verify_files, verify_result
from fairlot.lottery import decompose, sample
from fairlot.lottery.pick import draw_term
from fairlot.lottery.protocol import commit_result, draw_result, new_salts
from fairlot.model.conflicts import Meeting, maximal_cliques, meeting_conflict, parse_days, parse_time
from fairlot.model.lotteries import Lottery
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import timetable_market
from fairlot.verify import draw as twin

GOODS = """good,capacity,course,days,start,end,campus
a1,1,A,MonWed,09:00,10:15,north
a2,2,A,TueThu,9:00 AM,10:15 AM,north
b1,1,B,Wed,10:00,11:00,north
b2,2,B,TR,10:20,11:30,south
c1,2,C,,,,
"""
VALUES = "agent,good,value\n" + "".join(
    f"s{i},{good},{1 + (7 * i + 3 * j) % 5}\n"
    for i in range(4)
    for j, good in enumerate(("a1", "a2", "b1", "b2", "c1"))
)
HEAD = """format = 1
kind = "pseudomarket"
[goods]
file = "goods.csv"
[agents]
file = "agents.csv"
[values]
file = "values.csv"
[[quota]]
name = "load"
max = 2
[[quota]]
name = "one section per course"
by = "course"
max = 1
"""
TIMES = 'meetings = { days = "days", start = "start", end = "end" }\n'


def folder(conflict: str, **more: str) -> dict[str, bytes]:
    files = {"problem.toml": HEAD + conflict, "goods.csv": GOODS, "values.csv": VALUES}
    files["agents.csv"] = "agent\n" + "".join(f"s{i}\n" for i in range(4))
    return {name: text.encode() for name, text in (files | more).items()}


def pairs_of(conflict: str, **more: str) -> list[tuple[str, str]]:
    market = parse_problem_files(folder(conflict, **more)).problem
    return [(market.goods[a], market.goods[b]) for a, b in market.conflict_pairs]


def test_meeting_times_conflict_where_they_overlap():
    assert pairs_of("[[conflict]]\n" + TIMES) == [("a1", "b1")]
    assert pairs_of("[[conflict]]\ngap = 10\n" + TIMES) == [("a1", "b1"), ("a2", "b2")]
    campus = TIMES.replace(" }", ', campus = "campus" }')
    assert pairs_of("[[conflict]]\ntravel = 10\n" + campus) == [("a1", "b1"), ("a2", "b2")]
    assert pairs_of("[[conflict]]\ntravel = 5\n" + campus) == [("a1", "b1")]


def test_pairs_come_from_a_table_or_inline():
    table = "good_a,good_b\na1,c1\nb2,a1\n"
    assert pairs_of('[[conflict]]\nfile = "clash.csv"\n', **{"clash.csv": table}) == [
        ("a1", "b2"),
        ("a1", "c1"),
    ]
    assert pairs_of('[[conflict]]\npairs = [["c1", "a1"]]\n') == [("a1", "c1")]


def test_canonical_folder_reads_back():
    conflict = '[[conflict]]\nname = "x"\nfile = "clash.csv"\n[[conflict]]\nname = "t"\n' + TIMES
    read = parse_problem_files(folder(conflict, **{"clash.csv": "good_a,good_b\na1,c1\n"}))
    assert "conflict-1.csv" in read.files
    again = parse_problem_files(read.files)
    assert again.files == read.files
    assert again.problem.conflict_pairs.tolist() == read.problem.conflict_pairs.tolist()
    written = parse_problem_files(problem_files(read.problem)).problem
    assert written.conflict_pairs.tolist() == read.problem.conflict_pairs.tolist()


@pytest.mark.parametrize(
    ("conflict", "message"),
    [
        ("[[conflict]]\n", "missing"),
        ('[[conflict]]\npairs = [["a1", "a1"]]\n', "a good with itself"),
        ('[[conflict]]\npairs = [["a1", "x"]]\n', "unknown good"),
        ('[[conflict]]\npairs = "a1"\n', "not understood"),
        ('[[conflict]]\nmeetings = { days = "days" }\n', "not understood"),
        ("[[conflict]]\n" + TIMES.replace('"start"', '"begin"'), "no such column"),
        ('[[conflict]]\nfile = "none.csv"\n', "none.csv"),
        ("[[conflict]]\nminutes = 5\n" + TIMES, "unknown key"),
    ],
)
def test_faults_are_told(conflict, message):
    with pytest.raises(InvalidProblemError, match=message):
        parse_problem_files(folder(conflict))


@pytest.mark.parametrize(
    ("cell", "wrong", "message"),
    [
        ("MonWed,09:00", "Mxx,09:00", "row 2, column days"),
        ("MonWed,09:00", "MonWed,25:00", "row 2, column start"),
        ("09:00,10:15", "11:00,10:15", "ends before it starts"),
        ("10:00,11:00", "10:00,", "row 4, column end"),
    ],
)
def test_faulty_times_are_told_with_their_place(cell, wrong, message):
    with pytest.raises(InvalidProblemError, match=message):
        parse_problem_files(folder("[[conflict]]\n" + TIMES, **{"goods.csv": GOODS.replace(cell, wrong)}))


def test_overlaps_by_minutes():
    """The graph of conflicts against marking every minute of the week."""
    rng = np.random.default_rng(1)
    meetings = {}
    for k in range(25):
        start = int(rng.integers(0, 1300))
        days = frozenset(int(d) for d in rng.choice(7, size=2, replace=False))
        meetings[f"g{k}"] = [Meeting(days, start, start + int(rng.integers(1, 120)))]
    for gap in (0, 10):
        week = {
            g: {(d, t) for m in ms for d in m.days for t in range(m.start, m.end + gap)}
            for g, ms in meetings.items()
        }
        want = {(a, b) for a, b in itertools.combinations(week, 2) if week[a] & week[b]}
        assert set(meeting_conflict("c", meetings, gap=gap).pairs) == want


def test_cliques_by_enumeration():
    rng = np.random.default_rng(2)
    for _ in range(20):
        edges = np.triu(rng.random((7, 7)) < 0.5, 1)
        edges = edges | edges.T
        sets = [
            set(s)
            for n in range(2, 8)
            for s in itertools.combinations(range(7), n)
            if all(edges[a, b] for a, b in itertools.combinations(s, 2))
        ]
        want = sorted(sorted(s) for s in sets if not any(s < other for other in sets))
        assert [clique.tolist() for clique in maximal_cliques(edges)] == want


def test_days_and_times():
    assert parse_days("TTh") == parse_days("Tuesday Thursday") == frozenset({1, 3})
    assert parse_days("SaSu") == frozenset({5, 6})
    assert (parse_time("12:00 PM"), parse_time("00:05"), parse_time("24:00")) == (720, 5, 1440)
    for text in ("noon", "13:60", "13:00 PM", "25:00", ""):
        with pytest.raises(ValueError, match="no time of day"):
            parse_time(text)


@pytest.fixture(scope="module")
def published() -> dict[str, bytes]:
    market = timetable_market(12, 6, 1, 0.6, slots=3, load=2, meetings=True)
    read = parse_problem_files(problem_files(market))
    found = solve_equilibrium(read.problem)
    assert found.status.value == "certified"
    return equilibrium_files(found, found.lottery(), read.files)


def test_from_folder_to_verified_draw(published: dict[str, bytes], tmp_path: Path):
    write_result(tmp_path / "r", published)
    files = read_result(tmp_path / "r")
    _, change = commit_result(files, "term", salts=new_salts("term", files))
    add_to_result(tmp_path / "r", change.write)
    seed = hashlib.sha256(b"dice").digest()
    drawn, change = draw_result(read_result(tmp_path / "r"), seed)
    add_to_result(tmp_path / "r", change.write)
    certificate = verify_result(tmp_path / "r")
    assert certificate.passed
    assert certificate.statement.startswith("In every possible draw no student exceeds her load")
    files = read_result(tmp_path / "r")
    assert all(passed for passed, _ in twin.verify(files).values())
    other = bytearray(files["assignment.csv"])
    other[-2] ^= 1
    assert not twin.verify({**files, "assignment.csv": bytes(other)})["assignment"][0]
    lottery = Lottery.from_json(files["lottery.json"])
    inner = bytes.fromhex(json.loads(files["transcript.json"])["seed"])
    assert (draw_term(lottery, inner).matrix != drawn.assignment.matrix).nnz == 0


def test_terms_belong_to_the_commitment(published: dict[str, bytes]):
    lottery = json.loads(published["lottery.json"])
    assert lottery["draw"] == "terms"
    assert sum(weight for weight, _ in lottery["terms"]) == lottery["denominator"] == 2**52
    lottery["terms"][0][0] += 1
    with pytest.raises(InvalidProblemError, match="weights of terms"):
        Lottery.from_json(json.dumps(lottery).encode())
    del lottery["terms"]
    with pytest.raises(InvalidProblemError, match="draw"):
        Lottery.from_json(json.dumps(lottery).encode())


def test_pick_agrees_with_the_standard_library_twin(published: dict[str, bytes]):
    lottery = Lottery.from_json(published["lottery.json"])
    other = twin.Lottery({"lottery.json": published["lottery.json"]})
    seen = set()
    for k in range(200):
        seed = hashlib.sha256(bytes([k])).digest()
        copies = twin.pick(other, seed)
        assert (
            lottery.assignment(copies).matrix.toarray().tolist()
            == draw_term(lottery, seed).matrix.toarray().tolist()
        )
        seen.add(tuple(copies))
    assert decompose(lottery) is lottery.terms
    draws = sample(lottery, 50, seed=1)
    terms = {tuple(lottery.terms.copies(t)) for t in range(lottery.terms.n_terms)} if lottery.terms else set()
    assert seen <= terms
    assert {tuple(row) for row in draws.tolist()} <= terms


def test_wrong_claims_fail_verification(published: dict[str, bytes]):
    files = dict(published)
    files["shares.csv"] = files["shares.csv"].replace(b",0.", b",0.1", 1)
    failed = {check.name for check in verify_files(files).failed}
    assert "lottery: expectations" in failed
    del files["lottery.json"]
    assert "lottery: file" in {check.name for check in verify_files(files).failed}
