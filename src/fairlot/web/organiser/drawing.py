"""The draw in public: commitment, seed from drand or a ceremony, draw, and what went wrong on record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError, Issue
from fairlot.rounds import abort_draw, begin_ceremony, commit, draw, draw_view, reveal, roll_dice
from fairlot.verify.beacon import round_time
from fairlot.web.access import Access
from fairlot.web.organiser.frame import Asked, round_page, who
from fairlot.web.routing import RoundId, StoreIn, act, go, read

Form = RequestEncodingType.URL_ENCODED
_SOURCES = ("drand", "ceremony", "given")


@dataclass
class Commit:
    """Where the seed will come from: a round of drand, officials (one a line), or somebody who gives it."""

    source: str
    drand_round: str = ""
    officials: str = ""
    again: str = ""


@dataclass
class Dice:
    """Dice rolled in public, in order."""

    dice: str


@dataclass
class Number:
    """An official's number."""

    official: str
    number: str


@dataclass
class Draw:
    """What the seed is made of; all blank once a ceremony is complete."""

    seed: str = ""
    signature: str = ""
    reason: str = ""


@dataclass
class Reason:
    """Why."""

    reason: str


@read("/o/{round_id:str}/draw", Access.AUDITOR)
def show_draw(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show where the draw is, and what is next."""
    soon = drand_round_after(time.time() + 3600)
    return round_page(request, store, round_id, "draw", draw=draw_view(store, round_id), soon=soon)


@act("/o/{round_id:str}/draw/commit", Access.OPERATOR)
def commit_draw(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Commit, Body(media_type=Form)],
) -> Redirect:
    """Commit to all that the draw depends on."""
    if data.source not in _SOURCES:
        raise InvalidProblemError([Issue("source", found=data.source, expected=" or ".join(_SOURCES))])
    number: int | None = None
    officials: list[str] = []
    if data.source == "drand":
        text = data.drand_round.strip()
        if not text.isdecimal() or len(text) > 12:
            raise InvalidProblemError([Issue("round of drand", found=text, expected="its number")])
        number = int(text)
    elif data.source == "ceremony":
        officials = [line.strip() for line in data.officials.splitlines() if line.strip()]
        if len(set(officials)) < 2 or len(set(officials)) != len(officials):
            expected = "at least two different names, one a line"
            raise InvalidProblemError([Issue("officials", found=", ".join(officials), expected=expected)])
    commit(store, round_id, who(request), drand_round=number, officials=officials, again=bool(data.again))
    return go(f"/o/{round_id}/draw")


@act("/o/{round_id:str}/draw/seals", Access.OPERATOR)
async def seal(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect:
    """Record the seals of all officials; fields are named ``seal-`` and the official's name."""
    from litestar.concurrency import sync_to_thread

    form = await request.form()
    seals = {
        str(key).removeprefix("seal-"): str(form[key]).strip().lower()
        for key in form
        if key.startswith("seal-")
    }
    await sync_to_thread(begin_ceremony, store, round_id, who(request), seals)
    return go(f"/o/{round_id}/draw")


@act("/o/{round_id:str}/draw/dice", Access.OPERATOR)
def dice(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Dice, Body(media_type=Form)],
) -> Redirect:
    """Record the dice."""
    roll_dice(store, round_id, who(request), data.dice.strip())
    return go(f"/o/{round_id}/draw")


@act("/o/{round_id:str}/draw/reveal", Access.OPERATOR)
def open_number(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Number, Body(media_type=Form)],
) -> Redirect:
    """Record an official's number."""
    reveal(store, round_id, who(request), data.official, data.number.strip().lower())
    return go(f"/o/{round_id}/draw")


@act("/o/{round_id:str}/draw", Access.OPERATOR)
def make_draw(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Draw, Body(media_type=Form)],
) -> Redirect:
    """Draw."""
    given: dict[str, Any] = {
        "seed": data.seed.strip().lower() or None,
        "signature": data.signature.strip().lower() or None,
        "reason": data.reason.strip() or None,
    }
    draw(store, round_id, who(request), **given)
    return go(f"/o/{round_id}/draw")


@act("/o/{round_id:str}/draw/abort", Access.OPERATOR)
def abort(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Reason, Body(media_type=Form)],
) -> Redirect:
    """Put on record that nothing is drawn under this commitment."""
    if not data.reason.strip():
        raise InvalidProblemError(
            [Issue("reason", found="", expected="why nothing is drawn, and who said so")]
        )
    abort_draw(store, round_id, who(request), data.reason.strip())
    return go(f"/o/{round_id}/draw")


def drand_round_after(moment: float) -> int:
    """Return the first round of drand's quicknet that is signed after a moment."""
    step = round_time(2) - round_time(1)
    return max(1, int((moment - round_time(1)) // step) + 2)


drawing_routes = [show_draw, commit_draw, seal, dice, open_number, make_draw, abort]
