"""A seed from officials and dice, for a draw without the network.

1. Each official picks a number of 64 hexadecimal digits in secret and announces only its *seal*, a hash of
   commitment, name and number. All seals are published.
2. Dice are rolled in public, at least twenty.
3. Each official reveals her number; everyone can check it against her seal.

The public seed is the hash of commitment, dice, names and numbers. It is beyond anyone's control if the dice
are fair *or* one official is honest: before the dice everyone is bound, and after them nobody can
change a number, only refuse to reveal it. A refusal aborts the draw and stays on record with a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fairlot.lottery.protocol.canonical import canonical_json, digest, fields
from fairlot.lottery.protocol.seeds import DrawRefusedError, Source
from fairlot.verify.draw import CEREMONY, HASH, TRANSCRIPT, Fault, fits, read

MIN_DICE = 20
_SHAPE = {"format": 1, "commitment": HASH, "origin": TRANSCRIPT["origin"]}


def seal(commitment: str, official: str, number: str) -> str:
    """Return what an official announces before she reveals her number.

    Parameters
    ----------
    commitment : str
        The published hash, 64 hexadecimal digits.
    official : str
        Her name, as everyone will write it.
    number : str
        64 lower-case hexadecimal digits that nobody can guess.

    Examples
    --------
    >>> seal("0" * 64, "Ann", "1" * 64)[:16]
    '7b5b6efdcb9cdd69'
    """
    if not fits(number, HASH):
        msg = "a number of a ceremony is 64 digits of 0-9 and a-f"
        raise DrawRefusedError(msg)
    return digest(fields([CEREMONY, "seal", commitment, official, number]))


@dataclass(frozen=True)
class Official:
    """One who takes part in a ceremony.

    Parameters
    ----------
    name : str
        Who.
    seal : str
        The hash of her number, 64 hexadecimal digits.
    number : str, optional
        Her number, once revealed.
    """

    name: str
    seal: str
    number: str | None = None


@dataclass(frozen=True)
class Ceremony:
    """A ceremony so far.

    Parameters
    ----------
    commitment : str
        The draw it is held for.
    officials : tuple of Official
        In the order in which they are hashed.
    dice : str, optional
        Digits 1 to 6, once rolled.

    Examples
    --------
    >>> ann = "1" * 64
    >>> ceremony = Ceremony.begin("0" * 64, {"Ann": seal("0" * 64, "Ann", ann)})
    >>> ceremony = ceremony.roll("12345612345612345612").reveal("Ann", ann)
    >>> ceremony.complete
    True
    """

    commitment: str
    officials: tuple[Official, ...]
    dice: str | None = None

    @classmethod
    def begin(cls, commitment: str, seals: Mapping[str, str]) -> Ceremony:
        """Open a ceremony with the seals of all officials, in order."""
        bad = [name for name, value in seals.items() if not name or not fits(value, HASH)]
        if bad or not seals or not fits(commitment, HASH):
            found = ", ".join(bad) or "none"
            msg = f"every official needs a name and a seal of 64 digits of 0-9 and a-f; not so: {found}"
            raise DrawRefusedError(msg)
        return cls(commitment, tuple(Official(name, value) for name, value in seals.items()))

    def roll(self, dice: str) -> Ceremony:
        """Record the public dice; spaces are passed over."""
        rolled = re.sub(r"[\s,]", "", dice)
        if self.dice is not None:
            msg = "the dice have been rolled already"
            raise DrawRefusedError(msg)
        if not re.fullmatch(f"[1-6]{{{MIN_DICE},}}", rolled):
            msg = f"dice are at least {MIN_DICE} digits from 1 to 6: found {len(rolled)} characters"
            raise DrawRefusedError(msg)
        return replace(self, dice=rolled)

    def reveal(self, name: str, number: str) -> Ceremony:
        """Record an official's number."""
        if self.dice is None:
            msg = "numbers are revealed after the dice are rolled"
            raise DrawRefusedError(msg)
        official = next((o for o in self.officials if o.name == name), None)
        if official is None:
            msg = f"{name} is not an official of this ceremony"
            raise DrawRefusedError(msg)
        if seal(self.commitment, name, number) != official.seal:
            msg = f"this is not the number that {name} sealed"
            raise DrawRefusedError(msg)
        opened = replace(official, number=number)
        return replace(self, officials=tuple(opened if o is official else o for o in self.officials))

    @property
    def waiting(self) -> tuple[str, ...]:
        """Officials who have not revealed their numbers."""
        return tuple(o.name for o in self.officials if o.number is None)

    @property
    def complete(self) -> bool:
        """Whether dice and all numbers are there."""
        return self.dice is not None and not self.waiting

    @property
    def public_seed(self) -> bytes:
        """The seed, once the ceremony is complete."""
        if self.dice is None or self.waiting:
            missing = "the dice" if self.dice is None else ", ".join(self.waiting)
            msg = f"the ceremony is not complete: it waits for {missing}"
            raise DrawRefusedError(msg)
        texts = [CEREMONY, "seed", self.commitment, self.dice]
        for official in self.officials:
            texts += [official.name, official.number or ""]
        return bytes.fromhex(digest(fields(texts)))

    @property
    def source(self) -> Source:
        """The announcement of these officials."""
        return Source("ceremony", officials=tuple(o.name for o in self.officials))

    def origin(self) -> dict[str, Any]:
        """Return dice, seals and numbers as in ``transcript.json``."""
        rows = [[o.name, o.seal, o.number] for o in self.officials]
        return {"kind": "ceremony", "dice": self.dice, "officials": rows}

    def check(self, commitment: str) -> None:
        """Refuse a ceremony held for another commitment."""
        if commitment != self.commitment:
            msg = "the ceremony was held for another commitment"
            raise DrawRefusedError(msg)

    def to_json(self) -> bytes:
        """Write ``ceremony.json``, which keeps an unfinished ceremony."""
        return canonical_json({"format": 1, "commitment": self.commitment, "origin": self.origin()})

    @classmethod
    def from_json(cls, data: bytes) -> Ceremony:
        """Read ``ceremony.json``; numbers are checked against their seals again."""
        try:
            document = read({"ceremony.json": data}, "ceremony.json", _SHAPE)
        except Fault as fault:
            raise DrawRefusedError(str(fault)) from None
        origin = document["origin"]
        if origin["kind"] != "ceremony":
            msg = "ceremony.json is not of a ceremony"
            raise DrawRefusedError(msg)
        ceremony = cls.begin(document["commitment"], {name: value for name, value, _ in origin["officials"]})
        if origin["dice"] is not None:
            ceremony = ceremony.roll(origin["dice"])
        for name, _, number in origin["officials"]:
            if number is not None:
                ceremony = ceremony.reveal(name, number)
        return ceremony
