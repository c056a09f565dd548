"""What pages look like: on phone and desk, light and dark, for axe, with a keyboard, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from chromium import PREVIEW, WISHES, Eyes, Serving, chromium, needs_chromium, serving
from playwright.sync_api import Browser, expect

from fairlot import rounds
from fairlot.rounds import Round, RoundState

pytestmark = needs_chromium


@dataclass
class Place:
    """A service with a round in each state that looks different, and a browser."""

    service: Serving
    browser: Browser
    early: Round
    stars: Round
    points: Round
    frozen: Round
    got: Round
    lines: Round
    moved: Round


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    url = f"sqlite:///{tmp_path_factory.mktemp('looks')}/rounds.db"
    with serving(url) as service, chromium() as browser:
        yield Place(
            service,
            browser,
            service.market(RoundState.CHECKED),
            service.market(RoundState.OPEN, preview=PREVIEW),
            service.market(RoundState.OPEN, scale="points"),
            service.market(RoundState.FROZEN),
            service.market(RoundState.PUBLISHED),
            service.desk(RoundState.OPEN),
            service.desk(RoundState.PUBLISHED),
        )


def look_at_agents(place: Place, eyes: Eyes) -> None:
    for found in (place.stars, place.points, place.frozen, place.lines, place.moved, place.got):
        eyes.enter(place.service.agent_link(found.id, "ann"))
        eyes.look(f"/r/{found.id}/me")
        assert small_targets(eyes) == []
        mirror(eyes)
    eyes.page.click("#check")
    expect(eyes.page.locator("#checked .notice.good")).to_be_visible()
    eyes.judge()
    eyes.enter(place.service.agent_link(place.got.id, "dan"))
    eyes.look(f"/r/{place.got.id}/me")


def small_targets(eyes: Eyes) -> list[str]:
    """Name what is to be tapped and is smaller than 44 pixels either way."""
    found: list[str] = eyes.page.evaluate(
        """() => [...document.querySelectorAll(
            'main button, main summary, .stars label, .choice, header a')]
            .map((e) => [e.textContent.trim(), e.getBoundingClientRect()])
            .filter(([, r]) => r.height && (r.height < 44 || r.width < 44)).map(([t]) => t)"""
    )
    return found


def mirror(eyes: Eyes) -> None:
    """Lay the page out from right to left, and back."""
    turn = "direction => { document.documentElement.dir = direction }"
    eyes.page.evaluate(turn, "rtl")
    eyes.judge(axe=False)
    place = eyes.page.locator(".brand").bounding_box()
    assert place is not None
    assert place["x"] > 180, "the page does not begin at the right"
    eyes.page.evaluate(turn, "ltr")


def look_at_public(place: Place, eyes: Eyes) -> None:
    for path in ("/", "/sign-in", f"/r/{place.stars.id}", f"/r/{place.got.id}/public/log"):
        eyes.look(path)
    eyes.look(f"/r/{place.got.id}")
    eyes.page.click("#check")
    expect(eyes.page.locator("#checked .notice.good")).to_be_visible()
    eyes.judge()


def test_agents_pages_on_a_phone(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    look_at_agents(place, eyes)
    eyes.close()


def test_public_pages_on_a_phone(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    look_at_public(place, eyes)
    eyes.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "dark", "language"),
    [(360, False, "en-GB"), (360, True, "de-DE"), (1280, False, "de-DE"), (1280, True, "en-GB")],
)
def test_every_page_at_every_width(place: Place, width: int, dark: bool, language: str) -> None:
    eyes = Eyes.opened(place.browser, place.service.base, width, dark=dark, locale=language)
    look_at_agents(place, eyes)
    look_at_public(place, eyes)
    eyes.enter(place.service.organiser_link())
    for path in organiser_pages(place):
        eyes.look(path)
    eyes.close()


def organiser_pages(place: Place) -> list[str]:
    """List the organiser's pages, for the rounds in which there is something to see."""
    found = ["/o", "/o/accounts"]
    for one in (place.early, place.stars, place.frozen, place.got, place.lines, place.moved):
        parts = ["", "/log", "/roles", "/files", "/check", "/agents", "/work"]
        if one in (place.lines, place.moved):
            parts += ["/menus"]
        if one in (place.got, place.moved):
            parts += ["/draw", "/outcome", "/explain?agent=ann"]
        found += [f"/o/{one.id}{part}" for part in parts]
    return [*found, f"/o/{place.moved.id}/next"]


