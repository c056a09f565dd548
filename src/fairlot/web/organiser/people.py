"""Organisers: who they are, who lets them in, and what each may do in a round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from litestar import Response
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError, Issue
from fairlot.rounds import Account, Role, accounts, add_account, roles, set_role, sign_in_link
from fairlot.store import Store
from fairlot.web.access import Access
from fairlot.web.organiser.frame import Asked, round_page, who
from fairlot.web.pages import page
from fairlot.web.routing import RoundId, SettingsIn, StoreIn, act, go, read
from fairlot.web.settings import Settings

NOBODY = ""


@dataclass
class NewAccount:
    """An organiser to let in."""

    name: str
    admin: str = ""


@dataclass
class Named:
    """Who, by name."""

    name: str


@dataclass
class NewRole:
    """What an organiser may do from now on; nothing if blank."""

    name: str
    role: str = NOBODY


@read("/o/accounts", Access.ADMIN)
def list_accounts(request: Asked, store: StoreIn) -> Response[str]:
    """Show all organisers."""
    return page(request, "organiser/accounts.html.jinja", accounts=accounts(store), account=who(request))


@act("/o/accounts", Access.ADMIN, status=200)
def make_account(
    request: Asked,
    store: StoreIn,
    settings: SettingsIn,
    data: Annotated[NewAccount, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[str]:
    """Make an organiser's account and show, once, the link with which she signs in."""
    name = data.name.strip()
    if not name or not name.isprintable() or len(name) > 80:
        raise InvalidProblemError([Issue("name", found=name, expected="1 to 80 letters")])
    if any(name == account.name for account in accounts(store)):
        raise InvalidProblemError([Issue("name", found=name, expected="one that is not taken yet")])
    return _link(request, store, settings, add_account(store, name, admin=bool(data.admin)))


@act("/o/accounts/link", Access.ADMIN, status=200)
def make_link(
    request: Asked,
    store: StoreIn,
    settings: SettingsIn,
    data: Annotated[Named, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[str]:
    """Make another link for an organiser, for another device or after she lost hers."""
    return _link(request, store, settings, _account(store, data.name))


@read("/o/{round_id:str}/roles", Access.OWNER)
def show_roles(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show who may do what in a round."""
    held = roles(store, round_id)
    others = [account.name for account in accounts(store) if account.name not in held]
    return round_page(request, store, round_id, "roles", roles=held, others=others, known=list(Role))


@act("/o/{round_id:str}/roles", Access.OWNER)
def change_role(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[NewRole, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Give an organiser a role, or take it away."""
    if data.role not in (NOBODY, *Role):
        raise InvalidProblemError([Issue("role", found=data.role, expected=" or ".join(Role))])
    role = Role(data.role) if data.role else None
    set_role(store, round_id, _account(store, data.name), role, who(request))
    return go(f"/o/{round_id}/roles")


def _account(store: Store, name: str) -> Account:
    for account in accounts(store):
        if account.name == name:
            return account
    raise InvalidProblemError([Issue("no such organiser", found=name, expected="a name of the list")])


def _link(request: Asked, store: Store, settings: Settings, account: Account) -> Response[str]:
    link = settings.link(f"/link/{sign_in_link(store, account)}")
    return page(
        request,
        "organiser/accounts.html.jinja",
        accounts=accounts(store),
        account=who(request),
        link=link,
        whom=account,
    )


people_routes = [list_accounts, make_account, make_link, show_roles, change_role]
