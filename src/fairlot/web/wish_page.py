"""What the page of a pseudo-market shows: goods, ratings, and how quotas stand with them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from fairlot.rounds import Round
from fairlot.rounds.wishes import Bound, Good, Standing, WishForm
from fairlot.web.translation import Words

FIELD = "rate:"
"""Beginning of the names of the fields that hold ratings."""


def read_ratings(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of the form as an answer; what is no number stays, for the check to name it."""
    ratings: dict[str, Any] = {}
    for name, text in fields.items():
        if name.startswith(FIELD):
            digits = str(text).strip() or "0"
            ratings[name.removeprefix(FIELD)] = int(digits) if digits.isascii() and digits.isdigit() else text
    return {"ratings": {good: rating for good, rating in ratings.items() if rating != 0}}


def entered_ratings(form: WishForm) -> dict[str, int]:
    """Return as ratings what the organiser entered for her; nothing where the scale does not have it all."""
    found = {good: value / form.scale.points for good, value in form.entered.items() if value > 0}
    if any(rating != round(rating) or rating > form.scale.most for rating in found.values()):
        return {}
    return {good: round(rating) for good, rating in found.items()}


def wish_context(
    form: WishForm, ratings: Mapping[str, int], found: Round, words: Words, find: str
) -> dict[str, Any]:
    """Gather what the whole form shows."""
    return {
        "form": form,
        "scale": form.scale.value,
        "rules": [text for bound in form.bounds if (text := _rule(bound, form, words))],
        "goods": [_row(good, words, find) for good in form.goods],
        "find": find,
        "out_of_band": False,
        **_standing_context(form, ratings, found, words),
    }


def saved_context(form: WishForm, payload: Mapping[str, Any], found: Round, words: Words) -> dict[str, Any]:
    """Gather what changes on the page when ratings are saved."""
    ratings = {good: n for good, n in payload["ratings"].items() if isinstance(n, int)}
    return {"out_of_band": True, **_standing_context(form, ratings, found, words)}


def chosen_rows(form: WishForm, ratings: Mapping[str, int], words: Words) -> list[tuple[str, str]]:
    """List what she rated, the dearest to her first, with its points."""
    titles = {good.id: good.title for good in form.goods}
    ranked = sorted(ratings.items(), key=lambda one: -one[1])
    return [(titles.get(good, good), words.number(n * form.scale.points)) for good, n in ranked]


def _standing_context(
    form: WishForm, ratings: Mapping[str, int], found: Round, words: Words
) -> dict[str, Any]:
    titles = {good.id: good.title for good in form.goods}
    return {
        "ratings": ratings,
        "standing": [_told(one, titles, words) for one in form.standing(ratings)],
        "preview": _preview(form, ratings, found, titles, words),
    }


def _preview(
    form: WishForm, ratings: Mapping[str, int], found: Round, titles: Mapping[str, str], words: Words
) -> dict[str, Any] | None:
    allowed = found.settings.get("preview")
    if not isinstance(allowed, Mapping):
        return None
    best = form.preview(ratings, {good: float(price) for good, price in allowed["prices"].items()})
    shares = [] if best is None else [(titles[good], words.percent(share)) for good, share in best.shares]
    return {"label": allowed["label"], "found": None if best is None else {"shares": shares}}


def _told(one: Standing, titles: Mapping[str, str], words: Words) -> dict[str, Any]:
    bound = one.bound
    begun = [k for k in range(min(one.copies, 12)) if _marginal(bound, k) < _marginal(bound, 0)]
    worth_less = "; ".join(
        words.gettext(
            "Number %(place)s is worth %(points)s points less.",
            place=words.number(k + 1),
            points=words.number(_marginal(bound, 0) - _marginal(bound, k)),
        ).rstrip(".")
        for k in begun[:3]
    )
    return {
        "tells": one.binds or one.short > 0 or bool(begun),
        "title": _title(bound),
        "least": bound.least,
        "most": bound.most,
        "copies": one.copies,
        "short": one.short,
        "conflict": bound.conflict,
        "worth_less": f"{worth_less}." if worth_less else "",
        "rated": [titles[good] for good in one.rated],
    }


def _marginal(bound: Bound, k: int) -> float:
    return bound.worth_less[min(k, len(bound.worth_less) - 1)] if bound.worth_less else 0.0


def _title(bound: Bound) -> str:
    group = bound.group.partition(" = ")[2] or bound.group
    return f"{bound.name} ({group})" if group else bound.name


def _rule(bound: Bound, form: WishForm, words: Words) -> str:
    """Say what a quota allows; nothing where it cannot bind, or of a taper or a pair of goods."""
    reach = sum(min(good.per_agent, good.capacity) for good in form.goods if good.id in set(bound.goods))
    if (
        bound.conflict
        or bound.worth_less
        or (not bound.least and (bound.most is None or bound.most >= reach))
    ):
        return ""
    if bound.most is None or bound.most >= reach:
        bounds = words.gettext("at least %(least)s", least=words.number(bound.least))
    elif bound.least:
        least, most = words.number(bound.least), words.number(bound.most)
        bounds = words.gettext("%(least)s to %(most)s", least=least, most=most)
    else:
        bounds = words.gettext("at most %(most)s", most=words.number(bound.most))
    return f"{_title(bound)}: {bounds}."


def _row(good: Good, words: Words, find: str) -> dict[str, Any]:
    facts = [f"{name}: {value}" for name, value in good.facts]
    places = words.ngettext("%(num)s available", "%(num)s available", good.capacity)
    shown = " · ".join([*([good.id] if good.title != good.id else []), *facts, places])
    text = f"{good.title} {good.id} {' '.join(value for _, value in good.facts)}"
    sought = _plain(find).split()
    return {
        "id": good.id,
        "title": good.title,
        "facts": shown,
        "text": text,
        "shown": all(word in _plain(text) for word in sought),
    }


def _plain(text: str) -> str:
    """Fold case and accents, for finding."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()
