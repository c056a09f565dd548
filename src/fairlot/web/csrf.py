"""Forms of other sites are refused.

A request that changes something carries a token made from the secret of the very cookie that it is sent with:
another site can neither read nor set that cookie (``HttpOnly``, ``SameSite``, behind TLS ``__Host-``), and a
token of one session is worthless in another. Browsers also say where a form stood (``Origin``,
``Sec-Fetch-Site``); what they say is believed when it speaks against the request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from litestar.connection import ASGIConnection, Request
from litestar.datastructures.multi_dicts import FormMultiDict
from litestar.enums import RequestEncodingType
from litestar.exceptions import ClientException, PermissionDeniedException
from litestar.types import Scope
from markupsafe import Markup

from fairlot.web.settings import Settings

FIELD = "csrf"
HEADER = "x-csrf-token"
_CREDENTIAL = "auth"
_NEW_VISIT = "fairlot.visit"
_FORMS = (RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART)

Connection = ASGIConnection[Any, Any, Any, Any]


def csrf_token(request: Connection) -> str:
    """Return the token for forms on the page that answers a request."""
    credential = request.scope.get(_CREDENTIAL)
    if not credential:
        credential = request.scope[_NEW_VISIT] = request.scope[_CREDENTIAL] = secrets.token_urlsafe(32)  # type: ignore[literal-required]
    return form_token(str(credential))


def csrf_field(request: Connection) -> Markup:
    """Return the hidden field that every form carries."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, csrf_token(request))


def new_visit(scope: Scope) -> str | None:
    """Return the cookie that a page with a form gives to a browser without one; None if it has one."""
    return scope.get(_NEW_VISIT)  # type: ignore[return-value]


async def check_form(request: Request[Any, Any, Any], settings: Settings) -> None:
    """Refuse a request that changes something and does not come from a page of this service.

    Raises
    ------
    PermissionDeniedException
        If it does not.
    """
    origin = request.headers.get("origin")
    if (origin is not None and origin.casefold() != settings.origin) or request.headers.get(
        "sec-fetch-site", "same-origin"
    ) not in ("same-origin", "none"):
        raise PermissionDeniedException("This form came from another site.")
    sent = request.headers.get(HEADER)
    form = FormMultiDict({})
    if sent is None:
        form = await _form(request)
        sent = form.get(FIELD)
    credential = request.scope.get(_CREDENTIAL)
    if not isinstance(sent, str) or not credential or not _same(sent, form_token(str(credential))):
        await form.close()  # files that came with it
        raise PermissionDeniedException(
            "This form is out of date. Go back, reload the page, and send it again."
        )
    await _form(request)


async def _form(request: Request[Any, Any, Any]) -> FormMultiDict:
    """Read the form, once; whoever asks again gets what was read.

    Raises
    ------
    ClientException
        If it cannot be read: what it says of its encoding is not true.
    """
    if request.content_type[0] not in _FORMS:
        return FormMultiDict({})
    try:
        return await request.form()
    except (UnicodeError, LookupError) as error:
        raise ClientException("This form cannot be read.") from error


def form_token(credential: str) -> str:
    """Return the token of forms that are sent with a credential: the secret of its cookie."""
    return hmac.new(credential.encode(), b"fairlot form", hashlib.sha256).hexdigest()


def _same(sent: str, expected: str) -> bool:
    return hmac.compare_digest(sent.encode(), expected.encode())
