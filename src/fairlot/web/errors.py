"""One shape for what goes wrong: a page for people, ``application/problem+json`` (RFC 9457) for programs."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from fairlot.errors import FairlotError, InvalidProblemError, Issue
from fairlot.rounds import UnknownError
from fairlot.store.database import StoreError
from fairlot.web.pages import page
from fairlot.web.translation import words

PROBLEM = "application/problem+json"
_HTML = "text/html"
_TOLD = 200
"""Faults that a page lists."""

_TITLES = {
    400: "This request cannot be read",
    401: "Please sign in",
    403: "Not allowed",
    404: "There is nothing here",
    405: "There is nothing here",
    409: "Not now",
    413: "Too large",
    422: "Please correct this",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Not saved",
}


def handlers() -> ExceptionHandlersMap:
    """Return what the application does with exceptions."""
    return {
        HTTPException: _refused,
        InvalidProblemError: _invalid,
        UnknownError: _unknown,
        StoreError: _not_saved,
        FairlotError: _not_now,
        Exception: _broken,
    }


def problem(
    request: Request[Any, Any, Any],
    status: int,
    detail: str,
    issues: tuple[Issue, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response[Any]:
    """Answer with an error, as the client likes to read it."""
    title = words(request).catalogue.gettext(_TITLES.get(status, _TITLES[400 if status < 500 else 500]))
    if request.accept.best_match([_HTML, PROBLEM, "application/json"], _HTML) != _HTML:
        body = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            "issues": [asdict(issue) for issue in issues],
        }
        return Response(body, status_code=status, media_type=PROBLEM, headers=headers)
    answer = page(
        request,
        "error.html.jinja",
        status,
        title=title,
        code=status,
        detail=words(request).catalogue.gettext(detail) if detail else "",
        issues=issues[:_TOLD],
        more=max(len(issues) - _TOLD, 0),
    )
    answer.headers.update(headers or {})
    return answer


def _refused(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    issues: tuple[Issue, ...] = ()
    detail = error.detail
    if isinstance(error, ValidationException):
        detail = "Some of what was sent is missing or of the wrong kind."
        found = error.extra if isinstance(error.extra, list) else []
        issues = tuple(
            Issue(str(entry.get("message", "")), column=str(entry.get("key", "")) or None)
            for entry in found
            if isinstance(entry, dict)
        )
    elif error.status_code in (404, 405) and detail in ("Not Found", "Method Not Allowed"):
        detail = ""
    return problem(request, error.status_code, detail, issues, dict(error.headers or {}))


def _invalid(request: Request[Any, Any, Any], error: InvalidProblemError) -> Response[Any]:
    return problem(request, 422, "", error.issues)


def _unknown(request: Request[Any, Any, Any], error: UnknownError) -> Response[Any]:
    return problem(request, 404, str(error))


def _not_now(request: Request[Any, Any, Any], error: FairlotError) -> Response[Any]:
    return problem(request, 409, str(error))


def _not_saved(request: Request[Any, Any, Any], error: StoreError) -> Response[Any]:
    logging.getLogger("fairlot.web").error("%s %s: %s", request.method, request.url.path, error)
    detail = "This was not saved. Please try again in a moment."
    return problem(request, 503, detail, headers={"retry-after": "5"})


def _broken(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    logging.getLogger("fairlot.web").error("%s %s", request.method, request.url.path, exc_info=error)
    return problem(request, 500, "The fault is ours and was noted. Nothing of this request was saved.")
