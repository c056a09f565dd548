"""Who may use a route. Every route says so, or the application does not start.

A rule is the least that is asked of the visitor. Administrators begin rounds and let organisers in. On the
pages of a round it is a role in the round that the path names: an auditor reads, an operator also runs the
round, an owner also says who may do what, erases personal data and closes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from fairlot.errors import FairlotError

ACCESS = "access"
"""Key of a route's ``opt`` under which its rule stands."""


class Access(StrEnum):
    """Rules."""

    PUBLIC = "public"
    AGENT = "agent"
    ORGANISER = "organiser"
    ADMIN = "admin"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    OWNER = "owner"


_IN_ROUND = (Access.AGENT, Access.AUDITOR, Access.OPERATOR, Access.OWNER)


class RouteWithoutAccessError(FairlotError, TypeError):
    """Routes were registered that do not say who may use them; the message names them."""


def rule(opt: Mapping[str, Any]) -> Access:
    """Return the rule of a route from its ``opt``.

    Raises
    ------
    KeyError, ValueError
        If there is none, or one that is not known.
    """
    return Access(opt[ACCESS])


def check_routes(app: Litestar) -> None:
    """Refuse an application in which a route has no rule.

    Raises
    ------
    RouteWithoutAccessError
        Naming every such route.
    """
    open_doors = []
    for route in app.routes:
        single = getattr(route, "route_handler", None)
        handlers = [single] if single is not None else getattr(route, "route_handlers", [])
        for handler in handlers:
            if answers_options(handler):
                continue
            try:
                found = rule(handler.opt)
            except (KeyError, ValueError):
                open_doors.append(f"{route.path} ({handler.handler_name})")
                continue
            if found in _IN_ROUND and "{round_id:" not in route.path:
                open_doors.append(f"{route.path} ({handler.handler_name}): '{found}' of which round?")
    if open_doors:
        raise RouteWithoutAccessError("routes without an access rule: " + ", ".join(open_doors))


def answers_options(handler: BaseRouteHandler) -> bool:
    """Say whether a handler is the framework's own answer to ``OPTIONS``, which tells the methods only."""
    return isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}