def test_print_shows_all_and_no_buttons(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    eyes.enter(place.service.agent_link(place.got.id, "ann"))
    eyes.page.emulate_media(media="print")
    expect(eyes.page.locator("main button").first).to_be_hidden()
    expect(eyes.page.get_by_text("Why, and at what prices")).to_be_visible()
    eyes.close()


def test_a_keyboard_alone_rates_saves_and_picks(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    eyes.enter(place.service.agent_link(place.stars.id, "dan"))
    page, press = eyes.page, eyes.page.keyboard.press
    press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        press("Tab")
        if page.evaluate("document.activeElement.name") == "rate:DRAW-A":
            break
    press("ArrowRight")
    press("ArrowRight")
    expect(page.locator("#status")).to_contain_text("1 good wanted")
    expect(page.locator("#status .good")).to_be_visible()
    focus = page.evaluate("getComputedStyle(document.activeElement.closest('label')).outlineStyle")
    assert focus == "solid"
    saved = rounds.submission(place.service.store, place.stars.id, "dan")
    assert saved is not None
    assert saved.payload == {"ratings": {"DRAW-A": 2}}

    eyes.enter(place.service.agent_link(place.lines.id, "dan"))
    for _ in range(20):
        press("Tab")
        if page.evaluate("document.activeElement.name") == "pick":
            break
    press("Space")
    expect(page.locator("#status .good")).to_be_visible()
    picked = rounds.submission(place.service.store, place.lines.id, "dan")
    assert picked is not None
    assert picked.payload == {"pick": "keep"}
    eyes.close()


def test_agents_need_no_scripts(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base, java_script_enabled=False)
    page, found = eyes.page, place.service.market(RoundState.OPEN)
    eyes.enter(place.service.agent_link(found.id, "cleo"))
    page.locator('[name="rate:FILM"][value="4"]').check(force=True)
    page.get_by_label("Find").fill("genet")
    page.locator('button[value="find"]').click()
    expect(page.locator("#goods > li:visible")).to_have_count(1)
    expect(page.locator("#status .good")).to_be_visible()
    page.locator('[name="rate:GENE"][value="3"]').check(force=True)
    page.get_by_role("button", name="Save").click()
    saved = rounds.submission(place.service.store, found.id, "cleo")
    assert saved is not None
    assert saved.payload == {"ratings": {"ECO": 5, "FILM": 4, "GENE": 3}}
    eyes.enter(place.service.agent_link(place.lines.id, "cleo"))
    page.locator('[name="pick"]').first.check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#status .good")).to_be_visible()
    eyes.close()


def test_two_windows_the_loser_is_told_and_can_insist(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    found = place.service.market(RoundState.OPEN)
    eyes.enter(place.service.agent_link(found.id, "bob"))
    first, second = eyes.page, eyes.context.new_page()
    second.goto(first.url)
    second.locator('[name="rate:ECO"][value="1"]').check(force=True)
    expect(second.locator("#status")).to_contain_text("4 goods wanted")
    first.locator('[name="rate:FILM"][value="5"]').check(force=True)
    expect(first.locator("#status")).to_contain_text("Not saved")
    before = rounds.submission(place.service.store, found.id, "bob")
    assert before is not None
    assert before.payload == {"ratings": {**WISHES["bob"], "ECO": 1}}
    first.get_by_role("button", name="Save what this page shows").click()
    expect(first.locator("#status .good")).to_be_visible()
    after = rounds.submission(place.service.store, found.id, "bob")
    assert after is not None
    assert after.payload == {"ratings": {**WISHES["bob"], "FILM": 5}}
    eyes.faults = [fault for fault in eyes.faults if "409" not in fault]  # Chromium writes of each refusal
    eyes.close()


def test_what_is_not_saved_never_looks_saved(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    found = place.service.market(RoundState.OPEN)
    eyes.enter(place.service.agent_link(found.id, "ann"))
    page = eyes.page
    eyes.context.set_offline(True)
    page.locator('[name="rate:FILM"][value="5"]').check(force=True)
    expect(page.locator("[data-unsaved]")).to_be_visible()
    saved = rounds.submission(place.service.store, found.id, "ann")
    assert saved is not None
    assert "FILM" not in saved.payload["ratings"]
    eyes.context.set_offline(False)
    expect(page.locator("[data-unsaved]")).to_be_hidden(timeout=10_000)
    later = rounds.submission(place.service.store, found.id, "ann")
    assert later is not None
    assert later.payload["ratings"]["FILM"] == 5
    eyes.context.close()  # what the console said of being offline was wanted


def test_a_choice_after_the_deadline_is_refused_in_words(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    found = place.service.market(RoundState.OPEN)
    eyes.enter(place.service.agent_link(found.id, "ann"))
    rounds.freeze(place.service.store, found.id, place.service.office)
    eyes.page.locator('[name="rate:FILM"][value="5"]').check(force=True)
    expect(eyes.page.locator("#status")).to_contain_text("Not saved")
    eyes.page.get_by_role("link", name="Show what is saved").click()
    expect(eyes.page.get_by_text("Choices are closed.")).to_be_visible()
    eyes.context.close()


def test_points_have_sliders_and_language_stays(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    eyes.enter(place.service.agent_link(place.points.id, "dan"))
    slider = eyes.page.locator('#goods input[type="range"]').first
    slider.fill("70")
    expect(eyes.page.locator('[name="rate:DRAW-A"]')).to_have_value("70")
    expect(eyes.page.locator("#status .good")).to_be_visible()
    eyes.page.get_by_role("link", name="Deutsch").click()
    assert eyes.page.locator("html").get_attribute("lang") == "de"
    eyes.look(f"/r/{place.points.id}/me")
    assert eyes.page.locator("html").get_attribute("lang") == "de"
    expect(eyes.page.get_by_role("button", name="Speichern")).to_be_visible()
    eyes.close()


def test_preview_shows_what_last_years_prices_give(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    eyes.enter(place.service.agent_link(place.stars.id, "cleo"))
    eyes.page.get_by_text("At the prices of").click()
    expect(eyes.page.locator("#preview tbody tr")).to_have_count(2)
    eyes.page.locator('[name="rate:DRAW-A"][value="5"]').check(force=True)
    expect(eyes.page.locator("#preview")).to_contain_text("Drawing, section A")
    eyes.close()


def test_tampered_files_do_not_check(place: Place, tmp_path: Path) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)

    def tamper(route, request) -> None:  # type: ignore[no-untyped-def]
        answer = route.fetch()
        files = answer.json()
        files["assignment.csv"] = files["shares.csv"]
        route.fulfill(json=files)

    eyes.page.route("**/files.json", tamper)
    eyes.look(f"/r/{place.got.id}", axe=False)
    eyes.page.click("#check")
    expect(eyes.page.locator("#checked .notice.bad")).to_contain_text("does NOT check")
    eyes.close()


def test_who_is_signed_out_meanwhile_is_told(place: Place) -> None:
    eyes = Eyes.opened(place.browser, place.service.base)
    found = place.service.market(RoundState.OPEN, contact="registrar@example.edu")
    eyes.enter(place.service.agent_link(found.id, "ann"))
    expect(eyes.page.get_by_role("link", name="registrar@example.edu")).to_be_visible()
    eyes.context.clear_cookies()
    eyes.page.locator('[name="rate:FILM"][value="5"]').check(force=True)
    expect(eyes.page.locator("[data-ended]")).to_be_visible()
    eyes.context.close()
