"""The promise "walls": rules, roles, forms, rates, headers and uploads; agents see nobody else."""

from __future__ import annotations

import csv
import io
import re
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator

import pytest
from browsers import BASE, Browser, Service, links, serve
from litestar import Litestar, get
from litestar.routes import HTTPRoute
from made_rounds import made_round

from fairlot.errors import InvalidProblemError
from fairlot.rounds import Kind, Role, Round, RoundState, invite, set_role, submit
from fairlot.web.access import ACCESS, Access, RouteWithoutAccessError, answers_options, check_routes, rule
from fairlot.web.csrf import FIELD
from fairlot.web.rates import Limiter
from fairlot.web.settings import Rates, Settings
from fairlot.web.uploads import LARGEST, unpacked

MARKET = Kind.PSEUDOMARKET
NOBODY_HERE = "zzzzzzzzzzzzzzzz"


@pytest.fixture(scope="module")
def service(module_database_url) -> Iterator[Service]:
    with serve(module_database_url, Rates(guesses=10_000, account=100_000)) as running:
        yield running


@pytest.fixture(scope="module")
def opened(service) -> Round:
    return made_round(service.store, service.account("Ann", admin=True), MARKET, RoundState.OPEN)


def routes(service: Service) -> list[tuple[str, str, Access]]:
    """List every route: method, path, rule."""
    return [
        (method, route.path, rule(handler.opt))
        for route in service.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if not answers_options(handler)
        for method in sorted(handler.http_methods)
    ]


def filled(path: str, round_id: str) -> str:
    """Put values in the place of a path's parameters."""
    values = {"round_id": round_id, "job_id": "1", "kind": "pseudomarket", "format_": "csv", "area": "result"}
    return re.sub(r"\{(\w+):\w+\}", lambda found: values.get(found.group(1), "x"), path)


def asked(browser: Browser, method: str, path: str, **headers: str) -> int:
    return browser.http.request(method, path, headers=headers, follow_redirects=False).status_code


# Rules


def test_an_application_with_a_route_without_a_rule_does_not_start(service):
    @get("/open-door")
    async def forgotten() -> str:
        return ""

    @get("/misspelt", opt={ACCESS: "everybody"})
    async def misspelt() -> str:
        return ""

    @get("/no-round", opt={ACCESS: Access.OWNER})
    async def nowhere() -> str:
        return ""

    with pytest.raises(RouteWithoutAccessError, match=r"open-door.*misspelt.*no-round.*of which round"):
        check_routes(Litestar([forgotten, misspelt, nowhere], openapi_config=None, logging_config=None))
    check_routes(service.app)
    assert len(routes(service)) > 80


def test_nobody_who_is_not_signed_in_passes_any_door_but_the_public_ones(service, opened):
    tried = 0
    for method, path, access in routes(service):
        if access is not Access.PUBLIC:
            assert asked(service.browser(), method, filled(path, opened.id)) == 401, (method, path)
            tried += 1
    assert tried > 70


def test_an_agent_passes_no_door_of_organisers(service, opened):
    agent = service.browser()
    (sent,) = invite(service.store, opened.id, service.account("Ann"), ["s1"])
    agent.follow_link(sent.secret)
    cookie = agent.http.cookies[f"fairlot_agent_{opened.id}"]
    agent.http.cookies.set("fairlot_organiser", cookie, domain="lots.test")  # her session, as another's
    for method, path, access in routes(service):
        if access not in (Access.PUBLIC, Access.AGENT):
            assert asked(agent, method, filled(path, opened.id)) == 401, (method, path)


def test_an_organiser_s_session_is_no_agent_s(service, opened):
    ann = service.organiser("Ann")
    cookie = ann.http.cookies["fairlot_organiser"]
    ann.http.cookies.set(f"fairlot_agent_{opened.id}", cookie, domain="lots.test")
    for method, path, access in routes(service):
        if access is Access.AGENT:
            assert asked(ann, method, filled(path, opened.id)) == 401, (method, path)


