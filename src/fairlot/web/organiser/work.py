"""Background work: asked for, watched while it runs, and the report of what came out."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Response
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError, Issue
from fairlot.rounds import Job, Kind, UnknownError, job, jobs, report_page, request_job, round_
from fairlot.store import Store
from fairlot.web.access import Access
from fairlot.web.organiser.frame import Asked, round_page, who
from fairlot.web.routing import RoundId, StoreIn, act, go, read

_INLINE = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>(.*?)</script>", re.DOTALL)
_LONGEST = 7 * 24 * 3600
"""Seconds that a search may be given."""


@dataclass
class Work:
    """What is to be done; ``minutes`` blank means until it is done."""

    what: str
    minutes: str = ""


@act("/o/{round_id:str}/work", Access.OPERATOR)
def ask(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Work, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Ask for a solve, a reallocation, the value of choice, or a report."""
    market = round_(store, round_id).kind is Kind.PSEUDOMARKET
    known = ("solve", "report") if market else ("value", "reallocate", "report")
    if data.what not in known:
        raise InvalidProblemError([Issue("work", found=data.what, expected=" or ".join(known))])
    limit = minutes(data.minutes)
    settings: dict[str, Any] = {} if limit is None or data.what != "solve" else {"time_limit": limit}
    made = request_job(store, round_id, data.what, who(request), **settings)
    return go(f"/o/{round_id}/work/{made.id}")


@read("/o/{round_id:str}/work", Access.AUDITOR)
def list_work(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show all work of a round."""
    return round_page(request, store, round_id, "work", jobs=jobs(store, round_id), job=None, left=None)


@read("/o/{round_id:str}/work/{job_id:int}", Access.AUDITOR)
def show_work(request: Asked, store: StoreIn, round_id: RoundId, job_id: FromPath[int]) -> Response[str]:
    """Show how far a piece of work is."""
    found = _job(store, round_id, job_id)
    return round_page(
        request, store, round_id, "work", jobs=jobs(store, round_id), job=found, left=time_left(found)
    )


@read("/o/{round_id:str}/work/{job_id:int}/progress", Access.AUDITOR)
def show_progress(request: Asked, store: StoreIn, round_id: RoundId, job_id: FromPath[int]) -> Response[str]:
    """Show the part of the page that moves; asked for again every second until the work is done."""
    found = _job(store, round_id, job_id)
    return round_page(request, store, round_id, "progress", job=found, left=time_left(found))


@read("/o/{round_id:str}/report", Access.AUDITOR)
def show_report(store: StoreIn, round_id: RoundId, private: FromQuery[bool] = False) -> Response[str]:
    """Show the report: one page that needs nothing else, kept apart from this service in the browser."""
    found = report_page(store, round_id, private=private)
    return Response(found, headers={"content-security-policy": report_policy(found)})


def time_left(found: Job, now: datetime | None = None) -> float | None:
    """Guess the seconds that the work still takes, from how long its share took so far.

    Parameters
    ----------
    found : Job
        As it is.
    now : datetime, optional
        For tests.
    """
    if found.ended or not found.share or found.begun is None:
        return None
    passed = ((datetime.now(UTC) if now is None else now) - found.begun).total_seconds()
    return max(passed, 0.0) * (1 - found.share) / found.share


def minutes(text: str) -> float | None:
    """Read a number of minutes as seconds; None if blank."""
    if not text.strip():
        return None
    try:
        seconds = 60 * float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST:
        raise InvalidProblemError([Issue("minutes", found=text, expected="a number above 0, or nothing")])
    return seconds


def report_policy(document: str) -> str:
    """Return the content policy of a report: its own scripts by their hashes, in an origin of its own.

    Pictures in it carry style attributes, so styles are allowed; in a sandbox without this service's cookies
    they reach nothing.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE.findall(document)
    )
    return (
        f"default-src 'none'; script-src {hashes or chr(39) + 'none' + chr(39)}; style-src 'unsafe-inline'; "
        "img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
        "sandbox allow-scripts allow-forms allow-downloads allow-modals"
    )


def _job(store: Store, round_id: str, job_id: int) -> Job:
    found = job(store, job_id)
    if found.round_id != round_id:
        raise UnknownError("There is no such work.")
    return found


work_routes = [ask, list_work, show_work, show_progress, show_report]
