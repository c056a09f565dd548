import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from small_rounds import (
    MARKET,
    RATINGS,
    SEED,
    TASKS,
    designed_tasks,
    done,
    drawn_market,
    open_market,
    organiser,
    solved_market,
    solved_tasks,
)

from fairlot import rounds
from fairlot.errors import InvalidProblemError
from fairlot.io.verification import verify_result
from fairlot.lottery.protocol import DrawRefusedError, seal
from fairlot.lottery.protocol.canonical import digest
from fairlot.rounds import JobState, RefusedError, RoundState, UnknownError
from fairlot.store import Store


def test_a_pseudomarket_from_draft_to_archive(store: Store, tmp_path: Path) -> None:
    who = organiser(store)
    made = rounds.create_round(store, "Small", "pseudomarket", who)
    assert made.state is RoundState.DRAFT
    rounds.upload(store, made.id, MARKET, who)
    report = rounds.check(store, made.id, who)
    assert report.passed
    assert report.sizes["agents"] == 4
    assert rounds.round_(store, made.id).state is RoundState.CHECKED
    rounds.open_round(store, made.id, store.clock() + timedelta(hours=1), who)
    for agent, ratings in RATINGS.items():
        rounds.submit(store, made.id, agent, {"ratings": ratings}, "k", 0)
    assert rounds.participation(store, made.id).missing == ("dee",)
    frozen = rounds.freeze(store, made.id, who)
    assert rounds.frozen(store, made.id) == frozen
    assert digest(frozen.document) == frozen.hash
    done(store, made.id, "solve")
    committed = rounds.commit(store, made.id, who)
    transcript = rounds.draw(store, made.id, who, seed=SEED)
    assert transcript.commitment == committed.hash
    assert rounds.round_(store, made.id).state is RoundState.DRAWN
    got = rounds.outcome(store, made.id, "ann")
    assert set(got.drawn) <= {"art", "bio"}
    rounds.publish(store, made.id, who)
    public = rounds.public_page(store, made.id)
    assert public.commitment == committed.hash
    assert public.frozen == frozen.hash
    assert "input/values.csv" not in public.files
    folders = rounds.export_round(store, made.id, tmp_path / "out")
    assert [folder.name for folder in folders] == ["result", "public"]
    for folder in folders:
        assert verify_result(folder, commitment=committed.hash).passed
    salts = (tmp_path / "out" / "private" / "salts.json").read_bytes()
    opened = verify_result(tmp_path / "out" / "result", salts=salts)
    assert opened.passed
    assert not any("salt" in note for note in opened.unseen)
    rounds.archive(store, made.id, who)
    entries = rounds.log(store, made.id)
    assert rounds.verify_log(entries, frozen_head(entries)) == []
    assert rounds.read_log((tmp_path / "out" / "log.jsonl").read_bytes()) == entries[:-1]


