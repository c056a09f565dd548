"""Where a draw's public seed comes from.

The commitment fixes everything a draw depends on but the seed. The seed must be one that nobody could know
when the commitment was published, and nobody could choose afterwards. Three sources:

- a round of the public beacon *drand*, announced by number before it is signed (:class:`DrandRound`);
- a ceremony of officials and public dice (:class:`~fairlot.lottery.protocol.ceremony.Ceremony`);
- any 32 bytes, whose origin witnesses must vouch for (:class:`GivenSeed`).

A commitment that announces its source leaves no choice of the seed at all; one that leaves it open allows
any.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fairlot.errors import FairlotError
from fairlot.verify import beacon
from fairlot.verify.draw import QUICKNET

SEED_BYTES = 32


class DrawRefusedError(FairlotError, ValueError):
    """A step of the draw protocol out of order, or with something that does not fit what came before."""


@dataclass(frozen=True)
class Source:
    """What a commitment announces about the seed.

    Parameters
    ----------
    kind : "open", "drand" or "ceremony"
        Nothing, a round of drand's chain quicknet, or a ceremony.
    round : int, optional
        The round of drand.
    officials : tuple of str
        Who takes part in the ceremony, in order.

    Examples
    --------
    >>> print(Source("drand", round=1000))
    round 1000 of drand
    """

    kind: Literal["open", "drand", "ceremony"] = "open"
    round: int | None = None
    officials: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("open", "drand", "ceremony"):
            msg = f"unknown source of the seed: {self.kind!r}"
            raise DrawRefusedError(msg)
        in_range = self.round is None or 1 <= self.round < 2**53
        if (self.kind == "drand") != (self.round is not None) or not in_range:
            msg = f"a drand source, and no other, has a round of at least 1: found {self.round}"
            raise DrawRefusedError(msg)
        distinct = len(set(self.officials)) == len(self.officials) and all(self.officials)
        if (self.kind == "ceremony") != bool(self.officials) or not distinct:
            msg = f"a ceremony, and no other source, has officials, each by one name: found {self.officials}"
            raise DrawRefusedError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return the source as in ``commitment.json``."""
        if self.kind == "drand":
            return {"kind": self.kind, "chain": QUICKNET, "round": self.round}
        if self.kind == "ceremony":
            return {"kind": self.kind, "officials": list(self.officials)}
        return {"kind": self.kind}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Source:
        """Read what :meth:`to_dict` wrote."""
        return cls(document["kind"], document.get("round"), tuple(document.get("officials", ())))

    def __str__(self) -> str:
        if self.kind == "drand":
            return f"round {self.round} of drand"
        return (
            f"a ceremony of {', '.join(self.officials)}"
            if self.kind == "ceremony"
            else "no source in particular"
        )

    def allows(self, other: Source) -> bool:
        """Tell whether a seed from another source may be drawn with after announcing this one."""
        return self.kind == "open" or self == other


OPEN = Source()
"""Nothing is announced: any seed may come."""


class Seed(Protocol):
    """A public seed and the evidence of where it came from."""

    @property
    def public_seed(self) -> bytes:
        """The 32 bytes."""

    @property
    def source(self) -> Source:
        """The announcement that this seed fulfils."""

    def origin(self) -> dict[str, Any]:
        """Return the evidence as in ``transcript.json``."""

    def check(self, commitment: str) -> None:
        """Refuse a seed that is not genuine, or not one for this commitment."""


@dataclass(frozen=True)
class GivenSeed:
    """A public seed whose origin is for witnesses to vouch for.

    Parameters
    ----------
    public_seed : bytes
        32 bytes.
    """

    public_seed: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.public_seed, bytes) or len(self.public_seed) != SEED_BYTES:
            msg = f"a public seed is {SEED_BYTES} bytes (64 hexadecimal digits)"
            raise DrawRefusedError(msg)

    @property
    def source(self) -> Source:
        """An open source."""
        return OPEN

    def origin(self) -> dict[str, Any]:
        """Return the evidence: none."""
        return {"kind": "given"}

    def check(self, commitment: str) -> None:
        """Accept: nothing can be checked."""


@dataclass(frozen=True)
class DrandRound:
    """A round of drand's chain quicknet.

    Parameters
    ----------
    round : int
        Its number.
    signature : bytes
        48 bytes, as any drand relay hands them out.
    """

    round: int
    signature: bytes

    @property
    def public_seed(self) -> bytes:
        """The round's randomness."""
        return hashlib.sha256(self.signature).digest()

    @property
    def source(self) -> Source:
        """The announcement of this round."""
        return Source("drand", round=self.round)

    def origin(self) -> dict[str, Any]:
        """Return the evidence: round and signature."""
        return {**self.source.to_dict(), "signature": self.signature.hex()}

    def check(self, commitment: str) -> None:
        """Refuse a signature that is not drand's.

        Raises
        ------
        DrawRefusedError
            If it is not.
        MissingExtraError
            If the library that tells is not installed: an unchecked seed is never drawn with.
        """
        if not beacon.is_genuine(self.round, self.signature):
            msg = f"this is not drand's signature of round {self.round} of the chain quicknet"
            raise DrawRefusedError(msg)
