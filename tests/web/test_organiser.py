"""The organiser through the browser: spreadsheets, faults, caps, lists, complaints, and the next period."""

from __future__ import annotations

import csv
import html
import io
import re
import zipfile
from collections.abc import Iterator

import pytest
from browsers import FAR, Browser, Service, links, serve
from made_rounds import MARKET, SEED, TASKS, made_round

from fairlot.io.verification import verify_files
from fairlot.lottery.protocol.ceremony import seal
from fairlot.rounds import (
    Area,
    Kind,
    RoundState,
    draw_view,
    read_back,
    result,
    round_,
    run_waiting,
)
from fairlot.web.organiser.drawing import drand_round_after
from fairlot.web.organiser.work import report_policy
from fairlot.web.uploads import packed, unpacked

SHEET = (
    b"Wishes for autumn,,,\nStudent;Chess;Choir;Year\n",
    b"Student,Chess,Choir,Year\nann,5,3,1\nbob,4,,2\neve,x,2,1\n",
)


@pytest.fixture(scope="module")
def service(module_database_url) -> Iterator[Service]:
    with serve(module_database_url) as running:
        yield running


@pytest.fixture
def office(service) -> Browser:
    return service.organiser("Ann")


def begun(office: Browser, kind: str, files: dict[str, bytes] | None = None) -> str:
    answer = office.post("/o/rounds", {"title": "Try", "kind": kind})
    round_id = answer.headers["location"].split("/")[2]
    if files:
        office.post(f"/o/{round_id}/files", files=[("files", item) for item in files.items()])
    return round_id


def words(answer) -> str:
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main)))


def test_a_spreadsheet_is_understood_asked_about_and_mended(service, office):
    round_id = begun(office, "pseudomarket")
    sent = office.post(f"/o/{round_id}/spreadsheet", files=[("table", ("wishes.csv", SHEET[1]))])
    assert sent.headers["location"] == f"/o/{round_id}/columns"
    page = office.get(f"/o/{round_id}/columns")
    assert "Only you can know" in page.text
    assert "wishes" not in page.text
    said = {"layout": "wide", "agent": "Student", "goods": ["Chess", "Choir"], "scale": "value"}
    said |= {"decimal": "point", "seats": "2", "load": "1"}
    faulty = office.post(f"/o/{round_id}/columns", said)
    assert faulty.status_code == 422
    assert "row 4, column Chess: not a number" in words(faulty)
    assert 'value="2"' in faulty.text  # what was said is kept
    again = SHEET[1].replace(b"x", b"1")
    office.post(f"/o/{round_id}/spreadsheet", files=[("table", ("wishes.csv", again))])
    assert office.post(f"/o/{round_id}/columns", said).headers["location"] == f"/o/{round_id}/check"
    assert "Nothing stands against opening" in office.get(f"/o/{round_id}/check").text
    assert set(read_back(service.store, round_id)) == {
        "problem.toml",
        "goods.csv",
        "agents.csv",
        "values.csv",
        "mapping.toml",
    }
    assert office.post(f"/o/{round_id}/check").status_code == 303
    assert round_(service.store, round_id).state is RoundState.CHECKED


def test_faults_are_mended_in_place_with_row_and_column(service, office):
    bad = {
        **MARKET,
        "goods.csv": b"good,capacity\nlogic,many\noptics,2\n",
        "values.csv": MARKET["values.csv"].replace(b"s3,optics,5", b"s9,optics,=5"),
    }
    round_id = begun(office, "pseudomarket", bad)
    page = office.get(f"/o/{round_id}/check")
    assert 'name="goods.csv|2|capacity" value="many"' in page.text
    assert office.post(f"/o/{round_id}/check").headers["location"].endswith("/check")
    assert round_(service.store, round_id).state is RoundState.DRAFT
    fields = re.findall(r'name="([^"]+\|[^"]+)" value="([^"]*)"', page.text)
    assert ("values.csv|6|agent", "s9") in fields
    office.post(f"/o/{round_id}/cells", {"goods.csv|2|capacity": "1"})
    office.post(f"/o/{round_id}/cells", {"values.csv|6|agent": "s3", "values.csv|6|value": "5"})
    assert read_back(service.store, round_id)["goods.csv"] == MARKET["goods.csv"]
    assert read_back(service.store, round_id)["values.csv"] == MARKET["values.csv"]
    assert "Nothing stands against opening" in office.get(f"/o/{round_id}/check").text


