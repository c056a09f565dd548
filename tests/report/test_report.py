"""The page of a result: what it says, what it keeps back, and that its scripts work in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlot.cli import app
from fairlot.io.problem import problem_files
from fairlot.io.results import read_result
from fairlot.testing import timetable_market

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SEED = f"{7:064d}"


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for step in (
        ("new", folder / "problem"),
        ("solve", folder / "problem", "--out", folder / "result"),
        ("commit", folder / "result"),
        ("draw", folder / "result", "--seed", SEED),
    ):
        assert run(*step, "--quiet").exit_code == 0, step
    return folder / "result"


@pytest.fixture(scope="module")
def page(drawn: Path) -> str:
    out = drawn.parent / "page.html"
    assert run("report", drawn, "--out", out).exit_code == 0
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def private_page(drawn: Path) -> str:
    out = drawn.parent / "private.html"
    assert run("report", drawn, "--out", out, "--private").exit_code == 0
    return out.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def data(page: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_asks_nothing_of_the_network(page: str, private_page: str) -> None:
    for text in (page, private_page):
        for tag, attributes in Elements(text).found:
            for name in ("src", "href", "xlink:href", "action", "srcset"):
                value = attributes.get(name) or "#"
                assert value.startswith(("#", "data:")), (tag, name, value)
        assert not re.search(r"@import|url\((?!#)(?!data:)", text)
        assert "default-src 'none'" in text


def test_landmarks_headings_labels_and_ids(page: str) -> None:
    elements = Elements(page).found
    tags = [tag for tag, _ in elements]
    assert tags.count("h1") == tags.count("main") == tags.count("header") == tags.count("footer") == 1
    ids = [attributes["id"] for _, attributes in elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    labelled = {attributes.get("for") for tag, attributes in elements if tag == "label"}
    for tag, attributes in elements:
        if tag in ("input", "textarea"):
            assert attributes.get("id") in labelled
        if tag == "svg":
            assert attributes.get("role") == "img"
            assert attributes.get("aria-label")
    targets = [attributes["href"] for tag, attributes in elements if tag == "a"]
    assert all(str(target)[1:] in ids for target in targets)


def test_every_agent_is_explained_as_on_the_command_line(page: str, drawn: Path) -> None:
    agents = data(page, "lookup-data")["agents"]
    for agent, entry in agents.items():
        said = run("explain", drawn, "--agent", agent).stdout
        for paragraph in entry["text"]:
            assert paragraph in said
        assert any("The draw gave you" in paragraph for paragraph in entry["text"])


def test_every_check_is_told(page: str, drawn: Path) -> None:
    checks = json.loads(run("verify", drawn, "--json").stdout)["checks"]
    for check in checks:
        assert f"✓ {check['name']}</th>" in page
    assert "✓ Certified: every check below passes." in page


def test_a_private_page_tells_nothing_of_single_agents(private_page: str, drawn: Path) -> None:
    assert data(private_page, "lookup-data")["agents"] == {}
    assert data(private_page, "file-data") == {}
    frozen = dict(json.loads((drawn / "commitment.json").read_text())["frozen"]["agents"])
    rest = re.sub(r'<table id="commitments">.*?</table>', "", private_page, flags=re.DOTALL)
    rest = re.sub(r"<script>.*?</script>", "", rest, flags=re.DOTALL)
    for agent, digest in frozen.items():
        assert digest in private_page
        assert not re.search(rf"\b{re.escape(agent)}\b", rest), agent


def test_a_result_that_was_changed_says_so(drawn: Path, tmp_path: Path) -> None:
    copy = tmp_path / "result"
    shutil.copytree(drawn, copy)
    text = (copy / "shares.csv").read_text().splitlines()
    (copy / "shares.csv").write_text("\n".join([*text[:1], *text[2:]]) + "\n")
    assert run("report", copy, "--out", tmp_path / "page.html").exit_code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "✗ Not certified: see the checks below that fail." in page
    assert "✗ manifest" in page


def test_names_that_cannot_be_are_refused(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text("kept")
    for out, fault in (
        ("page.pdf", ".html"),
        ("none/page.html", "a folder that exists"),
        ("there.html", "--force"),
    ):
        done = run("report", drawn, "--out", tmp_path / out)
        assert done.exit_code == 2
        assert fault in done.stderr
    assert (tmp_path / "there.html").read_text() == "kept"


def test_text_of_the_problem_cannot_become_markup(drawn: Path) -> None:
    from fairlot.report import report_page

    files = dict(read_result(drawn))
    summary = json.loads(files["summary.json"])
    summary["title"] = "</title><script>alert(1)</script>"
    files["summary.json"] = json.dumps(summary).encode()
    assert "<script>alert(1)" not in report_page(files)


def test_reallocation_from_menus_to_outcome(tmp_path: Path) -> None:
    assert run("demo", "reallocation", "--out", tmp_path / "result", "--quiet").exit_code == 0
    assert run("report", tmp_path / "result", "--out", tmp_path / "page.html").exit_code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "people picked an exchange" in page
    agents = data(page, "lookup-data")["agents"]
    assert all(entry["rows"] for entry in agents.values())


@pytest.fixture(scope="module")
def timetable_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("timetable")
    market = timetable_market(12, 6, 1, 0.6, slots=3, load=2, meetings=True)
    (folder / "problem").mkdir()
    for name, content in problem_files(market).items():
        (folder / "problem" / name).write_bytes(content)
    for step in (
        ("solve", folder / "problem", "--out", folder / "result"),
        ("commit", folder / "result"),
        ("draw", folder / "result", "--seed", SEED),
        ("report", folder / "result", "--out", folder / "page.html"),
    ):
        assert run(*step, "--quiet").exit_code == 0, step
    return (folder / "page.html").read_text(encoding="utf-8")


def test_a_timetable_drawn_by_terms_has_every_part(timetable_page: str) -> None:
    assert "✓ Certified: every check below passes." in timetable_page
    for title in ("Prices and popularity", "Supply, demand and what was given", "What is left to chance"):
        assert f'aria-label="{title}"' in timetable_page
    agents = data(timetable_page, "lookup-data")["agents"]
    assert any("(" in row[-1] for entry in agents.values() for row in entry["rows"])


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[str, str], str]:
    """Open a page, run a script at its end, and return what it put in the title."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")

    def see(page: str, script: str) -> str:
        wrapped = (
            "<script>(async () => { const faults = [];"
            "addEventListener('error', (event) => faults.push(event.message));"
            f"const out = await (async () => {{ {script} }})();"
            "document.title = JSON.stringify({ out, faults }); })();</script></body>"
        )
        path = tmp_path / "seen.html"
        path.write_text(page.replace("</body>", wrapped), encoding="utf-8")
        done = subprocess.run(
            [
                str(BROWSER),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--virtual-time-budget=20000",
                "--dump-dom",
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
        assert title is not None
        found = json.loads(title[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
        assert found["faults"] == []
        return str(found["out"])

    return see


CHECK = (
    "document.getElementById('check').click();"
    "await new Promise((done) => setTimeout(done, 3000));"
    "return document.querySelector('#checked p').textContent;"
)


def test_the_checker_accepts_an_honest_draw_and_rejects_a_flipped_one(
    page: str, browse: Callable[[str, str], str]
) -> None:
    assert browse(page, CHECK) == "✓ The draw checks."
    flip = (
        "const data = document.getElementById('file-data'); const files = JSON.parse(data.textContent);"
        "const bytes = atob(files['assignment.csv']);"
        "const last = bytes.length - 2; const other = String.fromCharCode(bytes.charCodeAt(last) ^ 1);"
        "files['assignment.csv'] = btoa(bytes.slice(0, last) + other + bytes.slice(last + 1));"
        "data.textContent = JSON.stringify(files);"
    )
    assert browse(page, flip + CHECK) == "✗ The draw does NOT check."


def test_the_checker_follows_a_draw_by_terms(timetable_page: str, browse: Callable[[str, str], str]) -> None:
    assert browse(timetable_page, CHECK) == "✓ The draw checks."


def test_look_up_works_and_says_when_there_is_nobody(page: str, browse: Callable[[str, str], str]) -> None:
    agent = next(iter(data(page, "lookup-data")["agents"]))
    look = (
        "document.getElementById('agent').value = '{}'; document.getElementById('lookup').requestSubmit();"
        "return document.getElementById('answer').textContent;"
    )
    assert browse(page, look.format(agent)).startswith(f"{agent}: you had")
    assert browse(page, look.format("nobody")) == "There is no agent “nobody” in this result."


def test_nothing_is_wider_than_a_phone(page: str, browse: Callable[[str, str], str]) -> None:
    wide = (
        "document.body.style.width = '360px';"
        "return Math.max(0, ...Array.from(document.querySelectorAll('body > *, section, figure, form'),"
        " (element) => element.scrollWidth)) <= 362;"
    )
    assert browse(page, wide) == "True"