def test_without_a_role_a_round_does_not_exist(service, opened):
    stranger = service.organiser("Stranger", admin=False)
    for method, path, access in routes(service):
        if access in (Access.AUDITOR, Access.OPERATOR, Access.OWNER):
            there = stranger.http.request(method, filled(path, opened.id))
            absent = stranger.http.request(method, filled(path, NOBODY_HERE))
            assert there.status_code == absent.status_code == 404, (method, path)
            assert there.text.replace(opened.id, "") == absent.text.replace(NOBODY_HERE, "")
        elif access is Access.ADMIN:
            assert asked(stranger, method, filled(path, opened.id)) == 403, (method, path)


@pytest.mark.parametrize(
    ("role", "closed"),
    [
        (Role.AUDITOR, {Access.OPERATOR, Access.OWNER}),
        (Role.OPERATOR, {Access.OWNER}),
        (Role.OWNER, set()),
    ],
)
def test_roles(service, opened, role, closed):
    ann = service.account("Ann")
    browser = service.organiser(f"A {role}", admin=False)
    set_role(service.store, opened.id, service.account(f"A {role}"), role, ann)
    before = service.store
    for method, path, access in routes(service):
        if access not in (Access.AUDITOR, Access.OPERATOR, Access.OWNER):
            continue
        status = asked(browser, method, filled(path, opened.id))
        if access in closed:
            assert status == 403, (method, path, status)
        elif method == "POST":
            assert status == 403, (method, path, status)  # no token in this request
        else:
            assert status not in (401, 403, 500), (method, path, status)
    assert before is service.store


def test_agents_never_see_others(service):
    """Nothing of another agent stands on any page that an agent can reach before publication."""
    ann = service.account("Ann", admin=True)
    opened = made_round(service.store, ann, MARKET, RoundState.OPEN, "Private")
    sent = {one.agent: one for one in invite(service.store, opened.id, ann)}
    receipt = submit(service.store, opened.id, "s2", {"ratings": {"logic": 5}}, "key", None)
    agent = service.browser()
    agent.follow_link(sent["s1"].secret)
    for method, path, access in routes(service):
        if method != "GET" or access not in (Access.PUBLIC, Access.AGENT):
            continue
        answer = agent.get(filled(path, opened.id))
        for secret in (sent["s2"].secret, sent["s2"].code, "s2@x.test", "Bea", receipt.document.decode()):
            assert secret not in answer.text, (path, secret)
        assert not re.search(r"\bs2\b", answer.text), path
    for guess in ("s2", "S2", "../s2"):
        page = agent.get(f"/r/{opened.id}/me?agent={guess}")
        # The links to other languages keep the question that was asked, and only that.
        assert re.search(r"\bs2\b", re.sub(r"\?agent=[^&\"]*", "", page.text)) is None


# Forms


@pytest.fixture
def owner(service) -> Browser:
    return service.organiser("Ann")