def test_files_one_by_one(service, office):
    round_id = begun(office, "pseudomarket", MARKET)
    page = office.get(f"/o/{round_id}/files/edit?name=problem.toml")
    assert "format = 1" in page.text
    text = MARKET["problem.toml"].decode().replace("max = 1", "max = 2").replace("\n", "\r\n")
    office.post(f"/o/{round_id}/files/edit", {"name": "problem.toml", "text": text})
    assert read_back(service.store, round_id)["problem.toml"].count(b"max = 2") == 1
    assert office.get(f"/o/{round_id}/files/file?name=goods.csv").content == MARKET["goods.csv"]
    assert office.get(f"/o/{round_id}/files/file?name=../../etc/passwd").status_code == 404
    folder = office.get(f"/o/{round_id}/problem.zip").content
    assert unpacked([("a.zip", folder)]) == read_back(service.store, round_id)
    office.post(f"/o/{round_id}/files/discard", {"name": "agents.csv"})
    assert "agents.csv" not in read_back(service.store, round_id)
    whole = office.post(f"/o/{round_id}/files", files=[("files", ("all.zip", packed(MARKET)))])
    assert whole.status_code == 303
    assert read_back(service.store, round_id) == MARKET


def test_participation_is_live_and_reminders_go_to_those_who_are_missing(service, office):
    made = made_round(service.store, service.account("Ann"), Kind.PSEUDOMARKET, RoundState.OPEN)
    sent = links(office.post(f"/o/{made.id}/invitations", {"agents": "s1\ns2"}))
    assert set(sent) == {"s1", "s2"}
    part = office.get(f"/o/{made.id}/participation")
    assert "0 of 3 have chosen" in part.text
    assert "hx-trigger" in part.text
    agent = service.browser()
    agent.follow_link(sent["s1"]["secret"])
    page = f"/r/{made.id}/me"
    answer = agent.post(page, {"key": "k", "seen": "0", "rate:logic": "5"}, page=page)
    assert answer.status_code == 303
    assert "1 of 3 have chosen" in office.get(f"/o/{made.id}/participation").text
    assert set(links(office.post(f"/o/{made.id}/reminders"))) == {"s2", "s3"}


def test_a_market_from_freeze_to_lists(service, office):
    """Through a ceremony of officials; then every list, every folder, and an answer to a complaint."""
    made = made_round(service.store, service.account("Ann"), Kind.PSEUDOMARKET, RoundState.OPEN)
    base = f"/o/{made.id}"
    assert office.post(f"{base}/freeze").status_code == 303
    work = office.post(f"{base}/work", {"what": "solve", "minutes": "5"}).headers["location"]
    assert "Waiting for a worker" in office.get(work).text
    assert "hx-trigger" in office.get(f"{work}/progress").text
    run_waiting(service.store)
    done = office.get(f"{work}/progress").text
    assert "Done." in done
    assert "hx-trigger" not in done
    office.post(f"{base}/draw/commit", {"source": "ceremony", "officials": "Bea\nCal"})
    commitment = draw_view(service.store, made.id).committed.hash
    numbers = {"Bea": "1" * 64, "Cal": "2" * 64}
    seals = {f"seal-{name}": seal(commitment, name, number) for name, number in numbers.items()}
    assert office.post(f"{base}/draw/seals", {**seals, "seal-Cal": "0"}).status_code == 409
    assert office.post(f"{base}/draw/seals", seals).status_code == 303
    assert office.post(f"{base}/draw/dice", {"dice": "123"}).status_code == 409
    assert office.post(f"{base}/draw/dice", {"dice": "12345 61234 56123 45612"}).status_code == 303
    assert office.post(f"{base}/draw", {}).status_code == 409
    for name, number in numbers.items():
        assert office.post(f"{base}/draw/reveal", {"official": name, "number": number}).status_code == 303
    assert office.post(f"{base}/draw", {}).status_code == 303
    assert office.post(f"{base}/publish").status_code == 303
    table = list(csv.reader(io.StringIO(office.get(f"{base}/lists/csv").text)))
    assert table[0][:2] == ["agent", "good"]
    canvas = list(csv.reader(io.StringIO(office.get(f"{base}/lists/canvas").text)))
    assert canvas[0] == ["course_id", "user_id", "role", "section_id", "status"]
    assert len(canvas) == len(table)
    assert office.get(f"{base}/lists/oneroster").status_code == 422
    assert "enrollments" in office.get(f"{base}/lists/oneroster?school=S1").headers["content-disposition"]
    assert office.get(f"{base}/lists/xlsx").content.startswith(b"PK")
    files = unpacked([("r.zip", office.get(f"{base}/folder/result").content)])
    assert files == result(service.store, made.id)
    assert verify_files(files).passed
    why = words(office.get(f"{base}/explain?agent=s1"))
    assert "s1: you had 1" in why
    assert "There is no agent of this id" in words(office.get(f"{base}/explain?agent=%3Cscript%3E"))
    report = office.get(f"{base}/report")
    assert report.status_code == 200
    assert report.headers["content-security-policy"] == report_policy(report.text)
    scripts = re.findall(r"<script>", report.text)
    assert report.headers["content-security-policy"].count("'sha256-") >= len(scripts) > 0
    brought = office.post(
        "/o/import", {"title": "Brought back"}, files=[("archive", ("r.zip", packed(files)))]
    )
    assert brought.status_code == 303, words(brought)
    again = brought.headers["location"].rpartition("/")[2]
    assert result(service.store, again) == files


