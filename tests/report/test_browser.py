"""The report in a browser: accessible, quiet, alone, phone-wide, and its tables can be saved."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlot.cli import app
from fairlot.io.problem import problem_files
from fairlot.testing import timetable_market

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PAGES = ("pseudomarket", "reallocation", "timetable", "design")


def run(*arguments: object) -> None:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output


class Made:
    """Results, and their pages, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def result(self, name: str) -> Path:
        """Return the result folder of a name in ``PAGES``."""
        result, problem = self.folder / name, self.folder / f"{name}-problem"
        if result.is_dir():
            return result
        if name in ("pseudomarket", "reallocation"):
            run("demo", name, "--out", result, "--quiet")
        elif name == "timetable":
            market = timetable_market(12, 6, 1, 0.6, slots=3, load=2, meetings=True)
            problem.mkdir()
            for file, content in problem_files(market).items():
                (problem / file).write_bytes(content)
            run("solve", problem, "--out", result, "--quiet")
            run("commit", result, "--quiet")
            run("draw", result, "--seed", "7" * 64, "--quiet")
        else:
            run("new", problem, "--kind", "reallocation", "--quiet")
            run("design", problem, "--out", result, "--draws", "20", "--quiet")
        return result

    def page(self, name: str, kind: str = "public") -> Path:
        """Return the page of a result."""
        page = self.folder / f"{name}-{kind}.html"
        if not page.exists():
            private = ("--private",) if kind == "private" else ()
            run("report", self.result(name), "--out", page, "--quiet", *private)
        return page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=BROWSER, args=FLAGS.split())
        yield opened
        opened.close()


def looked_up(page: Any) -> str | None:
    """Look somebody up, as far as the page knows anybody."""
    agents = json.loads(page.locator("#lookup-data").text_content())["agents"]
    if not agents:
        return None
    who = next(iter(agents))
    page.fill("#agent", who)
    page.click("#lookup button")
    return str(who)


EVERY = [(scheme, width) for scheme in ("light", "dark") for width in (360, 1280)]


@pytest.mark.parametrize(("name", "kind"), [("pseudomarket", "public"), ("reallocation", "private")])
def test_accessible_quiet_and_alone(made: Made, browser: Any, name: str, kind: str) -> None:
    look_at(made, browser, name, kind, [("dark", 360)] if kind == "public" else [("light", 1280)])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["public", "private"])
@pytest.mark.parametrize("name", PAGES)
def test_accessible_quiet_and_alone_on_every_screen(made: Made, browser: Any, name: str, kind: str) -> None:
    look_at(made, browser, name, kind, EVERY)


def look_at(made: Made, browser: Any, name: str, kind: str, screens: list[tuple[str, int]]) -> None:
    """Open a page on some screens, use it, and have axe-core look for what keeps people out."""
    file = made.page(name, kind)
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    for scheme, width in screens:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
        )
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(file.as_uri())
        who = looked_up(page)
        assert (who is None) == (kind == "private")
        if who is not None:
            assert who in page.locator("#answer").inner_text()
        if kind == "public" and page.locator("#check").count():
            page.click("#check")
            assert page.locator("#checked p").first.inner_text() == "✓ The draw checks."
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("svg:visible").count() * 2 == page.locator("svg").count()
        page.add_script_tag(content=script)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        faults = [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]]
        assert faults == [], (scheme, width)
        assert said == []
        assert asked == [file.as_uri()]
        context.close()


def test_a_flipped_transcript_is_rejected(made: Made, browser: Any) -> None:
    page = browser.new_page()
    page.goto(made.page("pseudomarket").as_uri())
    page.evaluate(
        """() => {
          const data = document.getElementById('file-data');
          const files = JSON.parse(data.textContent);
          const text = atob(files['transcript.json']);
          const seed = text.match(/"seed":"[0-9a-f]/)[0];
          const other = seed.slice(0, -1) + (seed.endsWith('0') ? '1' : '0');
          files['transcript.json'] = btoa(text.replace(seed, other));
          data.textContent = JSON.stringify(files);
        }"""
    )
    page.click("#check")
    assert page.locator("#checked p").first.inner_text() == "✗ The draw does NOT check."
    page.close()


@pytest.mark.parametrize(
    "name", [*PAGES[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in PAGES[2:])]
)
def test_the_data_behind_every_picture_can_be_saved(
    made: Made, browser: Any, name: str, tmp_path: Path
) -> None:
    page = browser.new_page(accept_downloads=True)
    page.goto(made.page(name).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    tables = json.loads(page.locator("#table-data").text_content())
    buttons = page.locator("button[data-table]")
    assert buttons.count() == len(tables) == page.locator("figure").count() > 0
    for k, table in enumerate(tables):
        with page.expect_download() as waiting:
            buttons.nth(k).click()
        assert waiting.value.suggested_filename == table["name"]
        saved = tmp_path / table["name"]
        waiting.value.save_as(saved)
        header, *rows = csv.reader(saved.read_text(encoding="utf-8").splitlines())
        assert header == table["header"]
        assert len(rows) == len(table["rows"]) > 0
        for row, meant in zip(rows, table["rows"], strict=True):
            for cell, value in zip(row, meant, strict=True):
                assert cell == value if isinstance(value, str) else float(cell) == value
    page.close()


def test_what_a_spreadsheet_would_run_is_text(made: Made, browser: Any) -> None:
    page = browser.new_page(accept_downloads=True)
    page.goto(made.page("pseudomarket").as_uri())
    page.evaluate(
        """() => {
          const data = document.getElementById('table-data');
          const rows = [['=1+1', -2], ['a"b', 3]];
          data.textContent = JSON.stringify([{ name: 'x.csv', header: ['a', 'b'], rows }]);
          document.querySelectorAll('details').forEach((one) => { one.open = true; });
        }"""
    )
    with page.expect_download() as waiting:
        page.locator("button[data-table]").first.click()
    assert Path(waiting.value.path()).read_text() == 'a,b\n\'=1+1,-2\n"a""b",3\n'
    page.close()


def test_the_tables_are_what_the_result_says(made: Made) -> None:
    text = made.page("pseudomarket").read_text(encoding="utf-8")
    found = re.search(r'id="table-data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    tables = {table["name"]: table for table in json.loads(found[1])}
    with (made.result("pseudomarket") / "shares.csv").open(newline="") as file:
        published = {(row["agent"], row["good"]): float(row["share"]) for row in csv.DictReader(file)}
    assert {(agent, good): share for agent, good, share in tables["expected-copies.csv"]["rows"]} == published
    with (made.result("pseudomarket") / "prices.csv").open(newline="") as file:
        prices = {row["good"]: float(row["price"]) for row in csv.DictReader(file)}
    assert {row[0]: row[1] for row in tables["prices-and-popularity.csv"]["rows"]} == prices


def test_a_print_is_black_on_white_and_shows_every_picture_once(made: Made, browser: Any) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(made.page("reallocation").as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("figure .wide:visible").count() == page.locator("figure").count()
    assert page.locator("nav:visible, form:visible, button:visible, .narrow:visible").count() == 0
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
