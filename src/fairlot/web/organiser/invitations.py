"""Asking agents: deadline, links for a mail merge, who has chosen so far, reminders, and the end of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from litestar import Response
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.tables import write_csv
from fairlot.rounds import (
    Invitation,
    RefusedError,
    RoundState,
    extend,
    freeze,
    invite,
    open_round,
    participants,
    participation,
    remind,
    round_,
)
from fairlot.web.access import Access
from fairlot.web.organiser.frame import Asked, download, round_page, who
from fairlot.web.routing import FILE, RoundId, SettingsIn, StoreIn, act, go, read
from fairlot.web.settings import Settings

_FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M")
_LISTED = 2_000
"""Agents that a page lists."""


@dataclass
class Deadline:
    """When choices close, UTC, as a browser's field for date and time writes it."""

    deadline: str


@dataclass
class Whom:
    """Agents by id, one a line; all if blank."""

    agents: str = ""


@read("/o/{round_id:str}/agents", Access.AUDITOR)
def show_agents(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show who takes part, and who has chosen so far."""
    people = participants(store, round_id)
    return round_page(
        request,
        store,
        round_id,
        "agents",
        people=people[:_LISTED],
        n_people=len(people),
        taking_part=participation(store, round_id),
    )


@read("/o/{round_id:str}/participation", Access.AUDITOR)
def show_participation(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show the part of the page that counts who has chosen; asked for again every few seconds."""
    found = round_(store, round_id)
    return round_page(
        request,
        store,
        round_id,
        "participation",
        round=found,
        taking_part=participation(store, round_id),
        live=found.state is RoundState.OPEN,
    )


@act("/o/{round_id:str}/open", Access.OPERATOR)
def open_choices(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Deadline, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Open a round for choices."""
    open_round(store, round_id, _moment(data.deadline), who(request))
    return go(f"/o/{round_id}/agents")


@act("/o/{round_id:str}/extend", Access.OPERATOR)
def move_deadline(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Deadline, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Move the deadline of an open round."""
    extend(store, round_id, _moment(data.deadline), who(request))
    return go(f"/o/{round_id}/agents")


@act("/o/{round_id:str}/invitations", Access.OPERATOR, status=200, media_type=FILE)
def invite_agents(
    request: Asked,
    store: StoreIn,
    settings: SettingsIn,
    round_id: RoundId,
    data: Annotated[Whom, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[bytes]:
    """Make fresh links, handed out once as a table for a mail merge."""
    agents = [line.strip() for line in data.agents.splitlines() if line.strip()] or None
    made = invite(store, round_id, who(request), agents)
    return download(links_table(made, settings), f"{round_(store, round_id).title}-links.csv")


@act("/o/{round_id:str}/reminders", Access.OPERATOR, status=200, media_type=FILE)
def remind_agents(
    request: Asked,
    store: StoreIn,
    settings: SettingsIn,
    round_id: RoundId,
) -> Response[bytes]:
    """Make fresh links for those who have not chosen yet."""
    made = remind(store, round_id, who(request))
    if not made:
        raise RefusedError("Everybody has chosen: there is nobody to remind.")
    return download(links_table(made, settings), f"{round_(store, round_id).title}-reminders.csv")


@act("/o/{round_id:str}/freeze", Access.OPERATOR)
def freeze_choices(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect:
    """Close choices for good and publish the hash of all inputs."""
    freeze(store, round_id, who(request))
    return go(f"/o/{round_id}")


def links_table(made: Sequence[Invitation], settings: Settings) -> bytes:
    """Write invitations as a table for a mail merge, cells that a spreadsheet would run escaped.

    Parameters
    ----------
    made : sequence of Invitation
        Fresh links.
    settings : Settings
        Says what links begin with.
    """
    contacts = [key for key in ("name", "email", "language") if any(key in one.contact for one in made)]
    rows = [
        (
            one.agent,
            *(one.contact.get(key, "") for key in contacts),
            settings.link(f"/link/{one.secret}"),
            one.code,
            settings.link("/sign-in"),
            f"{one.expires:%Y-%m-%d %H:%M} UTC",
        )
        for one in made
    ]
    return write_csv(("agent", *contacts, "link", "code", "where to type the code", "good until"), rows)


def _moment(text: str) -> datetime:
    for form in _FORMATS:
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise InvalidProblemError(
        [Issue("deadline", found=text, expected="a date and time, 2026-10-01T18:00 (UTC)")]
    )


invitation_routes = [
    show_agents,
    show_participation,
    open_choices,
    move_deadline,
    invite_agents,
    remind_agents,
    freeze_choices,
]
