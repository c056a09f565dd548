"""What every result carries: a status, a certificate and statistics.

A certificate is a fixed list of named checks, each recomputed from the problem alone by
``fairlot.verify``. It passes only if every required check is there, once, with a residual
that is a number not above its tolerance: an empty certificate fails, and so does NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a computation ended, as its certificate found it (never as the solver claims)."""

    CERTIFIED = "certified"
    UNCERTIFIED = "uncertified"
    ITERATION_LIMIT = "iteration_limit"
    TIME_LIMIT = "time_limit"
    INFEASIBLE = "infeasible"


@dataclass(frozen=True)
class Check:
    """One condition of a certificate.

    Parameters
    ----------
    name : str
        The condition, in a few words.
    residual : float
        By how much it is violated at worst, in the unit that its verifier documents; 0 is exact.
    tolerance : float
        The largest residual that passes.
    witness : str
        Who or what attains the residual, in plain words; empty where nothing is violated.
    """

    name: str
    residual: float
    tolerance: float
    witness: str = ""

    @property
    def passed(self) -> bool:
        """Whether the residual is a number not above the tolerance."""
        return not math.isnan(self.residual) and bool(self.residual <= self.tolerance)

    def to_dict(self) -> dict[str, Any]:
        """Return the check as in ``certificate.json``."""
        return {
            "name": self.name,
            "residual": float(self.residual) if math.isfinite(self.residual) else None,
            "tolerance": self.tolerance,
            "passed": self.passed,
            "witness": self.witness,
        }


@dataclass(frozen=True)
class Certificate:
    """The checks of one claim, against the list of those the claim requires.

    Parameters
    ----------
    required : tuple of str
        Names that must all be present, each exactly once.
    checks : tuple of Check
        What was recomputed.

    Examples
    --------
    >>> Certificate(("clearing",), (Check("clearing", 0.0, 1e-9),)).passed
    True
    >>> Certificate(("clearing",), ()).passed
    False
    >>> Certificate((), ()).passed
    False
    """

    required: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every required check is present once and every check passes."""
        names = [check.name for check in self.checks]
        return (
            bool(self.required)
            and sorted(names) == sorted(set(self.required))
            and all(check.passed for check in self.checks)
        )

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def worst(self) -> float:
        """Largest residual; NaN if any is NaN or there is none."""
        residuals = [check.residual for check in self.checks]
        return math.nan if not residuals or any(map(math.isnan, residuals)) else max(residuals)

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as in ``certificate.json``."""
        return {"passed": self.passed, "checks": [check.to_dict() for check in self.checks]}


@dataclass(frozen=True)
class Stats:
    """How a result was computed.

    Parameters
    ----------
    method : str
        Name of the road that gave the result.
    iterations : int
        Factorisations, or the unit that the method documents.
    seconds : float
        Wall time.
    parameters : mapping
        Whatever is needed to repeat the computation (tolerance, seed, ...), and counts worth knowing.
    """

    method: str
    iterations: int = 0
    seconds: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
