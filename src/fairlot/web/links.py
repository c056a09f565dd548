"""Coming in: a one-time link, or the code beside it.

Mail scanners open every link with ``GET`` or ``HEAD``. That changes nothing: it shows a page with one
button, and only the ``POST`` behind the button uses the link up. Whatever is wrong with a link or code,
expired, used, unknown, or not whole, is told in the same words; wrong ones are counted per network address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, Response
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from fairlot.rounds import RefusedError, Visitor, end_session, redeem, redeem_look, session
from fairlot.store import Store
from fairlot.web.access import Access
from fairlot.web.pages import page
from fairlot.web.rates import Limiter
from fairlot.web.routing import RoundId, SettingsIn, StoreIn, act, go, read
from fairlot.web.settings import Settings
from fairlot.web.walls import ORGANISER, address, agent_cookie

REFUSED = "This link or code cannot be used: it has expired, was used before, or is not complete."


class LinkRefusedError(RefusedError):
    """Whatever is wrong with a link or code, in the same words."""

    def __init__(self) -> None:
        super().__init__(REFUSED)


@dataclass
class Entry:
    """A link's secret, or a typed code."""

    secret: str


EntryForm = Annotated[Entry, Body(media_type=RequestEncodingType.URL_ENCODED)]


@read("/link/{secret:str}", Access.PUBLIC)
def show_link(request: Request[Any, Any, Any], store: StoreIn, secret: FromPath[str]) -> Response[str]:
    """Show where a link leads, and the button that uses it; changes nothing."""
    _guessing(request)
    target = redeem_look(store, secret)
    if target is None:
        raise _wrong(request)
    return page(request, "links/confirm.html.jinja", target=target, secret=secret)


@read("/sign-in", Access.PUBLIC)
def show_sign_in(request: Request[Any, Any, Any]) -> Response[str]:
    """Ask for the code of an invitation."""
    return page(request, "links/sign_in.html.jinja")


@act("/sign-in", Access.PUBLIC)
def sign_in(
    request: Request[Any, Any, Any],
    store: StoreIn,
    settings: SettingsIn,
    data: EntryForm,
) -> Redirect:
    """Use up a link or code and begin a session, with a secret that nobody has seen before."""
    _guessing(request)
    secret = redeem(store, data.secret.strip())
    visitor = None if secret is None else session(store, secret)
    if secret is None or visitor is None:
        raise _wrong(request)
    name, path = _entrance(visitor, settings)
    before = request.cookies.get(name)
    if before:
        end_session(store, before)
    answer = go(path)
    age = max(int((visitor.expires - datetime.now(UTC)).total_seconds()), 0)
    answer.set_cookie(
        name, secret, max_age=age, httponly=True, samesite="lax", secure=settings.https, path="/"
    )
    return answer


@act("/o/sign-out", Access.ORGANISER)
def sign_out_organiser(request: Request[Any, Any, Any], store: StoreIn, settings: SettingsIn) -> Redirect:
    """End an organiser's session."""
    return _out(request, store, settings.cookie(ORGANISER))


@act("/r/{round_id:str}/me/sign-out", Access.AGENT)
def sign_out_agent(
    request: Request[Any, Any, Any],
    store: StoreIn,
    settings: SettingsIn,
    round_id: RoundId,
) -> Redirect:
    """End an agent's session."""
    return _out(request, store, agent_cookie(settings, round_id))


def _entrance(visitor: Visitor, settings: Settings) -> tuple[str, str]:
    """Return the cookie that holds a session, and the page it begins on."""
    if visitor.account is not None:
        return settings.cookie(ORGANISER), "/o"
    return agent_cookie(settings, str(visitor.round_id)), f"/r/{visitor.round_id}/me"


def _out(request: Request[Any, Any, Any], store: Store, name: str) -> Redirect:
    end_session(store, request.cookies[name])
    answer = go("/sign-in")
    answer.delete_cookie(name)
    return answer


def _guessing(request: Request[Any, Any, Any]) -> None:
    limiter: Limiter = request.app.state.guesses
    limiter.demand(address(request), cost=0)


def _wrong(request: Request[Any, Any, Any]) -> LinkRefusedError:
    limiter: Limiter = request.app.state.guesses
    limiter.spend(address(request))
    return LinkRefusedError()


link_routes = [show_link, show_sign_in, sign_in, sign_out_organiser, sign_out_agent]
