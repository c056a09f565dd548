"""Allocate indivisible things without money.

The public names are those of :data:`__all__`; each is imported on first use, so that what is not used costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlot.certificate import Certificate, Check, Stats, Status
    from fairlot.errors import (
        FairlotError,
        InvalidProblemError,
        Issue,
        MissingExtraError,
        NotSupportedError,
    )
    from fairlot.io.problem import problem_files, read_problem, write_problem
    from fairlot.io.results import ResultFolderError, read_result, write_result
    from fairlot.io.verification import verify_result
    from fairlot.model.constraints import Limit, Quota, Taper, by_group
    from fairlot.model.market import PseudoMarket
    from fairlot.model.shares import RandomAllocation
    from fairlot.pseudomarket.explanation import explain_agent
    from fairlot.pseudomarket.preconditions import check_market
    from fairlot.verify.equilibrium import verify_equilibrium

__version__ = "0.1.0"

_HOMES = {
    "fairlot.certificate": ("Certificate", "Check", "Stats", "Status"),
    "fairlot.errors": (
        "FairlotError",
        "InvalidProblemError",
        "Issue",
        "MissingExtraError",
        "NotSupportedError",
    ),
    "fairlot.io.problem": ("problem_files", "read_problem", "write_problem"),
    "fairlot.io.results": ("ResultFolderError", "read_result", "write_result"),
    "fairlot.io.verification": ("verify_result",),
    "fairlot.model.constraints": ("Limit", "Quota", "Taper", "by_group"),
    "fairlot.model.market": ("PseudoMarket",),
    "fairlot.model.shares": ("RandomAllocation",),
    "fairlot.pseudomarket.explanation": ("explain_agent",),
    "fairlot.pseudomarket.preconditions": ("check_market",),
    "fairlot.verify.equilibrium": ("verify_equilibrium",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Certificate",
    "Check",
    "FairlotError",
    "InvalidProblemError",
    "Issue",
    "Limit",
    "MissingExtraError",
    "NotSupportedError",
    "PseudoMarket",
    "Quota",
    "RandomAllocation",
    "ResultFolderError",
    "Stats",
    "Status",
    "Taper",
    "by_group",
    "check_market",
    "explain_agent",
    "problem_files",
    "read_problem",
    "read_result",
    "verify_equilibrium",
    "verify_result",
    "write_problem",
    "write_result",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'fairlot' has no attribute '{name}'"
        raise AttributeError(msg)
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