def test_a_reallocation_from_caps_to_the_next_period(service, office):
    round_id = begun(office, "reallocation", TASKS)
    base = f"/o/{round_id}"
    assert office.post(f"{base}/menus/caps", {"load_growth": "much"}).status_code == 422
    assert office.post(f"{base}/menus/caps", {"forbidden": "zed,ward"}).status_code == 422
    caps = {"load_growth": "0.5", "task_growth": "", "forbidden": ""}
    assert office.post(f"{base}/menus/caps", caps).status_code == 303
    assert b"load_growth = 0.5" in read_back(service.store, round_id)["problem.toml"]
    assert office.post(f"{base}/check").headers["location"] == base
    assert office.post(f"{base}/menus/design", {"method": "magic"}).status_code == 422
    office.post(f"{base}/menus/design", {"method": "bilateral"})
    run_waiting(service.store)
    page = words(office.get(f"{base}/menus"))
    assert "trade : Have" in page
    assert "Keep what she has" in page
    assert "*" not in page.partition("Each menu in words")[2]
    assert "There is no such menu" in words(office.get(f"{base}/menus?agent=zed"))
    office.post(f"{base}/open", {"deadline": FAR})
    assert office.post(f"{base}/menus/caps", caps).status_code == 409
    sent = links(office.post(f"{base}/invitations", {"agents": ""}))
    agent = service.browser()
    agent.follow_link(sent["ann"]["secret"])
    mine = f"/r/{round_id}/me"
    assert agent.post(mine, {"key": "k", "seen": "0", "pick": "trade"}, page=mine).status_code == 303
    office.post(f"{base}/freeze")
    office.post(f"{base}/work", {"what": "reallocate"})
    run_waiting(service.store)
    office.post(f"{base}/draw/commit", {"source": "given"})
    office.post(f"{base}/draw", {"seed": SEED})
    assert office.post(f"{base}/publish").status_code == 303
    assert "## ann" in office.get(f"{base}/letters").text
    assert verify_files(result(service.store, round_id)).passed
    assert result(service.store, round_id, Area.DESIGN)
    assert office.post(f"{base}/next", {"title": "", "count-ward": "9"}).status_code == 422
    counts = {"title": "Next", "count-ward": "9", "count-clinic": "15"}
    following = office.post(f"{base}/next", counts).headers["location"].split("/")[2]
    files = read_back(service.store, following)
    assert files["tasks.csv"] == b"task,count\nward,9\nclinic,15\n"
    assert {"past-menus.csv", "past-picks.csv"} <= set(files)
    assert b"ann" in files["past-picks.csv"]
    assert "Nothing stands against opening" in office.get(f"/o/{following}/check").text


def test_only_an_administrator_begins_rounds_and_lets_others_in(service, office):
    plain = service.organiser("Plain", admin=False)
    assert plain.post("/o/rounds", {"title": "Mine", "kind": "pseudomarket"}).status_code == 403
    made = office.post("/o/accounts", {"name": "Dora"})
    link = re.search(r"/link/([\w-]+)", made.text)
    assert link is not None
    dora = service.browser()
    assert dora.follow_link(link.group(1)).headers["location"] == "/o"
    assert dora.get("/o/accounts").status_code == 403
    assert office.post("/o/accounts", {"name": "Dora"}).status_code == 422
    round_id = begun(office, "pseudomarket", MARKET)
    assert dora.get(f"/o/{round_id}").status_code == 404
    office.post(f"/o/{round_id}/roles", {"name": "Dora", "role": "auditor"})
    assert dora.get(f"/o/{round_id}").status_code == 200
    office.post(f"/o/{round_id}/roles", {"name": "Dora", "role": ""})
    assert dora.get(f"/o/{round_id}").status_code == 404


def test_templates_are_problems(office):
    for kind in Kind:
        files = zipfile.ZipFile(io.BytesIO(office.get(f"/o/template/{kind}").content)).namelist()
        assert "problem.toml" in files


def test_rounds_of_drand_are_still_to_come():
    from fairlot.verify.beacon import round_time

    for moment in (0.0, 1_700_000_000.0, 1_800_000_000.5):
        number = drand_round_after(moment)
        assert round_time(number) > moment
        assert number == 1 or round_time(number - 1) <= moment
