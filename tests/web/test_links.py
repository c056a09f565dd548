"""The promise "links": scanners keep them, one POST uses them up, what is wrong is told in the same words."""

from __future__ import annotations

import re
import secrets

import pytest
from browsers import BASE, Service, links, serve
from made_rounds import made_round

from fairlot.rounds import Kind, RoundState, invite, redeem, sign_in_link
from fairlot.web.links import REFUSED
from fairlot.web.settings import Rates


@pytest.fixture(scope="module")
def service(module_database_url):
    with serve(module_database_url, Rates(guesses=10_000)) as running:
        yield running


def open_links(service: Service) -> tuple[str, dict[str, dict[str, str]]]:
    ann = service.organiser()
    account = ann_account(service)
    made = made_round(service.store, account, Kind.PSEUDOMARKET, RoundState.OPEN)
    return made.id, links(ann.post(f"/o/{made.id}/invitations", {"agents": ""}))


def ann_account(service: Service):
    return service.account("Ann", admin=True)


def words(answer) -> str:
    """Return what a page says, without what differs from page to page by design."""
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main)).strip()


def test_a_mail_scanner_keeps_the_link(service):
    round_id, sent = open_links(service)
    scanner = service.browser()
    for _ in range(20):
        assert scanner.get(f"/link/{sent['s1']['secret']}").status_code == 200
        head = scanner.http.head(f"/link/{sent['s1']['secret']}")
        assert (head.status_code, head.text) == (200, "")
    assert not [name for name in scanner.http.cookies if "agent" in name]
    agent = service.browser()
    assert agent.follow_link(sent["s1"]["secret"]).headers["location"] == f"/r/{round_id}/me"
    assert agent.get(f"/r/{round_id}/me").status_code == 200


def test_a_scanner_that_follows_every_address_of_the_page_still_keeps_it(service):
    _, sent = open_links(service)
    scanner = service.browser()
    page = scanner.get(f"/link/{sent['s1']['secret']}")
    for address in set(re.findall(r'(?:href|action|src)="(/[^"]*)"', page.text)):
        scanner.get(address)
        scanner.http.head(address)
    assert service.browser().follow_link(sent["s1"]["secret"]).status_code == 303


def test_one_use_only(service):
    _, sent = open_links(service)
    secret = sent["s1"]["secret"]
    thief = service.browser()
    token = thief.token(f"/link/{secret}")
    service.browser().follow_link(secret)
    replayed = thief.http.post("/sign-in", data={"csrf": token, "secret": secret}, follow_redirects=False)
    assert (replayed.status_code, REFUSED in replayed.text) == (409, True)
    assert "set-cookie" not in replayed.headers


def test_the_typed_code_is_the_other_way(service):
    round_id, sent = open_links(service)
    typed = sent["s2"]["code"].lower().replace("-", " ")
    agent = service.browser()
    assert agent.post("/sign-in", {"secret": typed}, page="/sign-in").status_code == 303
    assert agent.get(f"/r/{round_id}/me").status_code == 200


def test_every_refusal_in_the_same_words(service):
    round_id, sent = open_links(service)
    account = ann_account(service)
    used = sent["s1"]["secret"]
    service.browser().follow_link(used)
    replaced = sent["s2"]["secret"]
    invite(service.store, round_id, account, ["s2"])
    expired = sign_in_link(service.store, account, hours=-1)
    whole = sent["s3"]["secret"]
    bad = [used, sent["s1"]["code"], replaced, sent["s2"]["code"], expired, whole[:-1], whole + "A"]
    bad += [secrets.token_urlsafe(32), "x", "ABCD-EFGH-JKLM", "%00", "..", "ä" * 50]
    told = set()
    for secret in bad:
        browser = service.browser()
        token = browser.token("/sign-in")
        answer = browser.http.post("/sign-in", data={"csrf": token, "secret": secret})
        told.add((answer.status_code, words(answer)))
        assert not [name for name in browser.http.cookies if "agent" in name or "organiser" in name]
    for secret in bad[:8]:
        answer = service.browser().get(f"/link/{secret}")
        told.add((answer.status_code, words(answer)))
    assert len(told) == 1, told
    assert whole not in str(told)
    assert redeem(service.store, whole) is not None  # the guesses around it left it alone


def test_enumeration_runs_into_the_limit_and_users_do_not(database_url):
    with serve(database_url, Rates(guesses=15)) as service:
        _, sent = open_links(service)
        guesser = service.browser()
        found = [guesser.get(f"/link/{secrets.token_urlsafe(32)}").status_code for _ in range(40)]
        assert found == [409] * 15 + [429] * 25
        assert service.browser().get(f"/link/{sent['s1']['secret']}").status_code == 429  # her address, too


def test_what_is_right_costs_nothing(database_url):
    """A whole campus comes from one address at once."""
    with serve(database_url, Rates(guesses=2)) as service:
        _, sent = open_links(service)
        for agent in ("s1", "s2", "s3"):
            service.browser().follow_link(sent[agent]["secret"])


@pytest.mark.parametrize(
    "host", ["evil.test", "lots.test.evil.test", "lots.test:81", "evil.test@lots.test", "", "LOTS.TEST.", "x"]
)
def test_a_poisoned_host_is_refused_and_never_reaches_a_link(service, host):
    round_id, sent = open_links(service)
    browser = service.browser()
    for path in (f"/link/{sent['s1']['secret']}", "/sign-in", "/o", f"/r/{round_id}", "/static/service.css"):
        answer = browser.get(path, host=host)
        assert answer.status_code == 400
        assert host not in answer.text or host in ("", "x")
    organiser = service.organiser("Bea")
    answer = organiser.http.post("/o/accounts", data={"name": "Cal"}, headers={"host": host})
    assert answer.status_code == 400


def test_links_begin_with_the_base_address_whatever_the_request_says(service):
    organiser = service.organiser()
    made = made_round(service.store, ann_account(service), Kind.PSEUDOMARKET, RoundState.OPEN)
    token = organiser.token("/o")
    answer = organiser.http.post(
        f"/o/{made.id}/invitations",
        data={"csrf": token, "agents": ""},
        headers={
            "x-forwarded-host": "evil.test",
            "forwarded": "host=evil.test",
            "x-forwarded-proto": "gopher",
        },
    )
    assert answer.status_code == 200
    assert {row["link"].partition("/link/")[0] for row in links(answer).values()} == {BASE}
    assert "evil" not in answer.text


def test_a_link_leads_to_its_own_round_only(service):
    round_id, sent = open_links(service)
    other = made_round(service.store, ann_account(service), Kind.PSEUDOMARKET, RoundState.OPEN, "Other")
    agent = service.browser()
    agent.follow_link(sent["s1"]["secret"])
    assert agent.get(f"/r/{round_id}/me").status_code == 200
    assert agent.get(f"/r/{other.id}/me").status_code == 401
    agent.http.cookies.set(
        f"fairlot_agent_{other.id}", agent.http.cookies[f"fairlot_agent_{round_id}"], domain="lots.test"
    )
    assert agent.get(f"/r/{other.id}/me").status_code == 401


def test_organisers_sign_in_by_link_and_out_again(service):
    ann = service.organiser()
    assert ann.get("/o").status_code == 200
    cookie = ann.http.cookies["fairlot_organiser"]
    assert ann.post("/o/sign-out").status_code == 303
    assert ann.get("/o").status_code == 401
    ann.http.cookies.set("fairlot_organiser", cookie, domain="lots.test")
    assert ann.get("/o").status_code == 401  # the session is over on the server, not only forgotten here
