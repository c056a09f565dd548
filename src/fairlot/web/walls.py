"""What every request passes before a page is made: host, rate, access rule, origin of the form.

One guard stands before all routes, so that a new one cannot forget it. Who has no role in a round is told
what is told of a round that does not exist.
"""

from __future__ import annotations

from typing import Any

from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection, Request
from litestar.exceptions import (
    ClientException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
)
from litestar.handlers import BaseRouteHandler
from litestar.types import Message, Scope

from fairlot.rounds import Role, Visitor, session
from fairlot.web.access import Access, answers_options, rule
from fairlot.web.csrf import check_form, new_visit
from fairlot.web.rates import Limiter
from fairlot.web.settings import Settings

Connection = ASGIConnection[Any, Any, Any, Any]

VISIT = "visit"
ORGANISER = "organiser"
_SAFE = ("GET", "HEAD", "OPTIONS")
_RANK = (Role.AUDITOR, Role.OPERATOR, Role.OWNER)
_ROLES = {Access.AUDITOR: Role.AUDITOR, Access.OPERATOR: Role.OPERATOR, Access.OWNER: Role.OWNER}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer a browser would not say where a form stood
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_YEAR = 365 * 24 * 3600


def agent_cookie(settings: Settings, round_id: str) -> str:
    """Name the cookie of an agent's session: one for each round, so that rounds do not end one another's."""
    return settings.cookie(f"agent_{round_id}")


def address(connection: Connection) -> str:
    """Return the network address that a request came from."""
    return connection.client.host if connection.client else ""


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let a request pass, or refuse it; afterwards ``connection.user`` says who it is.

    Raises
    ------
    HTTPException
        400, 401, 403, 404 or 429.
    """
    settings: Settings = connection.app.state.settings
    if connection.headers.get("host", "").casefold() != settings.host:
        raise ClientException("This service does not answer to that name.")
    if answers_options(handler):
        return
    limiter: Limiter = connection.app.state.per_address
    limiter.demand(address(connection))
    await _admit(connection, rule(handler.opt), settings)
    if isinstance(connection, Request) and connection.method not in _SAFE:
        await check_form(connection, settings)


async def _admit(connection: Connection, access: Access, settings: Settings) -> None:
    """Find out who it is, and whether she may."""
    round_id = connection.path_params.get("round_id")
    name = settings.cookie(VISIT)
    if access is Access.AGENT:
        name = agent_cookie(settings, str(round_id))
    elif access is not Access.PUBLIC:
        name = settings.cookie(ORGANISER)
    secret = connection.cookies.get(name)
    connection.scope["auth"] = secret
    connection.scope["user"] = None
    if access is Access.PUBLIC:
        return
    visitor = None if not secret else await sync_to_thread(session, connection.app.state.store, secret)
    if secret is None or visitor is None:
        raise NotAuthorizedException("Sign in first: open your link, or type your code.")
    per_account: Limiter = connection.app.state.per_account
    per_account.demand(secret)
    connection.scope["user"] = visitor
    _check_rule(visitor, access, round_id)


def _check_rule(visitor: Visitor, access: Access, round_id: str | None) -> None:
    if access is Access.AGENT:
        if visitor.round_id != round_id or visitor.agent is None:
            raise NotAuthorizedException("Sign in first: open your link, or type your code.")
        return
    if visitor.account is None:
        raise NotAuthorizedException("Sign in first: open your link, or type your code.")
    if access is Access.ADMIN and not visitor.account.admin:
        raise PermissionDeniedException("This takes an administrator's account.")
    if access in _ROLES:
        held = visitor.roles.get(str(round_id))
        if held is None:
            raise NotFoundException("There is no such round.")
        if _RANK.index(held) < _RANK.index(_ROLES[access]):
            raise PermissionDeniedException(f"This takes the role of {_ROLES[access]}; yours is {held}.")


async def add_headers(message: Message, scope: Scope) -> None:
    """Put on every answer what browsers need to know, errors and files included."""
    if message["type"] != "http.response.start":
        return
    settings: Settings = scope["litestar_app"].state.settings
    headers = list(message.get("headers", []))
    present = {name.lower() for name, _ in headers}
    headers += [
        (name.encode(), value.encode()) for name, value in _HEADERS.items() if name.encode() not in present
    ]
    if settings.https:
        headers.append((b"strict-transport-security", f"max-age={_YEAR}".encode()))
    visit = new_visit(scope)
    if visit is not None:
        secure = "; Secure" if settings.https else ""
        cookie = f"{settings.cookie(VISIT)}={visit}; Path=/; HttpOnly; SameSite=Lax{secure}"
        headers.append((b"set-cookie", cookie.encode()))
    message["headers"] = headers
