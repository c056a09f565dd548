"""From a template and what it shows to an answer, in the visitor's language."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Request, Response

from fairlot.web.csrf import csrf_field, csrf_token
from fairlot.web.translation import COOKIE, asked, languages, words, words_in

_YEAR = 365 * 24 * 3600


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates: everything escaped, a missing name an error, messages by gettext."""
    made = Environment(
        loader=PackageLoader("fairlot.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.globals["static"] = static
    return made


def _in_language(request: Request[Any, Any, Any], language: str) -> str:
    """Return the address of the same page in another language."""
    asked_for = [(key, value) for key, value in request.query_params.multi_items() if key != "language"]
    return f"{request.url.path}?{urlencode([*asked_for, ('language', language)])}"


@lru_cache
def static(name: str) -> str:
    """Return the address of a static file; it changes with its content, so that browsers may keep it.

    Parameters
    ----------
    name : str
        Its path below ``static/``.
    """
    ours, checker = files("fairlot.web") / "static" / name, files("fairlot.verify") / "static" / name
    content = (ours if ours.is_file() else checker).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def page(request: Request[Any, Any, Any], template: str, status: int = 200, **context: Any) -> Response[str]:
    """Answer with a page.

    Parameters
    ----------
    request : Request
        Says the language, and whose session the forms of the page belong to.
    template : str
        Its path below ``templates/``.
    status : int
        HTTP status.
    **context
        What the template shows; ``log_head`` stands at its foot.

    Returns
    -------
    Response
    """
    spoken = words(request)
    found = (
        environment()
        .get_template(template)
        .render(
            **{
                "log_head": None,
                "words": spoken,
                "gettext": spoken.catalogue.gettext,
                "ngettext": spoken.catalogue.ngettext,
                "counted": spoken.ngettext,
                "languages": [words_in(language) for language in languages()],
                "in_language": lambda language: _in_language(request, language),
                "csrf_field": lambda: csrf_field(request),
                "csrf_token": lambda: csrf_token(request),
                **context,
            }
        )
    )
    answer = Response(found, status_code=status, media_type=MediaType.HTML)
    answer.headers["Content-Language"] = spoken.language
    answer.headers["Vary"] = "Accept-Language, Cookie"
    if asked(request):
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, spoken.language, max_age=_YEAR, samesite="lax", secure=secure, httponly=True
        )
    return answer
