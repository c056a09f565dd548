"""A service on a port of this machine, small rounds in every state, and Chromium to look at them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from fairlot import rounds
from fairlot.rounds import Account, Round, RoundState
from fairlot.store import Store, open_store
from fairlot.web.app import create_app
from fairlot.web.settings import Settings

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SEED = "5eed" * 16
needs_chromium = pytest.mark.skipif(not CHROMIUM.is_file(), reason="Chromium is not installed")

MARKET: Mapping[str, bytes] = {
    "problem.toml": b"""format = 1
kind = "pseudomarket"
title = "Electives"
[goods]
file = "goods.csv"
[agents]
file = "agents.csv"
[values]
file = "values.csv"
[[quota]]
name = "course load"
goods = "all"
max = 2
[[quota]]
name = "one section per course"
by = "course"
max = 1
[[taper]]
name = "a second art course is worth less"
goods = { department = "ART" }
marginals = [0, -20]
""",
    "goods.csv": """good,capacity,course,department,title
DRAW-A,1,DRAW,ART,"Drawing, section A"
DRAW-B,2,DRAW,ART,"Drawing, section B"
FILM,2,FILM,ART,Film
GENE,1,GENE,BIO,Génétique
ECO,3,ECO,BIO,<b>Ecology</b> & "more"
""".encode(),
    "agents.csv": b"agent,year\nann,1\nbob,1\ncleo,2\ndan,2\n",
    "values.csv": b"agent,good,value\n",
}
DESK: Mapping[str, bytes] = {
    "problem.toml": b"""format = 1
kind = "reallocation"
title = "Loan desk"
[tasks]
file = "tasks.csv"
[agents]
file = "agents.csv"
[status_quo]
file = "status_quo.csv"
[cost]
file = "cost.csv"
[preferences]
file = "preferences.csv"
""",
    "tasks.csv": b"task\nsmall loans\nlarge loans\n",
    "agents.csv": b"agent\nann\nbob\ncleo\ndan\n",
    "status_quo.csv": b"agent,task,amount\n"
    + b"".join(
        f"{who},{task},6\n".encode()
        for who in ("ann", "bob", "cleo", "dan")
        for task in ("small loans", "large loans")
    ),
    "cost.csv": b"""agent,task,cost
