r"""Small economies of agents with valuations of bundles.

The pseudo-market :math:`\mathcal E = \{(u_i, b_i)\}` has **fiat money**, worth nothing outside: an agent
maximises expected :math:`u_i` within her budget. In a **quasilinear** (Kelso–Crawford) economy money is a
divisible good, :math:`U_i(A, m) = u_i(A) + m`, of which every agent has plenty, or, in a *constrained*
one, :math:`b_i`. :math:`\mathcal E_n = \{(n u_i, b_i)\}` leads from the second to the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.valuations.base import Valuation
from fairlot.model.valuations.bounds import Bound, check_hierarchy
from fairlot.model.valuations.expressions import Expression, Number, finite


def _same_goods(valuations: tuple[Any, ...]) -> list[Issue]:
    if not valuations:
        return [Issue("valuations", found="none", expected="one per agent")]
    issues = [
        Issue(f"valuation of agent {i}", found=repr(u), expected="a Valuation")
        for i, u in enumerate(valuations)
        if not isinstance(u, Valuation)
    ]
    if issues:
        return issues
    n_goods = valuations[0].n_goods
    return [
        Issue(f"valuation of agent {i}", found=f"{u.n_goods} goods", expected=f"{n_goods}, as for agent 0")
        for i, u in enumerate(valuations)
        if u.n_goods != n_goods
    ]


def _budgets(given: Any, n_agents: int, issues: list[Issue]) -> tuple[Number, ...]:
    """One positive number per agent, or one for all."""
    listed = tuple(given) if hasattr(given, "__iter__") else (given,) * n_agents
    try:
        budgets = tuple(finite(b, f"budget of agent {i}") for i, b in enumerate(listed))
    except InvalidProblemError as error:
        issues.extend(error.issues)
        return ()
    if len(budgets) != n_agents:
        issues.append(Issue("budgets", found=f"{len(budgets)}", expected=f"{n_agents}, one per agent"))
    issues.extend(
        Issue(f"budget of agent {i}", found=str(b), expected="more than 0")
        for i, b in enumerate(budgets)
        if b <= 0
    )
    return budgets


@dataclass(frozen=True)
class FiatEconomy(Expression):
    r"""A pseudo-market :math:`\{(u_i, b_i)\}` in which there is one of each good.

    Parameters
    ----------
    valuations : sequence of Valuation
        u_i, all on the same goods.
    budgets : sequence of numbers, or one number for all
        b_i > 0 of fiat money.
    limits : sequence of Bound
        Aggregate limits :math:`(A_k, h_k)`: how many goods of a set may be consumed by all agents
        together; upper bounds only, on a hierarchy. None: everything is available.

    Raises
    ------
    InvalidProblemError
        Listing every fault found.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> economy = FiatEconomy([UnitDemand([3, 1]), UnitDemand([2, 1])], budgets=1)
    >>> economy.n_agents, economy.n_goods, economy.budgets
    (2, 2, (1, 1))
    """

    kind: ClassVar[str] = "fiat-economy"
    valuations: tuple[Valuation, ...]
    budgets: tuple[Number, ...]
    limits: tuple[Bound, ...] = ()

    def __post_init__(self) -> None:
        self._set(valuations=tuple(self.valuations), limits=tuple(self.limits))
        issues = _same_goods(self.valuations)
        self._set(budgets=_budgets(self.budgets, len(self.valuations), issues))
        if not issues:
            issues += check_hierarchy(self.limits, self.n_goods, "limit")
        for k, limit in enumerate(self.limits):
            if limit.lower or limit.upper is None:
                found = f"from {limit.lower} to {limit.upper}"
                issues.append(Issue(f"limit {k}", found=found, expected="an upper bound and no lower bound"))
        if issues:
            raise InvalidProblemError(issues)

    @property
    def n_agents(self) -> int:
        """Number of agents."""
        return len(self.valuations)

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.valuations[0].n_goods


@dataclass(frozen=True)
class QuasilinearEconomy(Expression):
    r"""A Kelso–Crawford economy :math:`U_i(A, m) = u_i(A) + m`; with budgets, a constrained one.

    Parameters
    ----------
    valuations : sequence of Valuation
        u_i, all on the same goods.
    budgets : sequence of numbers, or one number for all, optional
        b_i > 0, what each agent has of the divisible good; None: plenty.

    Raises
    ------
    InvalidProblemError
        Listing every fault found.

    References
    ----------
    Kelso, A. S. and V. P. Crawford (1982), "Job matching, coalition formation, and gross substitutes",
    Econometrica 50.

    Examples
    --------
    >>> from fairlot.model.valuations import Additive
    >>> QuasilinearEconomy([Additive([3, 1])], budgets=[2]).constrained
    True
    """

    kind: ClassVar[str] = "quasilinear-economy"
    valuations: tuple[Valuation, ...]
    budgets: tuple[Number, ...] | None = None

    def __post_init__(self) -> None:
        self._set(valuations=tuple(self.valuations))
        issues = _same_goods(self.valuations)
        if self.budgets is not None:
            self._set(budgets=_budgets(self.budgets, len(self.valuations), issues))
        if issues:
            raise InvalidProblemError(issues)

    @property
    def n_agents(self) -> int:
        """Number of agents."""
        return len(self.valuations)

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.valuations[0].n_goods

    @property
    def constrained(self) -> bool:
        """Whether agents have budgets."""
        return self.budgets is not None
