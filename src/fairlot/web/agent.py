"""The pages of an agent: what she is asked, what is saved, and after publication what she got and why."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromQuery
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError
from fairlot.rounds import (
    ConflictError,
    RefusedError,
    Round,
    RoundState,
    ballot_files,
    outcome,
    receipt,
    round_,
    submission,
    submit,
)
from fairlot.rounds.choices import ballot
from fairlot.rounds.lines import MenuForm
from fairlot.rounds.wishes import Scale, WishForm
from fairlot.store import Store
from fairlot.web.access import Access
from fairlot.web.menu_page import chosen_line, menu_context
from fairlot.web.outcome_page import outcome_context
from fairlot.web.pages import page
from fairlot.web.routing import RoundId, StoreIn, act, go, read
from fairlot.web.translation import Words, words
from fairlot.web.wish_page import chosen_rows, entered_ratings, read_ratings, saved_context, wish_context

Fields = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]
_SHOWN = (RoundState.PUBLISHED, RoundState.ARCHIVED)


@read("/r/{round_id:str}/me", Access.AGENT)
def show_mine(
    request: Request[Any, Any, Any],
    store: StoreIn,
    round_id: RoundId,
    find: FromQuery[str] = "",
) -> Response[str]:
    """Show an agent what she is asked, what she chose, or what she got."""
    found, agent, spoken = round_(store, round_id), _agent(request), words(request)
    common: dict[str, Any] = {"round": found, "agent": agent, "log_head": found.head}
    if found.state in _SHOWN:
        told = outcome_context(outcome(store, round_id, agent), _titles(store, found, agent), spoken)
        return page(request, "agent/outcome.html.jinja", **common, stage="published", **told)
    form = _form(store, found, agent)
    if _accepts(found):
        answer = _ballot(store, found, form, spoken, find)
        return page(request, _template(form), **common, stage="open", **answer)
    return page(
        request,
        "agent/waiting.html.jinja",
        **common,
        stage="closed",
        progress=_progress(found.state, spoken),
        receipt=receipt(store, round_id, agent),
        **_chosen(store, found, form, spoken),
    )


@act("/r/{round_id:str}/me", Access.AGENT)
def save_mine(
    request: Request[Any, Any, Any], store: StoreIn, round_id: RoundId, data: Fields
) -> Response[str] | Redirect:
    """Save what an agent chose; answered when it is on disk.

    The answer is the part of the page that says so where htmx asks for it, else the whole page again.
    """
    found, agent, spoken = round_(store, round_id), _agent(request), words(request)
    form = _form(store, found, agent)
    payload = _payload(form, data)
    told: dict[str, Any] = {"receipt": None, "conflict": False, "refused": "", "faults": []}
    status = 200
    try:
        seen = int(data.get("seen") or 0)
        told["receipt"] = submit(store, round_id, agent, payload, _key(data, payload), seen)
        told["conflict"] = not told["receipt"].current
    except ConflictError as error:
        told["conflict"] = True
        seen = 0 if error.current is None else error.current.version
    except InvalidProblemError as error:
        status, told["refused"] = 422, spoken.gettext("Something on this page is not as it should be.")
        told["faults"] = [str(issue) for issue in error.issues[:10]]
    except RefusedError as error:
        status, told["refused"] = 409, spoken.gettext(str(error))
    if told["receipt"] is not None:
        seen = told["receipt"].version
    if told["conflict"]:
        status = 409
    context = {"round": found, "key": secrets.token_urlsafe(16), "seen": seen, **told}
    if request.headers.get("hx-request") == "true":
        beside = saved_context(form, payload, found, spoken) if isinstance(form, WishForm) else {}
        return page(request, "agent/saved.html.jinja", status, **context, **beside)
    if status == 200:
        find = str(data.get("find") or "")
        return go(f"/r/{round_id}/me" + (f"?{urlencode({'find': find})}" if find else ""))
    answer = _shown(form, payload, found, spoken, str(data.get("find") or ""))
    common: dict[str, Any] = {"agent": agent, "log_head": found.head, "stage": "open", "entered": False}
    return page(request, _template(form), status, **answer, **common, **context)


@read("/r/{round_id:str}/me/receipt", Access.AGENT, media_type="application/json")
def download_receipt(request: Request[Any, Any, Any], store: StoreIn, round_id: RoundId) -> Response[bytes]:
    """Hand an agent the document whose SHA-256 stands in the log."""
    held = receipt(store, round_id, _agent(request))
    if held is None:
        raise RefusedError(words(request).gettext("You have not saved anything yet."))
    named = {"content-disposition": f'attachment; filename="receipt-{held.hash[:12]}.json"'}
    return Response(held.document, media_type="application/json", headers=named)


def _agent(request: Request[Any, Any, Any]) -> str:
    """Return whose session it is; the guard has made sure that there is one."""
    agent: str = request.user.agent
    return agent


def _form(store: Store, found: Round, agent: str) -> WishForm | MenuForm:
    files, menus = ballot_files(store, found.id)
    return ballot(files, menus, agent, found.settings.get("scale", Scale.STARS))


def _titles(store: Store, found: Round, agent: str) -> dict[str, str]:
    form = _form(store, found, agent)
    return {good.id: good.title for good in form.goods} if isinstance(form, WishForm) else {}


def _template(form: WishForm | MenuForm) -> str:
    return f"agent/{'wishes' if isinstance(form, WishForm) else 'lines'}.html.jinja"


def _accepts(found: Round) -> bool:
    deadline = found.deadline
    return found.state is RoundState.OPEN and (deadline is None or datetime.now(UTC) < deadline)


def _ballot(
    store: Store, found: Round, form: WishForm | MenuForm, spoken: Words, find: str
) -> dict[str, Any]:
    """Gather what the form shows when it is opened."""
    saved = submission(store, found.id, form.agent)
    held = receipt(store, found.id, form.agent)
    if isinstance(form, WishForm):
        payload: Mapping[str, Any] = {"ratings": entered_ratings(form)} if saved is None else saved.payload
    else:
        payload = {"pick": None} if saved is None else saved.payload
    return {
        "entered": isinstance(form, WishForm) and saved is None and bool(form.entered),
        "receipt": held,
        "seen": 0 if saved is None else saved.version,
        "key": secrets.token_urlsafe(16),
        "conflict": False,
        "refused": "",
        "faults": [],
        **_shown(form, payload, found, spoken, find),
    }


def _shown(
    form: WishForm | MenuForm, payload: Mapping[str, Any], found: Round, spoken: Words, find: str
) -> dict[str, Any]:
    if isinstance(form, WishForm):
        return wish_context(form, payload["ratings"], found, spoken, find)
    return menu_context(form, payload["pick"], spoken)


def _payload(form: WishForm | MenuForm, data: Mapping[str, Any]) -> dict[str, Any]:
    return read_ratings(data) if isinstance(form, WishForm) else {"pick": str(data.get("pick", ""))}


def _key(data: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    """Make the key of a request: of the page's own and of the content.

    A request that is sent again is answered as before; another content under the key of an answer that was
    lost on its way is another request, and never passes for saved.
    """
    content = json.dumps([str(data.get("key", "")), str(data.get("seen", "")), payload], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _chosen(store: Store, found: Round, form: WishForm | MenuForm, spoken: Words) -> dict[str, Any]:
    """Say what counts for her once choices are closed."""
    saved = submission(store, found.id, form.agent)
    lines, rows = [], []
    if isinstance(form, WishForm):
        none = spoken.gettext("You have saved nothing, so that you get nothing in this round.")
        if form.entered:
            none = spoken.gettext(
                "You have saved nothing; the values that the organiser entered for you count."
            )
        if saved is not None:
            rows = chosen_rows(form, saved.payload["ratings"], spoken)
            if not rows:
                lines.append(spoken.gettext("You asked for nothing."))
    else:
        none = spoken.gettext("You have picked nothing, so that you keep what you have.")
        if saved is not None:
            lines.append(chosen_line(form, saved.payload["pick"], spoken))
    return {"chosen": lines, "chosen_rows": rows, "none_saved": none}


def _progress(state: RoundState, spoken: Words) -> str:
    """Say where a round is between the deadline and publication."""
    if state is RoundState.OPEN:
        return spoken.gettext(
            "The deadline has passed. Next, everything that counts is frozen under a public hash."
        )
    if state is RoundState.FROZEN:
        return spoken.gettext(
            "Everything that counts is frozen under a public hash. The result is being computed."
        )
    if state is RoundState.SOLVED:
        return spoken.gettext(
            "The result is computed. Next is the draw, from a seed that nobody can know before."
        )
    return spoken.gettext("The draw has taken place. Next, the office publishes it.")


agent_routes = [show_mine, save_mine, download_receipt]
