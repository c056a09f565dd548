"""What all pages of one round have in common."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response

from fairlot.rounds import Account, Kind, Role, Round, RoundState, Visitor, round_
from fairlot.store import Store
from fairlot.web.pages import page
from fairlot.web.routing import FILE

Asked = Request[Visitor, Any, Any]


def who(request: Asked) -> Account:
    """Return the account that is signed in."""
    account = request.user.account
    if account is None:  # the guard lets no other in
        msg = "an organiser's page without an organiser"
        raise TypeError(msg)
    return account


def round_page(
    request: Asked, store: Store, round_id: str, template: str, status: int = 200, **context: Any
) -> Response[str]:
    """Answer with a page of a round, with its navigation and the head of its log.

    Parameters
    ----------
    request : Request
        With the visitor.
    store : Store
        Where the round is.
    round_id : str
        Which.
    template : str
        Its name below ``templates/organiser/``.
    status : int
        HTTP status.
    **context
        What the template shows besides ``round``, ``role``, ``runs`` (may she run the round?), ``owns``,
        ``market`` (which half it is) and ``here`` (the template's name).
    """
    found: Round = context.pop("round", None) or round_(store, round_id)
    role = request.user.roles[round_id]
    return page(
        request,
        f"organiser/{template}.html.jinja",
        status,
        **{
            "round": found,
            "role": role,
            "runs": role in (Role.OWNER, Role.OPERATOR),
            "owns": role is Role.OWNER,
            "market": found.kind is Kind.PSEUDOMARKET,
            "reached": reached(found),
            "here": template,
            "log_head": found.head,
            **context,
        },
    )


def reached(found: Round) -> dict[str, bool]:
    """Say of each state whether a round has come to it, by its name."""
    return {state.value: not found.state.before(state) for state in RoundState}


def download(data: bytes, name: str) -> Response[bytes]:
    """Answer with a file to be saved, never to be shown: what is in it came from outside."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)
    headers = {"content-disposition": f'attachment; filename="{plain}"'}
    return Response(data, media_type=FILE, headers=headers)