ann,small loans,20
ann,large loans,60
bob,small loans,22
bob,large loans,55
cleo,small loans,50
cleo,large loans,30
dan,small loans,60
dan,large loans,28
""",
    "preferences.csv": b"agent,task,low,high,family\n*,*,1,3,uniform\n",
}
WISHES = {
    "ann": {"DRAW-A": 5, "DRAW-B": 4, "GENE": 5},
    "bob": {"DRAW-A": 5, "FILM": 3, "GENE": 4},
    "cleo": {"ECO": 5, "FILM": 2},
}
PREVIEW = {"label": "Electives, last year", "prices": {"DRAW-A": 0.9, "GENE": 0.8}}


@dataclass
class Serving:
    """A running service."""

    store: Store
    base: str
    office: Account
    started: dict[str, Round] = field(default_factory=dict)

    def organiser_link(self) -> str:
        return f"{self.base}/link/{rounds.sign_in_link(self.store, self.office)}"

    def agent_link(self, round_id: str, agent: str) -> str:
        (invitation,) = rounds.invite(self.store, round_id, self.office, [agent])
        return f"{self.base}/link/{invitation.secret}"

    def market(self, state: RoundState, **settings: Any) -> Round:
        """Bring a pseudo-market as far as wanted."""
        found = rounds.create_round(self.store, "Electives", "pseudomarket", self.office, **settings)
        return self._bring(found, MARKET, state)

    def desk(self, state: RoundState) -> Round:
        """Bring a reallocation as far as wanted."""
        found = rounds.create_round(self.store, "Loan desk", "reallocation", self.office)
        return self._bring(found, DESK, state)

    def _bring(self, found: Round, files: Mapping[str, bytes], state: RoundState) -> Round:
        store, who, at = self.store, self.office, found.id
        market = files is MARKET

        def there(wanted: RoundState) -> bool:
            return not state.before(wanted)

        rounds.upload(store, at, dict(files), who)
        if there(RoundState.CHECKED):
            report = rounds.check(store, at, who)
            assert report.passed, report
        if there(RoundState.OPEN):
            if not market:
                rounds.request_job(store, at, "design", who, seed=1)
                rounds.run_waiting(store)
            rounds.open_round(store, at, datetime.now(UTC) + timedelta(days=3), who)
            for agent, payload in self._choices(at, market).items():
                rounds.submit(store, at, agent, payload, f"key of {agent}", 0)
        if there(RoundState.FROZEN):
            rounds.freeze(store, at, who)
        if there(RoundState.SOLVED):
            rounds.request_job(store, at, "solve" if market else "reallocate", who)
            rounds.run_waiting(store)
        if there(RoundState.DRAWN):
            rounds.commit(store, at, who)
            rounds.draw(store, at, who, seed=SEED)
        if there(RoundState.PUBLISHED):
            rounds.publish(store, at, who)
        return rounds.round_(store, at)

    def _choices(self, round_id: str, market: bool) -> dict[str, dict[str, Any]]:
        if market:
            return {agent: {"ratings": ratings} for agent, ratings in WISHES.items()}
        files, menus = rounds.ballot_files(self.store, round_id)
        forms = rounds.choices.menu_forms(files, menus or b"")
        offered = {agent: forms[agent].lines for agent in forms.agents}
        return {
            agent: {"pick": lines[0].name} for agent, lines in offered.items() if lines and agent != "dan"
        }


@contextmanager
def serving(url: str) -> Iterator[Serving]:
    """Serve an empty database from a thread until the end of the block."""
    store = open_store(url)
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{door.getsockname()[1]}"
        app = create_app(Settings(url, base), store)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield Serving(store, base, rounds.add_account(store, "office", admin=True))
        finally:
            server.should_exit = True
            thread.join(20)
            store.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Eyes:
    """A browser window that notes whatever is wrong with the pages it is shown."""

    context: BrowserContext
    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    @classmethod
    def opened(
        cls, browser: Browser, base: str, width: int = 360, *, dark: bool = False, **options: Any
    ) -> Eyes:
        """Open a window of its own, with nobody signed in."""
        context = browser.new_context(
            viewport={"width": width, "height": 780},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **{"locale": "en-GB", **options},
        )
        eyes = cls(context, context.new_page(), base)
        eyes.page.on("console", lambda told: eyes._note(told.type in ("error", "warning"), told.text))
        eyes.page.on("pageerror", lambda error: eyes._note(True, str(error)))
        eyes.page.on("request", lambda sent: eyes._note(not eyes._own(sent.url), f"asks for {sent.url}"))
        return eyes

    def _own(self, url: str) -> bool:
        return url.startswith((f"{self.base}/", "data:", "blob:"))

    def _note(self, wrong: bool, text: str) -> None:
        if wrong:
            self.faults.append(f"{self.page.url}: {text}")

    def enter(self, link: str) -> None:
        """Open a one-time link and press its button."""
        self.page.goto(link)
        self.page.locator("main form button").first.click()
        self.page.wait_for_load_state()

    def look(self, path: str, *, axe: bool = True) -> None:
        """Open a page, and note what is wrong with it."""
        answer = self.page.goto(self.base + path)
        assert answer is not None
        self._note(answer.status != 200, f"answers {answer.status}")
        self.judge(axe=axe)

    def judge(self, *, axe: bool = True) -> None:
        """Note what is wrong with the page as it is: wider than the window, or not accessible."""
        page = self.page
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        self._note(wide > 0, f"is {wide} px wider than the window of {page.viewport_size}")
        if axe:
            for fault in Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]:
                places = "; ".join(str(node["target"]) for node in fault["nodes"][:3])
                self._note(True, f"axe: {fault['id']} ({fault['help']}) at {places}")

    def close(self) -> None:
        """Close the window; whatever was noted is a failure."""
        self.context.close()
        assert not self.faults, "\n".join(dict.fromkeys(self.faults))