def test_a_form_without_its_token_changes_nothing(service, opened, owner):
    others = service.organiser("Else")
    for token in (None, "", "0" * 64, others.token("/o"), service.browser().token("/sign-in")):
        data = {"title": "Forged", "kind": "pseudomarket"} | ({} if token is None else {FIELD: token})
        assert owner.http.post("/o/rounds", data=data).status_code == 403
        assert (
            owner.http.post("/o/rounds", data=data, headers={"x-csrf-token": token or ""}).status_code == 403
        )
    plain = owner.http.post(
        "/o/rounds", content=b"title=Forged&kind=pseudomarket", headers={"content-type": "text/plain"}
    )
    assert plain.status_code == 403
    assert "Forged" not in owner.get("/o").text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": BASE.replace("http", "https")},
        {"origin": f"{BASE}.evil.test"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused_even_with_the_token(owner, headers):
    data = {"title": "Forged", "kind": "pseudomarket", FIELD: owner.token("/o")}
    assert owner.http.post("/o/rounds", data=data, headers=headers).status_code == 403


def test_a_form_of_this_site_passes(owner):
    data = {"title": "Mine", "kind": "pseudomarket", FIELD: owner.token("/o")}
    headers = {"origin": BASE, "sec-fetch-site": "same-origin"}
    assert owner.http.post("/o/rounds", data=data, headers=headers).status_code == 303


def test_signing_in_gives_a_secret_nobody_has_seen(service, opened):
    """Session fixation: what a browser brought along does not become the session."""
    (sent,) = invite(service.store, opened.id, service.account("Ann"), ["s3"])
    victim = service.browser()
    planted = secrets.token_urlsafe(32)
    name = f"fairlot_agent_{opened.id}"
    victim.http.cookies.set(name, planted, domain="lots.test")
    answer = victim.follow_link(sent.secret)
    fresh = answer.cookies[name]
    assert fresh not in (planted, sent.secret)
    thief = service.browser()
    thief.http.cookies.set(name, planted, domain="lots.test")
    assert thief.get(f"/r/{opened.id}/me").status_code == 401
    flags = answer.headers["set-cookie"].lower()
    assert all(flag in flags for flag in ("httponly", "samesite=lax", "path=/"))


def test_behind_tls_cookies_are_bound_to_it(database_url):
    with serve(database_url, base_url="https://lots.test") as service:
        answer = service.client.get("/sign-in", headers={"host": "lots.test"})
        assert re.match(r"__Host-fairlot_visit=.*; Secure", answer.headers["set-cookie"])
        assert "max-age" in answer.headers["strict-transport-security"]
    with pytest.raises(InvalidProblemError, match="base-url"):
        Settings("sqlite://", "lots.test/path")


# Rates


def test_accounts_and_addresses_have_limits_of_their_own(database_url):
    with serve(database_url, Rates(address=80, account=15)) as service:
        ann, bea = service.organiser("Ann"), service.organiser("Bea")
        seen = [ann.get("/o").status_code for _ in range(20)]
        assert seen[0] == 200
        assert seen[-1] == 429
        assert bea.get("/o").status_code == 200  # she shares the address, not the account
        seen = [service.browser().get("/sign-in").status_code for _ in range(80)]
        assert seen[-1] == 429
        assert bea.get("/o").status_code == 429
        refused = bea.get("/o")
        assert refused.headers["retry-after"] == "60"


def test_a_limit_forgets_whoever_it_does_not_restrict():
    now = [0.0]
    limiter = Limiter(2, most_keys=10, clock=lambda: now[0])
    assert [limiter.allows("busy") for _ in range(3)] == [True, True, False]
    for k in range(1000):
        limiter.allows(f"other {k}")
    assert not limiter.allows("busy")
    assert len(limiter._buckets) <= 11
    now[0] = 31.0
    assert limiter.allows("busy")
    now[0] = -1000.0  # a clock that jumps back gives nothing away
    assert not limiter.allows("busy")


# Headers and errors


def test_every_answer_carries_the_headers(service, opened, owner):
    for method, path, access in routes(service):
        browser = owner if access is not Access.AGENT else service.browser()
        answer = browser.http.request(method, filled(path, opened.id), follow_redirects=False)
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        if not path.endswith("/report"):
            assert "unsafe" not in policy
        if not path.startswith("/static"):
            assert answer.headers["cache-control"] == "no-store", path
        assert "server" not in answer.headers
    for path in ("/nothing", "/o/%00", "/static/../app.py", "/static/..%2fapp.py"):
        answer = owner.get(path)
        assert answer.status_code in (400, 404), path
        assert answer.headers["x-frame-options"] == "DENY"


def test_one_shape_of_error(service, opened, owner):
    page = owner.get(f"/o/{NOBODY_HERE}")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for path in ("/nothing", "/api/nothing", "/static/nothing", "/sign-in/"):
        assert "<main" in owner.get(path).text, path
    told = owner.get(f"/o/{NOBODY_HERE}", accept="application/json")
    assert told.headers["content-type"].startswith("application/problem+json")
    assert set(told.json()) == {"type", "title", "status", "detail", "issues"}
    assert told.json()["status"] == 404
    bad = owner.post(f"/o/{opened.id}/extend", {"deadline": "soon"})
    assert bad.status_code == 422
    data = {FIELD: owner.token("/o"), "deadline": "soon"}
    told = owner.http.post(
        f"/o/{opened.id}/extend", data=data, headers={"accept": "application/problem+json"}
    )
    assert told.json()["issues"][0]["found"] == "soon"


def test_a_fault_of_ours_tells_nothing_of_the_inside(service, owner, monkeypatch):
    from fairlot.web.organiser import rounds as pages

    def broken(*_):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(pages, "rounds", broken)
    answer = owner.get("/o")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text


# Uploads


def bomb(size: int, *, lie: bool = False) -> bytes:
    """Make a small archive that unpacks to much; perhaps one that says it is small."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("goods.csv", b"0" * size)
    data = bytearray(out.getvalue())
    if lie:
        for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            at = data.index(mark) + place
            struct.pack_into("<I", data, at, 10)
            struct.pack_into("<I", data, at - 8, zlib.crc32(b"0" * 10))
    return bytes(data)


@pytest.mark.parametrize("name", ["folder.zip", "values.xlsx"])
@pytest.mark.parametrize("lie", [False, True])
def test_bombs_are_not_unpacked_beyond_the_limit(monkeypatch, name, lie):
    monkeypatch.setattr("fairlot.web.uploads.LARGEST", 1 << 20)
    with pytest.raises(InvalidProblemError, match="cannot be unpacked"):
        unpacked([(name, bomb(3 << 20, lie=lie))])


def test_what_an_archive_may_hold(monkeypatch):
    def archive(*names: str) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as made:
            for name in names:
                made.writestr(name, b"x")
        return out.getvalue()

    assert set(unpacked([("a.zip", archive("round/goods.csv", "round/input/x.csv"))])) == {
        "goods.csv",
        "input/x.csv",
    }
    assert set(unpacked([("a.zip", archive("goods.csv", "__MACOSX/goods.csv", ".DS_Store"))])) == {
        "goods.csv"
    }
    for bad in ("../goods.csv", "/etc/passwd", "a/../../b.csv", "x\x01.csv", "con\n.csv"):
        with pytest.raises(InvalidProblemError):
            unpacked([("a.zip", archive(bad, "ok.csv"))])
    with pytest.raises(InvalidProblemError, match="sent twice"):
        unpacked([("a.zip", archive("goods.csv")), ("goods.csv", b"")])
    link = io.BytesIO()
    with zipfile.ZipFile(link, "w") as made:
        entry = zipfile.ZipInfo("goods.csv")
        entry.external_attr = 0o120777 << 16
        made.writestr(entry, "/etc/passwd")
    with pytest.raises(InvalidProblemError, match="not a plain file"):
        unpacked([("a.zip", link.getvalue())])
    with pytest.raises(InvalidProblemError, match="no file"):
        unpacked([])
    with pytest.raises(InvalidProblemError, match="files, more than"):
        unpacked([("a.zip", archive(*(f"{k}.csv" for k in range(501))))])
    assert LARGEST == 256 << 20


def test_bodies_beyond_the_limit_are_refused_unread(owner, opened):
    large = b"x" * ((1 << 20) + 1)
    answer = owner.http.post(
        "/o/rounds", content=large, headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code == 413
    token = owner.token("/o")
    answer = owner.http.post(
        f"/o/{opened.id}/files", headers={"content-length": str(1 << 30), "x-csrf-token": token}, content=b"x"
    )
    assert answer.status_code in (400, 413)


def test_an_upload_is_read_only_after_the_door(service, opened):
    """Whoever may not upload is refused before her body is read."""
    answer = service.browser().http.post(
        f"/o/{opened.id}/files", files=[("files", ("a.zip", bomb(10 << 20)))], data={FIELD: "x"}
    )
    assert answer.status_code == 401


def test_formulas_are_escaped_in_every_table_that_is_handed_out(service, owner):
    made = made_round(service.store, service.account("Ann"), MARKET, RoundState.OPEN, "=1+1")
    table = owner.post(f"/o/{made.id}/invitations", {"agents": ""})
    names = [row["name"] for row in csv.DictReader(io.StringIO(table.text))]
    assert names[0].startswith("'=")
    for row in csv.reader(io.StringIO(table.text)):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)
    assert re.fullmatch(r'attachment; filename="[\w.-]+"', table.headers["content-disposition"])
    assert links(table)["s1"]["link"].startswith(f"{BASE}/link/")
