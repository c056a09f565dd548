"""Both rounds played in Chromium, from upload to published draw; the command checks what they leave."""

from __future__ import annotations

import csv
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chromium import DESK, MARKET, SEED, WISHES, Eyes, chromium, needs_chromium, serving
from playwright.sync_api import Browser, expect

from fairlot.lottery.protocol.ceremony import seal
from fairlot.rounds import run_waiting
from fairlot.store import Store

pytestmark = needs_chromium
DEADLINE = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M}"
NUMBERS = {"Clerk": "c1" * 32, "Notary": "0a" * 32}


class Office:
    """The organiser's window: what she clicks, one step of a round after the other."""

    def __init__(self, browser: Browser, base: str, link: str) -> None:
        self.eyes = Eyes.opened(browser, base, 1280, accept_downloads=True)
        self.page = self.eyes.page
        self.eyes.enter(link)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def go(self, name: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()

    def begin(self, title: str, kind: str, files: dict[str, bytes], folder: Path) -> None:
        """Begin a round, send its files and have them accepted."""
        self.page.goto(f"{self.eyes.base}/o")
        self.page.get_by_label("Title", exact=True).fill(title)
        self.page.locator(f'[name="kind"][value="{kind}"]').check()
        self.press("Begin")
        self.go("Files")
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        self.page.locator("#files").set_input_files([folder / name for name in files])
        self.page.locator("form:has(#files) button").click()
        expect(self.page.get_by_text("Nothing stands against opening")).to_be_visible()
        self.press("Accept these files")

    def open(self) -> None:
        self.go("Overview")
        self.page.locator("#deadline").fill(DEADLINE)
        self.press("Open for choices")

    def invite(self, folder: Path) -> dict[str, str]:
        """Return everybody's link, from the table for a mail merge."""
        self.go("Agents")
        with self.page.expect_download() as handed:
            self.press("Make links and download them")
        handed.value.save_as(folder / "links.csv")
        with (folder / "links.csv").open(newline="", encoding="utf-8-sig") as table:
            return {row["agent"]: row["link"] for row in csv.DictReader(table)}

    def work(self, button: str) -> None:
        """Ask for work and wait until it is done."""
        self.press(button)
        expect(self.page.get_by_text("Done.")).to_be_visible(timeout=120_000)
        self.eyes.judge()
        self.page.reload()

    def draw_from_seed(self) -> None:
        self.go("Draw")
        self.page.locator('[name="source"][value="given"]').check()
        self.press("Commit")
        self.page.get_by_label("Public seed").fill(SEED)
        self.press("Draw")

    def draw_by_ceremony(self) -> None:
        self.go("Draw")
        self.page.locator('[name="source"][value="ceremony"]').check()
        self.page.get_by_label("Officials, one a line").fill("\n".join(NUMBERS))
        self.press("Commit")
        commitment = self.page.locator("dd.hash").first.inner_text()
        for name, number in NUMBERS.items():
            self.page.get_by_label(f"Seal of {name}").fill(seal(commitment, name, number))
        self.press("Record the seals")
        self.page.locator("#dice").fill("16253442316524361543")
        self.press("Record the dice")
        for name, number in NUMBERS.items():
            form = self.page.locator(f'form:has([name="official"][value="{name}"])')
            form.locator('[name="number"]').fill(number)
            form.get_by_role("button").click()
        self.press("Draw")

    def publish(self) -> None:
        expect(self.page.get_by_text("is made.")).to_be_visible()
        self.press("Publish")

    def take(self, name: str, folder: Path) -> Path:
        """Download a folder of the outcome and unpack it."""
        self.go("Outcome")
        with self.page.expect_download() as handed:
            self.page.locator("main").get_by_role("link", name=name, exact=True).click()
        return unpack(handed.value.path(), folder)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive; return the folder in it."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    inner = [path.parent for name in ("manifest.json", "problem.toml") for path in folder.rglob(name)]
    return min(inner, key=lambda path: len(path.parts))


def fairlot(*arguments: object) -> str:
    """Run the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "fairlot", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rate(browser: Browser, base: str, link: str, ratings: dict[str, int]) -> None:
    """Come in on a phone, rate, and see it saved."""
    eyes = Eyes.opened(browser, base)
    eyes.enter(link)
    for count, (good, stars) in enumerate(ratings.items(), start=1):
        eyes.page.locator(f'[name="rate:{good}"][value="{stars}"]').check(force=True)
        expect(eyes.page.locator("#status")).to_contain_text(f"{count} good")
    expect(eyes.page.locator("#status .good")).to_be_visible()
    eyes.close()


def pick(browser: Browser, base: str, link: str) -> None:
    """Come in on a phone, pick the first exchange, change one's mind, and pick it again."""
    eyes = Eyes.opened(browser, base)
    eyes.enter(link)
    lines = eyes.page.locator(".choice input")
    for choice in (1, 0, 1):
        if lines.count() > choice:
            lines.nth(choice).check()
            expect(eyes.page.locator("#status .good")).to_be_visible()
            expect(eyes.page.locator("[data-saving]")).to_be_hidden()
    eyes.close()


def see(browser: Browser, base: str, link: str, public: str, folder: Path) -> None:
    """Come back on a phone, check the draw in the browser, and take the public files home."""
    eyes = Eyes.opened(browser, base, accept_downloads=True)
    eyes.enter(link)
    expect(eyes.page.get_by_role("heading", name="What you got")).to_be_visible()
    eyes.page.click("#check")
    expect(eyes.page.locator("#checked .notice.good")).to_be_visible()
    eyes.look(public)
    eyes.page.click("#check")
    expect(eyes.page.locator("#checked .notice.good")).to_be_visible()
    with eyes.page.expect_download() as handed:
        eyes.page.get_by_role("link", name="All files").click()
    unpack(handed.value.path(), folder)
    eyes.close()


def play_market(browser: Browser, base: str, office: Office, folder: Path) -> None:
    folder.mkdir()
    office.begin("Electives", "pseudomarket", dict(MARKET), folder / "sent")
    office.open()
    links = office.invite(folder)
    for agent, ratings in WISHES.items():
        rate(browser, base, links[agent], ratings)
    office.go("Overview")
    expect(office.page.get_by_text("3 of 4 have chosen.")).to_be_visible()
    office.press("Freeze")
    office.work("Find prices and shares")
    office.draw_from_seed()
    finish(browser, base, office, folder)


def play_desk(browser: Browser, base: str, office: Office, folder: Path) -> None:
    folder.mkdir()
    office.begin("Loan desk", "reallocation", dict(DESK), folder / "sent")
    office.go("Menus")
    office.work("Design menus")
    office.open()
    links = office.invite(folder)
    for agent in ("ann", "bob", "cleo"):
        pick(browser, base, links[agent])
    office.go("Overview")
    office.press("Freeze")
    office.work("Find the best assignment for these picks")
    office.draw_by_ceremony()
    finish(browser, base, office, folder)


def finish(browser: Browser, base: str, office: Office, folder: Path) -> None:
    """Publish; check the exported folders on the command line; look at it as agent and outsider."""
    office.publish()
    result = office.take("Result", folder / "result")
    assert "PASS" in fairlot("verify", result).upper()
    round_id = office.page.url.split("/o/")[1].split("/")[0]
    links = office.invite(folder)
    see(browser, base, links["ann"], f"/r/{round_id}", folder / "public")


@contextmanager
def working(store: Store) -> Iterator[None]:
    """Do what waits, beside."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            run_waiting(store)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(60)


def test_market_from_upload_to_published_draw(tmp_path: Path, database_url: str) -> None:
    with serving(database_url) as service, working(service.store), chromium() as browser:
        office = Office(browser, service.base, service.organiser_link())
        play_market(browser, service.base, office, tmp_path / "market")
        office.eyes.close()


@contextmanager
def command_serving(folder: Path) -> Iterator[tuple[str, str]]:
    """Run ``fairlot serve`` with its worker; give its address and the organiser's link."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    command = [sys.executable, "-m", "fairlot", "serve", "--database-url", f"sqlite:///{folder}/served.db"]
    command += ["--port", str(port), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        document = ""
        while not document.endswith("\n}\n"):
            document += served.stdout.readline()
        told = json.loads(document)
        for _ in range(200):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield told["address"], told["links"]["organiser"]
        served.send_signal(signal.SIGINT)


@pytest.mark.slow
def test_both_rounds_as_served_by_the_command(tmp_path: Path) -> None:
    with command_serving(tmp_path) as (base, link), chromium() as browser:
        office = Office(browser, base, link)
        play_market(browser, base, office, tmp_path / "market")
        play_desk(browser, base, office, tmp_path / "desk")
        office.eyes.close()
    for half in ("market", "desk"):
        (published,) = (path.parent for path in (tmp_path / half / "public").rglob("manifest.json"))
        assert "PASS" in fairlot("verify", published).upper()
