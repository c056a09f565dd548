"""Allocate indivisible things without money.

The public names are those of :data:`__all__`; each is imported on first use, so that what is not used costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlot.baselines.comparison import compare_mechanisms
    from fairlot.certificate import Certificate, Check, Stats, Status
    from fairlot.errors import FairlotError, InvalidProblemError, Issue, MissingExtraError, NotSupportedError
    from fairlot.io.equilibrium import PublishedEquilibrium, equilibrium_files, read_equilibrium
    from fairlot.io.problem import problem_files, read_problem, write_problem
    from fairlot.io.results import ResultFolderError, add_to_result, read_result, write_result
    from fairlot.io.verification import verify_result
    from fairlot.lottery.atoms import draw_bundles
    from fairlot.lottery.build import lottery_from_shares, market_lottery
    from fairlot.lottery.cells import CellSet
    from fairlot.lottery.decomposition import decompose
    from fairlot.lottery.guarantee import utility_guarantee
    from fairlot.lottery.protocol import commit, draw
    from fairlot.lottery.sampling import sample
    from fairlot.model.beliefs import Beliefs
    from fairlot.model.bundle_lotteries import BundleLottery
    from fairlot.model.conflicts import Conflict, Meeting, meeting_conflict
    from fairlot.model.constraints import Limit, Quota, Taper, by_group
    from fairlot.model.economies import FiatEconomy, QuasilinearEconomy
    from fairlot.model.lotteries import Assignment, Decomposition, Lottery
    from fairlot.model.market import PseudoMarket
    from fairlot.model.menus import Menu, Menus, Ray
    from fairlot.model.shares import RandomAllocation
    from fairlot.model.tasks import Caps, ReallocationProblem
    from fairlot.model.valuations import (
        Additive,
        AssignmentValuation,
        Bound,
        Cardinality,
        Constrained,
        Convolution,
        Endowment,
        GraphicMatroid,
        LaminarConcave,
        LaminarMatroid,
        LinearMatroid,
        LowerBound,
        Oracle,
        Restriction,
        Satiation,
        Scaling,
        Table,
        TransversalMatroid,
        UniformMatroid,
        UnitDemand,
        Valuation,
        WeightedRank,
    )
    from fairlot.progress import NullReporter, Reporter, RichReporter
    from fairlot.pseudomarket.bundles.equilibrium import EconomyEquilibrium
    from fairlot.pseudomarket.bundles.families import EquilibriumSet, equilibrium_set
    from fairlot.pseudomarket.bundles.implement import implement
    from fairlot.pseudomarket.bundles.solve import solve_economy
    from fairlot.pseudomarket.deterministic import deterministic_equilibria
    from fairlot.pseudomarket.enumeration import Equilibria, find_equilibria
    from fairlot.pseudomarket.equilibrium import Equilibrium
    from fairlot.pseudomarket.explanation import Explanation, explain_agent
    from fairlot.pseudomarket.preconditions import check_market, feasible_assignment
    from fairlot.pseudomarket.quasilinear import follow_limit, solve_kelso_crawford, walrasian_prices
    from fairlot.pseudomarket.solve import solve_equilibrium
    from fairlot.pseudomarket.timetable.solve import solve_timetable
    from fairlot.pseudomarket.trace import PathRecorder
    from fairlot.reallocation.design import design_menus
    from fairlot.reallocation.explanation import explain_member
    from fairlot.reallocation.outcome import reallocate
    from fairlot.reallocation.simulation import simulate
    from fairlot.reallocation.support.support import SupportFunction, support_function
    from fairlot.reallocation.value.choice import value_of_choice
    from fairlot.simulation.budgets import simulate_budgets
    from fairlot.simulation.misreports import simulate_misreports
    from fairlot.simulation.preferences import simulate_preferences
    from fairlot.simulation.withdrawal import simulate_withdrawals
    from fairlot.verify.deterministic import verify_deterministic
    from fairlot.verify.economies import verify_walrasian
    from fairlot.verify.equilibrium import verify_equilibrium
    from fairlot.verify.intervals import verify_enclosure
    from fairlot.verify.lottery import verify_assignment, verify_decomposition, verify_lottery
    from fairlot.verify.quasilinear import verify_kelso_crawford
    from fairlot.verify.reallocation import verify_menus, verify_outcome
    from fairlot.verify.support import verify_support
    from fairlot.verify.transcript import verify_draw
    from fairlot.verify.valuations import verify_constraint, verify_substitutes, verify_valuation

__version__ = "0.1.0"

_HOMES = {
    "fairlot.baselines.comparison": ("compare_mechanisms",),
    "fairlot.lottery.atoms": ("draw_bundles",),
    "fairlot.model.bundle_lotteries": ("BundleLottery",),
    "fairlot.pseudomarket.bundles.equilibrium": ("EconomyEquilibrium",),
    "fairlot.pseudomarket.bundles.families": (
        "EquilibriumSet",
        "equilibrium_set",
    ),
    "fairlot.pseudomarket.bundles.implement": ("implement",),
    "fairlot.pseudomarket.bundles.solve": ("solve_economy",),
    "fairlot.pseudomarket.deterministic": ("deterministic_equilibria",),
    "fairlot.verify.deterministic": ("verify_deterministic",),
    "fairlot.verify.economies": ("verify_walrasian",),
    "fairlot.verify.intervals": ("verify_enclosure",),
    "fairlot.verify.quasilinear": ("verify_kelso_crawford",),
    "fairlot.verify.valuations": (
        "verify_constraint",
        "verify_substitutes",
        "verify_valuation",
    ),
    "fairlot.pseudomarket.quasilinear": (
        "follow_limit",
        "solve_kelso_crawford",
        "walrasian_prices",
    ),
    "fairlot.model.economies": (
        "FiatEconomy",
        "QuasilinearEconomy",
    ),
    "fairlot.model.valuations": (
        "Additive",
        "AssignmentValuation",
        "Bound",
        "Cardinality",
        "Constrained",
        "Convolution",
        "Endowment",
        "GraphicMatroid",
        "LaminarConcave",
        "LaminarMatroid",
        "LinearMatroid",
        "LowerBound",
        "Oracle",
        "Restriction",
        "Satiation",
        "Scaling",
        "Table",
        "TransversalMatroid",
        "UniformMatroid",
        "UnitDemand",
        "Valuation",
        "WeightedRank",
    ),
    "fairlot.certificate": (
        "Certificate",
        "Check",
        "Stats",
        "Status",
    ),
    "fairlot.errors": (
        "FairlotError",
        "InvalidProblemError",
        "Issue",
        "MissingExtraError",
        "NotSupportedError",
    ),
    "fairlot.io.equilibrium": (
        "PublishedEquilibrium",
        "equilibrium_files",
        "read_equilibrium",
    ),
    "fairlot.io.problem": (
        "problem_files",
        "read_problem",
        "write_problem",
    ),
    "fairlot.io.results": (
        "ResultFolderError",
        "add_to_result",
        "read_result",
        "write_result",
    ),
    "fairlot.io.verification": ("verify_result",),
    "fairlot.lottery.build": (
        "lottery_from_shares",
        "market_lottery",
    ),
    "fairlot.lottery.cells": ("CellSet",),
    "fairlot.lottery.decomposition": ("decompose",),
    "fairlot.lottery.guarantee": ("utility_guarantee",),
    "fairlot.lottery.protocol": (
        "commit",
        "draw",
    ),
    "fairlot.lottery.sampling": ("sample",),
    "fairlot.model.conflicts": (
        "Conflict",
        "Meeting",
        "meeting_conflict",
    ),
    "fairlot.model.constraints": (
        "Limit",
        "Quota",
        "Taper",
        "by_group",
    ),
    "fairlot.model.lotteries": (
        "Assignment",
        "Decomposition",
        "Lottery",
    ),
    "fairlot.model.market": ("PseudoMarket",),
    "fairlot.model.shares": ("RandomAllocation",),
    "fairlot.progress": (
        "NullReporter",
        "Reporter",
        "RichReporter",
    ),
    "fairlot.pseudomarket.enumeration": (
        "Equilibria",
        "find_equilibria",
    ),
    "fairlot.pseudomarket.equilibrium": ("Equilibrium",),
    "fairlot.pseudomarket.explanation": (
        "Explanation",
        "explain_agent",
    ),
    "fairlot.pseudomarket.preconditions": (
        "check_market",
        "feasible_assignment",
    ),
    "fairlot.pseudomarket.solve": ("solve_equilibrium",),
    "fairlot.pseudomarket.timetable.solve": ("solve_timetable",),
    "fairlot.pseudomarket.trace": ("PathRecorder",),
    "fairlot.verify.equilibrium": ("verify_equilibrium",),
    "fairlot.verify.lottery": (
        "verify_assignment",
        "verify_decomposition",
        "verify_lottery",
    ),
    "fairlot.verify.support": ("verify_support",),
    "fairlot.verify.transcript": ("verify_draw",),
    "fairlot.model.tasks": (
        "Caps",
        "ReallocationProblem",
    ),
    "fairlot.model.beliefs": ("Beliefs",),
    "fairlot.model.menus": (
        "Menu",
        "Menus",
        "Ray",
    ),
    "fairlot.reallocation.design": ("design_menus",),
    "fairlot.reallocation.explanation": ("explain_member",),
    "fairlot.reallocation.outcome": ("reallocate",),
    "fairlot.reallocation.simulation": ("simulate",),
    "fairlot.simulation.budgets": ("simulate_budgets",),
    "fairlot.simulation.misreports": ("simulate_misreports",),
    "fairlot.simulation.preferences": ("simulate_preferences",),
    "fairlot.simulation.withdrawal": ("simulate_withdrawals",),
    "fairlot.reallocation.support.support": (
        "SupportFunction",
        "support_function",
    ),
    "fairlot.reallocation.value.choice": ("value_of_choice",),
    "fairlot.verify.reallocation": (
        "verify_menus",
        "verify_outcome",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Additive",
    "Assignment",
    "AssignmentValuation",
    "Beliefs",
    "Bound",
    "BundleLottery",
    "Caps",
    "Cardinality",
    "CellSet",
    "Certificate",
    "Check",
    "Conflict",
    "Constrained",
    "Convolution",
    "Decomposition",
    "EconomyEquilibrium",
    "Endowment",
    "Equilibria",
    "Equilibrium",
    "EquilibriumSet",
    "Explanation",
    "FairlotError",
    "FiatEconomy",
    "GraphicMatroid",
    "InvalidProblemError",
    "Issue",
    "LaminarConcave",
    "LaminarMatroid",
    "Limit",
    "LinearMatroid",
    "Lottery",
    "LowerBound",
    "Meeting",
    "Menu",
    "Menus",
    "MissingExtraError",
    "NotSupportedError",
    "NullReporter",
    "Oracle",
    "PathRecorder",
    "PseudoMarket",
    "PublishedEquilibrium",
    "QuasilinearEconomy",
    "Quota",
    "RandomAllocation",
    "Ray",
    "ReallocationProblem",
    "Reporter",
    "Restriction",
    "ResultFolderError",
    "RichReporter",
    "Satiation",
    "Scaling",
    "Stats",
    "Status",
    "SupportFunction",
    "Table",
    "Taper",
    "TransversalMatroid",
    "UniformMatroid",
    "UnitDemand",
    "Valuation",
    "WeightedRank",
    "add_to_result",
    "by_group",
    "check_market",
    "commit",
    "compare_mechanisms",
    "decompose",
    "design_menus",
    "deterministic_equilibria",
    "draw",
    "draw_bundles",
    "equilibrium_files",
    "equilibrium_set",
    "explain_agent",
    "explain_member",
    "feasible_assignment",
    "find_equilibria",
    "follow_limit",
    "implement",
    "lottery_from_shares",
    "market_lottery",
    "meeting_conflict",
    "problem_files",
    "read_equilibrium",
    "read_problem",
    "read_result",
    "reallocate",
    "sample",
    "simulate",
    "simulate_budgets",
    "simulate_misreports",
    "simulate_preferences",
    "simulate_withdrawals",
    "solve_economy",
    "solve_equilibrium",
    "solve_kelso_crawford",
    "solve_timetable",
    "support_function",
    "utility_guarantee",
    "value_of_choice",
    "verify_assignment",
    "verify_constraint",
    "verify_decomposition",
    "verify_deterministic",
    "verify_draw",
    "verify_enclosure",
    "verify_equilibrium",
    "verify_kelso_crawford",
    "verify_lottery",
    "verify_menus",
    "verify_outcome",
    "verify_result",
    "verify_substitutes",
    "verify_support",
    "verify_valuation",
    "verify_walrasian",
    "walrasian_prices",
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
