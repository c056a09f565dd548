"""How routes are declared: path, rule, and the answers that the OpenAPI document tells of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Literal

from litestar import HttpMethod, MediaType, post, route
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.response import Redirect

from fairlot.store import Store
from fairlot.web.access import ACCESS, Access
from fairlot.web.settings import Settings

StoreIn = NamedDependency[Store]
SettingsIn = NamedDependency[Settings]
RoundId = FromPath[str]
"""What handlers ask for by the parameter names ``store``, ``settings`` and ``round_id``."""

FILE = "application/octet-stream"
SEE_OTHER: Literal[303] = 303


@dataclass(frozen=True)
class Problem:
    """An error, as ``application/problem+json`` tells it."""

    type: str
    title: str
    status: int
    detail: str
    issues: list[dict[str, Any]]


_REFUSALS = {
    400: "The request cannot be read.",
    401: "Nobody is signed in.",
    403: "Not allowed to this account, or the form came from another site.",
    404: "There is nothing here, or nothing for this account.",
    405: "Nothing here can be asked for in this way: a name with a slash in it may be another address.",
    409: "The round does not allow this now.",
    413: "Too large.",
    422: "The input has faults; each is told with its place.",
    429: "Too many requests.",
    503: "The store cannot be reached or is full; nothing was saved.",
}


def read(
    path: str, access: Access, *, media_type: str = MediaType.HTML, **options: Any
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Declare a route that changes nothing.

    Parameters
    ----------
    path : str
        With parameters, such as ``/o/{round_id:str}``.
    access : Access
        Who may.
    media_type : str
        Of the answer.
    **options
        Of Litestar's ``route``.
    """

    def declare(handler: Callable[..., Any]) -> HTTPRouteHandler:
        methods = [HttpMethod.GET, HttpMethod.HEAD]
        options_ = _options(access, options)
        return route(path, http_method=methods, media_type=media_type, **options_)(_in_thread(handler))

    return declare


def act(
    path: str, access: Access, *, status: int = SEE_OTHER, media_type: str = MediaType.HTML, **options: Any
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Declare a route that changes something; by default it sends the browser on to a page.

    Parameters
    ----------
    path, access, media_type, **options
        As of :func:`read`.
    status : int
        Of the answer when all is well.
    """

    def declare(handler: Callable[..., Any]) -> HTTPRouteHandler:
        options_ = _options(access, options)
        return post(path, status_code=status, media_type=media_type, **options_)(_in_thread(handler))

    return declare


def go(path: str) -> Redirect:
    """Send the browser on."""
    return Redirect(path, status_code=SEE_OTHER)


def _in_thread(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Run a handler that waits for the database in a thread.

    Litestar's own way of doing so wraps a handler twice if another one has the same path.
    """
    if iscoroutinefunction(handler):
        return handler

    @wraps(handler)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await sync_to_thread(handler, *args, **kwargs)

    return call


def _options(access: Access, options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "opt": {ACCESS: access},
        "responses": {
            status: ResponseSpec(
                Problem, generate_examples=False, description=text, media_type="application/problem+json"
            )
            for status, text in _REFUSALS.items()
        },
        **options,
    }