def test_the_log_can_be_checked_as_the_operations_page_says(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id = open_market(store)
    page = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    lines = rounds.log_lines(rounds.log(store, round_id))
    Path("log.jsonl").write_bytes(lines)
    exec(script, {"noted": rounds.head(store, round_id)})
    with pytest.raises(AssertionError):
        exec(script, {"noted": "1" * 64})
    Path("log.jsonl").write_bytes(lines.replace(b'"Ada"', b'"Eve"', 1))
    with pytest.raises(AssertionError):
        exec(script, {"noted": rounds.head(store, round_id)})


def frozen_head(entries: tuple[rounds.LogEntry, ...]) -> str:
    return next(entry.hash for entry in entries if entry.what == "frozen")


def test_a_reallocation_from_design_to_a_draw(store: Store, tmp_path: Path) -> None:
    who, round_id = organiser(store), solved_tasks(store)
    rounds.commit(store, round_id, who, officials=["Ann", "Bob"])
    committed = rounds.draw_view(store, round_id).committed
    assert committed is not None
    numbers = {"Ann": "1" * 64, "Bob": "2" * 64}
    seals = {name: seal(committed.hash, name, number) for name, number in numbers.items()}
    rounds.begin_ceremony(store, round_id, who, seals)
    with pytest.raises(DrawRefusedError):
        rounds.reveal(store, round_id, who, "Ann", numbers["Ann"])  # before the dice
    rounds.roll_dice(store, round_id, who, "12345612345612345612")
    with pytest.raises(DrawRefusedError):
        rounds.reveal(store, round_id, who, "Ann", "3" * 64)
    for name, number in numbers.items():
        rounds.reveal(store, round_id, who, name, number)
    rounds.draw(store, round_id, who)
    got = rounds.outcome(store, round_id, "x")
    assert got.pick not in (None, "keep")
    assert sum(got.drawn.values()) > 0
    rounds.publish(store, round_id, who)
    for folder in rounds.export_round(store, round_id, tmp_path / "out"):
        assert verify_result(folder).passed
    assert {"menus.csv", "picks.csv"} <= {path.name for path in (tmp_path / "out" / "problem").iterdir()}


def test_nothing_changes_after_the_freeze(store: Store) -> None:
    who, round_id = organiser(store), open_market(store)
    rounds.freeze(store, round_id, who)
    before = rounds.read_back(store, round_id)
    for forbidden in (
        lambda: rounds.submit(store, round_id, "ann", {"ratings": {"art": 5}}, "late", 0),
        lambda: rounds.upload(store, round_id, MARKET, who),
        lambda: rounds.set_settings(store, round_id, who, scale="points"),
        lambda: rounds.extend(store, round_id, store.clock() + timedelta(hours=1), who),
        lambda: rounds.freeze(store, round_id, who),
        lambda: rounds.open_round(store, round_id, store.clock() + timedelta(hours=1), who),
        lambda: rounds.publish(store, round_id, who),
        lambda: rounds.erase_agent(store, round_id, "ann", who),
    ):
        with pytest.raises(RefusedError):
            forbidden()
    assert rounds.read_back(store, round_id) == before


def test_steps_out_of_order_are_refused(store: Store) -> None:
    who = organiser(store)
    made = rounds.create_round(store, "Small", "pseudomarket", who)
    soon = store.clock() + timedelta(hours=1)
    steps = [
        lambda: rounds.open_round(store, made.id, soon, who),
        lambda: rounds.freeze(store, made.id, who),
        lambda: rounds.request_job(store, made.id, "solve", who),
        lambda: rounds.request_job(store, made.id, "design", who),
        lambda: rounds.commit(store, made.id, who),
        lambda: rounds.draw(store, made.id, who, seed=SEED),
        lambda: rounds.abort_draw(store, made.id, who, "x"),
        lambda: rounds.publish(store, made.id, who),
        lambda: rounds.archive(store, made.id, who),
        lambda: rounds.invite(store, made.id, who),
        lambda: rounds.outcome(store, made.id, "ann"),
        lambda: rounds.enrolment_list(store, made.id, "csv"),
    ]
    for step in steps:
        with pytest.raises(RefusedError):
            step()
    with pytest.raises(UnknownError):
        rounds.public_page(store, made.id)  # a draft is nobody's business
    with pytest.raises(UnknownError):
        rounds.round_(store, "no-such-round")


def test_faults_of_files_are_told_with_their_places(store: Store) -> None:
    who = organiser(store)
    made = rounds.create_round(store, "Small", "pseudomarket", who)
    broken = {**MARKET, "goods.csv": b"good,capacity\nart,-1\n"}
    issues = rounds.upload(store, made.id, broken, who)
    assert (issues[0].file, issues[0].row, issues[0].column) == ("goods.csv", 2, "capacity")
    report = rounds.check(store, made.id, who)
    assert not report.passed
    assert report.issues
    assert rounds.round_(store, made.id).state is RoundState.DRAFT
    assert rounds.read_back(store, made.id)["goods.csv"] == broken["goods.csv"]
    rounds.upload(store, made.id, MARKET, who)
    assert rounds.check(store, made.id, who).passed
    with pytest.raises(InvalidProblemError):
        rounds.upload(store, made.id, {"../x.csv": b""}, who)
    other = rounds.create_round(store, "Desk", "reallocation", who)
    assert rounds.upload(store, other.id, MARKET, who)  # of the other kind


def test_a_minimum_that_nobody_could_meet_keeps_a_round_from_opening(store: Store) -> None:
    who = organiser(store)
    made = rounds.create_round(store, "Small", "pseudomarket", who)
    settings = MARKET["problem.toml"].replace(b"max = 2", b"min = 2\nmax = 2")
    rounds.upload(store, made.id, {**MARKET, "problem.toml": settings}, who)
    report = rounds.check(store, made.id, who)
    assert not report.passed
    assert [finding.name for finding in report.findings if finding.severity == "fault"] == [
        "feasible assignment"
    ]


def test_a_deadline_must_be_ahead_and_ends_choosing(database_url: str) -> None:
    from datetime import UTC

    from fairlot.store import open_store

    at = [datetime(2026, 9, 1, tzinfo=UTC)]
    store = open_store(database_url, lambda: at[0])
    who, round_id = organiser(store), open_market(store)
    with pytest.raises(RefusedError, match="future"):
        rounds.extend(store, round_id, at[0], who)
    with pytest.raises(RefusedError, match="time zone"):
        rounds.extend(store, round_id, datetime(2026, 10, 1), who)
    at[0] += timedelta(hours=2)
    with pytest.raises(RefusedError, match="deadline"):
        rounds.submit(store, round_id, "ann", {"ratings": {"art": 5}}, "k", 0)
    rounds.extend(store, round_id, at[0] + timedelta(hours=1), who)
    assert rounds.submit(store, round_id, "ann", {"ratings": {"art": 5}}, "k", 0).current
    store.close()


def test_another_draw_needs_a_reason_and_all_stay_on_record(store: Store) -> None:
    who, round_id = organiser(store), solved_market(store)
    rounds.commit(store, round_id, who)
    with pytest.raises(DrawRefusedError):
        rounds.abort_draw(store, round_id, who, " ")
    rounds.abort_draw(store, round_id, who, "an official fell ill")
    with pytest.raises(DrawRefusedError):
        rounds.commit(store, round_id, who)
    rounds.commit(store, round_id, who, again=True)
    with pytest.raises(DrawRefusedError):
        rounds.draw(store, round_id, who, seed=SEED)  # why again?
    rounds.draw(store, round_id, who, seed=SEED, reason="an official fell ill")
    view = rounds.draw_view(store, round_id)
    assert [one.drawn for one in (*view.earlier, view.transcript) if one] == [False, True]
    with pytest.raises(RefusedError):
        rounds.request_job(store, round_id, "solve", who)


@pytest.mark.slow
def test_a_report_is_made_by_a_job_and_dropped_with_its_result(store: Store) -> None:
    round_id = solved_market(store)
    done(store, round_id, "report")
    with store.reading() as tx:
        assert "report.html" in tx.files(round_id, rounds.Area.REPORT)
    assert "<html" in rounds.report_page(store, round_id, private=True)
    done(store, round_id, "solve", seed=1)
    with store.reading() as tx:
        assert "report.html" not in tx.files(round_id, rounds.Area.REPORT)


def test_a_result_once_committed_to_is_not_solved_again(store: Store) -> None:
    who, round_id = organiser(store), solved_market(store)
    done(store, round_id, "solve", seed=1)  # as often as wanted before
    asked = rounds.request_job(store, round_id, "solve", who)
    rounds.commit(store, round_id, who)
    frozen = rounds.result(store, round_id)
    rounds.run_waiting(store)
    assert rounds.job(store, asked.id).state is JobState.FAILED
    assert rounds.result(store, round_id) == frozen


def test_drand_rounds_that_are_signed_already_are_refused(store: Store) -> None:
    who, round_id = organiser(store), solved_market(store)
    with pytest.raises(RefusedError, match="already"):
        rounds.commit(store, round_id, who, drand_round=1000)
    made = rounds.commit(store, round_id, who, drand_round=2**40)
    assert made.source == f"round {2**40} of drand"
    for seed, signature in ((SEED, None), (None, "00" * 48), (None, "x"), (None, None)):
        with pytest.raises((DrawRefusedError, RefusedError)):
            rounds.draw(store, round_id, who, seed=seed, signature=signature)


def test_settings_of_work_are_checked(store: Store) -> None:
    who, round_id = organiser(store), open_market(store)
    rounds.freeze(store, round_id, who)
    for wrong in ({"method": "magic"}, {"tol": "x"}, {"draws": 3}, {"seed": -1}):
        with pytest.raises(RefusedError):
            rounds.request_job(store, round_id, "solve", who, **wrong)
    with pytest.raises(RefusedError):
        rounds.request_job(store, round_id, "design", who)
    rounds.request_job(store, round_id, "solve", who)
    with pytest.raises(RefusedError, match="under way"):
        rounds.request_job(store, round_id, "solve", who)


def test_work_that_fails_says_why_and_changes_nothing(store: Store) -> None:
    who, round_id = organiser(store), open_market(store)
    rounds.freeze(store, round_id, who)
    asked = rounds.request_job(store, round_id, "solve", who, method="path", time_limit=0.0)
    rounds.run_waiting(store)
    found = rounds.job(store, asked.id)
    assert found.state in (JobState.FAILED, JobState.DONE)
    if found.state is JobState.FAILED:
        assert found.messages
        assert rounds.result(store, round_id) == {}
        assert rounds.round_(store, round_id).state is RoundState.FROZEN


def test_a_new_problem_takes_its_old_menus_away(store: Store) -> None:
    who, round_id = organiser(store), designed_tasks(store)
    assert "menus.csv" in rounds.result(store, round_id, rounds.Area.DESIGN)
    rounds.upload(store, round_id, TASKS, who)
    rounds.check(store, round_id, who)
    with pytest.raises(RefusedError, match="menus"):
        rounds.open_round(store, round_id, store.clock() + timedelta(hours=1), who)


@pytest.mark.parametrize("list_", ["csv", "xlsx", "canvas"])
def test_lists_of_who_got_what(store: Store, list_: str) -> None:
    assert rounds.enrolment_list(store, drawn_market(store), list_)


def test_values_in_a_table_count_for_those_who_do_not_choose(store: Store) -> None:
    files = {**MARKET, "values.csv": b"agent,good,value\ndee,law,7\nann,law,9\n"}
    who, round_id = organiser(store), open_market(store, files)
    rounds.submit(store, round_id, "ann", {"ratings": {"art": 5}}, "k", 0)
    rounds.freeze(store, round_id, who)
    rows = rounds.read_back(store, round_id)["values.csv"].decode().splitlines()
    assert sorted(rows[1:]) == ["ann,art,100", "dee,law,7"]
