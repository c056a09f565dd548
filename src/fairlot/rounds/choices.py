"""What agents are asked, and what their answers make of the files: both halves behind a few functions.

The forms of a round are made once and kept, by the bytes they are made from: thousands of agents save within
a minute, and reading the tables takes longer than checking an answer.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fairlot.rounds.lines import MenuForm, MenuForms
from fairlot.rounds.wishes import Scale, WishForm, WishForms

_KEPT = 8
_F = TypeVar("_F", WishForms, MenuForms)
_forms: OrderedDict[str, Any] = OrderedDict()
_one_at_a_time = threading.Lock()


def ballot(
    files: Mapping[str, bytes], menus: bytes | None, agent: str, scale: str = Scale.STARS
) -> WishForm | MenuForm:
    """Return what an agent is asked.

    Parameters
    ----------
    files : mapping of str to bytes
        The problem folder.
    menus : bytes or None
        ``menus.csv`` of a reallocation.
    agent : str
        Her id; of a group, the member's.
    scale : str
        How agents of a pseudo-market rate.

    Raises
    ------
    InvalidProblemError
        If the files cannot be read.
    KeyError
        If there is no such agent.
    """
    return wish_forms(files, scale)[agent] if menus is None else menu_forms(files, menus)[agent]


def check_payload(
    files: Mapping[str, bytes],
    agent: str,
    payload: Mapping[str, Any],
    *,
    menus: bytes | None = None,
    scale: str = Scale.STARS,
) -> dict[str, Any]:
    """Check an agent's answer, and return it in its one form.

    Parameters
    ----------
    files, menus, agent, scale
        As in :func:`ballot`.
    payload : mapping
        ``{"ratings": {good: rating}}``, or ``{"pick": line}``.

    Raises
    ------
    InvalidProblemError
        Saying what is wrong with it.
    """
    return ballot(files, menus, agent, scale).read(payload)


def values_csv(
    files: Mapping[str, bytes], payloads: Mapping[str, Mapping[str, Any]], scale: str = Scale.STARS
) -> dict[str, bytes]:
    """Return the problem folder of a pseudo-market with the answers as its values.

    Parameters
    ----------
    files, scale
        As in :func:`ballot`.
    payloads : mapping
        By agent; who gave no answer keeps the rows that were uploaded for her.
    """
    return wish_forms(files, scale).problem(payloads)


def picks_csv(files: Mapping[str, bytes], menus: bytes, payloads: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return ``picks.csv`` of a reallocation.

    Parameters
    ----------
    files, menus
        As in :func:`ballot`.
    payloads : mapping
        By member; who gave no answer keeps what she has.
    """
    return menu_forms(files, menus).picks(payloads)


def wish_forms(files: Mapping[str, bytes], scale: str = Scale.STARS) -> WishForms:
    """Return the forms of all agents of a pseudo-market, made now or earlier."""
    return _kept(_digest(files, scale.encode()), lambda: WishForms(files, Scale(scale)))


def menu_forms(files: Mapping[str, bytes], menus: bytes) -> MenuForms:
    """Return the forms of all members of a reallocation, made now or earlier."""
    return _kept(_digest(files, menus), lambda: MenuForms(files, menus))


def _kept(key: str, make: Callable[[], _F]) -> _F:
    with _one_at_a_time:
        if key not in _forms:
            _forms[key] = make()
        _forms.move_to_end(key)
        while len(_forms) > _KEPT:
            _forms.popitem(last=False)
        found: _F = _forms[key]
        return found


def _digest(files: Mapping[str, bytes], beside: bytes) -> str:
    seen = hashlib.sha256()
    for name, data in [*sorted(files.items()), ("", beside)]:
        seen.update(f"{name}\n{len(data)}\n".encode())
        seen.update(data)
    return seen.hexdigest()
