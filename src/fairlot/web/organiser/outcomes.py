"""What came out: lists for other systems, answers to complaints, letters, and personal data on request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from litestar import Response
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError, Issue
from fairlot.rounds import (
    Area,
    UnknownError,
    enrolment_list,
    erase_agent,
    export_agent,
    frozen,
    outcome,
    participants,
    result,
    round_,
)
from fairlot.web.access import Access
from fairlot.web.organiser.facts import facts
from fairlot.web.organiser.frame import Asked, download, round_page, who
from fairlot.web.routing import FILE, RoundId, StoreIn, act, go, read
from fairlot.web.uploads import packed

_LISTS = {
    "csv": "assignment.csv",
    "xlsx": "assignment.xlsx",
    "canvas": "canvas-enrollments.csv",
    "oneroster": "enrollments.csv",
}
_AREAS = {"design": Area.DESIGN, "result": Area.RESULT}


@dataclass
class Who:
    """An agent, typed once more so that nobody is erased by a slip."""

    agent: str


@read("/o/{round_id:str}/outcome", Access.AUDITOR)
def show_outcome(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show what came out, and what may be downloaded."""
    files = result(store, round_id)
    return round_page(request, store, round_id, "outcome", facts=facts(files), letters="letters.md" in files)


@read("/o/{round_id:str}/lists/{format_:str}", Access.AUDITOR, media_type=FILE)
def get_list(
    store: StoreIn,
    round_id: RoundId,
    format_: FromPath[str],
    school: FromQuery[str] = "",
) -> Response[bytes]:
    """Hand out who got what; cells that a spreadsheet would run are escaped."""
    if format_ not in _LISTS:
        raise UnknownError("There is no such list.")
    data = enrolment_list(store, round_id, format_, school=school)
    return download(data, f"{round_(store, round_id).title}-{_LISTS[format_]}")


@read("/o/{round_id:str}/folder/{area:str}", Access.AUDITOR, media_type=FILE)
def get_result(store: StoreIn, round_id: RoundId, area: FromPath[str]) -> Response[bytes]:
    """Hand out the result folder, or the design's, as ``fairlot verify`` reads it."""
    if area not in _AREAS:
        raise UnknownError("There is no such folder.")
    files = result(store, round_id, _AREAS[area])
    if not files:
        raise UnknownError("There is no such folder yet.")
    return download(packed(files), f"{round_(store, round_id).title}-{area}.zip")


@read("/o/{round_id:str}/commitment", Access.AUDITOR, media_type=FILE)
def get_commitment(store: StoreIn, round_id: RoundId) -> Response[bytes]:
    """Hand out the document whose hash was published when choices closed."""
    found = frozen(store, round_id)
    if found is None:
        raise UnknownError("Nothing is frozen yet.")
    return download(found.document, "frozen.json")


@read("/o/{round_id:str}/explain", Access.AUDITOR)
def explain(request: Asked, store: StoreIn, round_id: RoundId, agent: FromQuery[str] = "") -> Response[str]:
    """Explain to an agent who complains what she got and why."""
    name = agent.strip()
    ids = [one.agent for one in participants(store, round_id)]
    found, unknown = None, False
    if name:
        unknown = name not in ids
        found = None if unknown else outcome(store, round_id, name)
    return round_page(
        request, store, round_id, "explain", agent=name, outcome=found, unknown=unknown, ids=ids[:2000]
    )


@read("/o/{round_id:str}/letters", Access.AUDITOR, media_type=FILE)
def get_letters(store: StoreIn, round_id: RoundId) -> Response[bytes]:
    """Hand out the letters to all members, a page each."""
    files = result(store, round_id)
    if "letters.md" not in files:
        raise UnknownError("There are no letters yet.")
    return download(files["letters.md"], "letters.md")


@read("/o/{round_id:str}/personal", Access.OWNER, media_type=FILE)
def get_personal(store: StoreIn, round_id: RoundId, agent: FromQuery[str]) -> Response[bytes]:
    """Hand out all that is stored of one agent."""
    return download(packed(export_agent(store, round_id, agent)), f"{agent}.zip")


@act("/o/{round_id:str}/erase", Access.OWNER)
def erase(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Who, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Erase the personal data of one agent."""
    name = data.agent.strip()
    if all(one.agent != name for one in participants(store, round_id)):
        raise InvalidProblemError(
            [Issue("no such agent", found=name, expected="an id of the table of agents")]
        )
    erase_agent(store, round_id, name, who(request))
    return go(f"/o/{round_id}/agents")


outcome_routes = [
    show_outcome,
    get_list,
    get_result,
    get_commitment,
    explain,
    get_letters,
    get_personal,
    erase,
]
