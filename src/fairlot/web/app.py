"""The application: routes, the guard before all of them, the headers on all answers, one shape of error."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import CacheControlHeader, State
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.static_files import create_static_files_router

from fairlot import __version__
from fairlot.store import Store, open_store
from fairlot.web.access import ACCESS, Access, check_routes
from fairlot.web.errors import PROBLEM, handlers
from fairlot.web.rates import Limiter
from fairlot.web.settings import Settings
from fairlot.web.walls import add_headers, guard

_WEEK = 7 * 24 * 3600
_FORM_LIMIT = 1 << 20
"""Bytes of a form without files."""
_PARTS = 5_000
"""Fields and files of one form."""


def create_app(settings: Settings, store: Store | None = None) -> Litestar:
    """Make the web application.

    Parameters
    ----------
    settings : Settings
        How it runs.
    store : Store, optional
        An open store; that of ``settings.database_url`` is opened if absent.

    Returns
    -------
    Litestar
        An ASGI application. It answers to one host name, and limits rates in its own memory: one web process
        serves one installation.

    Raises
    ------
    RouteWithoutAccessError
        If a route does not say who may use it.
    """
    from fairlot.web.agent import agent_routes
    from fairlot.web.links import link_routes
    from fairlot.web.organiser import organiser_routes
    from fairlot.web.public import public_routes

    app = Litestar(
        [*link_routes, *organiser_routes, *agent_routes, *public_routes, _static()],
        guards=[guard],
        before_send=[add_headers],
        exception_handlers=handlers(),
        dependencies={
            "store": Provide(_store, sync_to_thread=False),
            "settings": Provide(_settings, sync_to_thread=False),
        },
        state=State(
            {
                "settings": settings,
                "store": open_store(settings.database_url) if store is None else store,
                "per_address": Limiter(settings.rates.address),
                "per_account": Limiter(settings.rates.account),
                "guesses": Limiter(settings.rates.guesses),
            }
        ),
        request_max_body_size=_FORM_LIMIT,
        multipart_form_part_limit=_PARTS,
        openapi_config=OpenAPIConfig(
            title="fairlot",
            version=__version__,
            use_handler_docstrings=True,
            render_plugins=[_Document(path="/openapi.json")],
            openapi_router=Router(
                "/api",
                route_handlers=[],
                include_in_schema=False,
                opt={ACCESS: Access.PUBLIC},
                after_request=_in_our_shape,
            ),
        ),
        logging_config=None,
    )
    check_routes(app)
    return app


class _Document(JsonRenderPlugin):
    """The OpenAPI document, in which an error may also be a page."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, with_pages(openapi_schema))


async def _in_our_shape(response: Response[Any]) -> Response[Any]:
    """Put this service's page in the place of the framework's where there is nothing."""
    if response.status_code == NotFoundException.status_code:
        raise NotFoundException
    return response


def with_pages(document: dict[str, Any]) -> dict[str, Any]:
    """Add to each error that the document tells of the page that browsers get."""
    for path in document.get("paths", {}).values():
        for operation in path.values():
            for answer in operation.get("responses", {}).values() if isinstance(operation, dict) else ():
                if PROBLEM in answer.get("content", {}):
                    answer["content"]["text/html"] = {"schema": {"type": "string"}}
    return document


def _store(state: State) -> Store:
    found: Store = state.store
    return found


def _settings(state: State) -> Settings:
    found: Settings = state.settings
    return found


def _static() -> Router:
    return create_static_files_router(
        "/static",
        [str(files(room) / "static") for room in ("fairlot.web", "fairlot.verify")],  # verify has draw.js
        opt={ACCESS: Access.PUBLIC},
        cache_control=CacheControlHeader(public=True, max_age=_WEEK),
    )
