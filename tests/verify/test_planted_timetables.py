"""For every check of a timetable's certificate, and of its lottery's, a wrong answer that fails just that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fairlot.lottery.terms import lottery_of_terms
from fairlot.model.conflicts import Conflict
from fairlot.model.constraints import Limit, Quota
from fairlot.model.lotteries import Lottery
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.verify.timetable import REQUIRED, REQUIRED_OF_TERMS, verify_terms, verify_timetable

Terms = Sequence[tuple[float, ArrayLike]]
"""Probabilities of assignments, each of shape (n_agents, n_goods)."""


def shares_of(market: PseudoMarket, copies: ArrayLike) -> RandomAllocation:
    return RandomAllocation(market.agents, market.goods, sp.csr_array(np.array(copies, dtype=float)))


def mean_of(terms: Terms) -> np.ndarray:
    return np.sum([weight * np.array(copies, dtype=float) for weight, copies in terms], axis=0)


def lottery_over(market: PseudoMarket, terms: Terms) -> Lottery:
    """Write terms as a lottery without asking whether they respect anything."""
    anything = PseudoMarket.from_arrays(
        np.ones((market.n_agents, market.n_goods)),
        1000,
        per_agent=9,
        agents=market.agents,
        goods=market.goods,
    )
    copies = np.array([np.array(term, dtype=np.int64).ravel() for _, term in terms])
    weights = np.array([weight for weight, _ in terms])
    return lottery_of_terms(anything, weights, np.arange(copies.shape[1]), copies)


def timetable(
    values: ArrayLike, capacities: ArrayLike, budgets: ArrayLike = 1.0, least: int = 0
) -> PseudoMarket:
    """One copy each, and two classes at the same time: the conflict alone makes it a timetable."""
    conflict = Conflict("noon", [("good1", "good2")])
    quotas = [Quota("one", min=least, max=1)]
    market = PseudoMarket.from_arrays(values, capacities, budgets, quotas=quotas, conflicts=[conflict])
    assert market.crossings
    return market


def failed(
    market: PseudoMarket,
    prices: Sequence[float],
    terms: Terms,
    shares: ArrayLike | None = None,
    tol: float = 1e-9,
) -> list[str]:
    held = shares_of(market, mean_of(terms) if shares is None else shares)
    found = verify_timetable(
        market, np.array(prices, dtype=float), held, lottery_over(market, terms), tol=tol
    )
    assert found.required == REQUIRED
    assert all(check.witness for check in found.failed)
    return [check.name for check in found.failed]


def hylland_zeckhauser(budgets: ArrayLike = 1.0) -> PseudoMarket:
    return timetable([[100, 20, 0], [100, 20, 0], [100, 80, 0]], 1, budgets)


HALVES: Terms = [(0.5, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]), (0.5, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])]
DIFFERENT = [[1, 0], [0, 1]]


def must_take_one() -> PseudoMarket:
    """Both must take a class, and both prefer the second; at 0.9 and 1.1 one gets it at 0.6, one at 0.4."""
    return timetable([[0, 1], [0, 1]], 1, [1.02, 0.98], least=1)


def test_exact_equilibria() -> None:
    assert failed(hylland_zeckhauser(), [2, 1, 0], HALVES) == []
    terms = [(0.6, [[0, 1], [1, 0]]), (0.4, [[1, 0], [0, 1]])]
    assert failed(must_take_one(), [0.9, 1.1], terms) == []


PLANTED: dict[str, Callable[[], list[str]]] = {
    "prices": lambda: failed(hylland_zeckhauser(), [2, 1, -0.5], HALVES),
    # Shares beyond the quota, while the terms are within it.
    "quotas": lambda: failed(
        timetable([[3, 1], [1, 3]], 3), [0, 0], [(1, DIFFERENT)], shares=[[1, 0.25], [0, 1]]
    ),
    "supply": lambda: failed(timetable([[1, 0], [1, 0]], [1, 2]), [0, 0], [(1, [[1, 0], [1, 0]])]),
    # Price and slack too large to pass, their product too small to matter to welfare.
    "clearing": lambda: failed(
        timetable([[1, np.nan]] * 3, [3, 1]), [0, 2e-9], [(1, [[1, 0], [1, 0], [1, 0]])]
    ),
    "over-spending": lambda: failed(hylland_zeckhauser([1, 1, 0.99]), [2, 1, 0], HALVES),
    # The dear class is better by less than the tolerance, but better.
    "unspent money": lambda: failed(timetable([[1, 1 + 1e-10], [0, 1]], 1, [1, 2]), [0, 2], [(1, DIFFERENT)]),
    # The first holds the better class with 0.54 in place of 0.6: a tenth of her utility, and little money.
    "utility gap": lambda: failed(
        must_take_one(),
        [0.9, 1.1],
        [(0.54, [[0, 1], [1, 0]]), (0.4, [[1, 0], [0, 1]]), (0.06, [[1, 0], [1, 0]])],
        tol=0.08,
    ),
    # Shares have the second pay for what the terms give her free.
    "cheapness": lambda: failed(
        timetable([[1, 1, np.nan], [1, 1, np.nan], *[[np.nan, np.nan, 1]] * 8], [1, 1, 4]),
        [0, 0.1, 2],
        [
            (0.5, [[1, 0, 0], [1, 0, 0], *[[0, 0, 1]] * 4, *[[0, 0, 0]] * 4]),
            (0.5, [[1, 0, 0], [1, 0, 0], *[[0, 0, 0]] * 4, *[[0, 0, 1]] * 4]),
        ],
        shares=[[1, 0, 0], [0, 1, 0], *[[0, 0, 0.5]] * 8],
        tol=0.05,
    ),
    # A price that is nothing to anybody, on a thousand idle copies, is worth something.
    "weighted welfare": lambda: failed(timetable([[1, np.nan]], [1, 1000]), [0, 0.9e-9], [(1, [[1, 0]])]),
    # One falls short of what she can afford, one spends too much, each by less than the tolerance.
    "envy": lambda: failed(
        timetable([[1, 0], [1, 0]], [1, 2]),
        [2, 0],
        [(0.46, [[1, 0], [0, 1]]), (0.54, [[0, 1], [1, 0]])],
        tol=0.1,
    ),
    # Once in a thousand draws she gets the worse of two free classes.
    "terms optimal": lambda: failed(
        timetable([[3, 2]], 1), [0, 0], [(0.999, [[1, 0]]), (0.001, [[0, 1]])], tol=0.01
    ),
}


@pytest.mark.parametrize("check", REQUIRED)
def test_each_check_fails_alone(check: str) -> None:
    assert PLANTED[check]() == [check]


def test_nothing_passes_without_finite_numbers() -> None:
    assert failed(hylland_zeckhauser(), [np.nan, 1, 0], HALVES) == list(REQUIRED)


# --- The lottery


GIVEN: Terms = [(0.75, [[1, 0, 1], [0, 1, 0]]), (0.25, [[0, 1, 0], [1, 0, 1]])]


def lax() -> PseudoMarket:
    """What GIVEN respects: two agents, three classes, and bounds that cross."""
    quotas = [Quota("a", ["good1", "good2"], max=1), Quota("b", ["good2", "good3"], max=1)]
    return PseudoMarket.from_arrays(np.ones((2, 3)), 1, quotas=quotas)


def broken(
    market: PseudoMarket, lottery: Lottery | None = None, shares: ArrayLike | None = None
) -> list[str]:
    lottery = lottery_over(market, GIVEN) if lottery is None else lottery
    found = verify_terms(market, lottery, shares_of(market, mean_of(GIVEN) if shares is None else shares))
    assert found.required == REQUIRED_OF_TERMS
    assert all(check.witness for check in found.failed)
    return [check.name for check in found.failed]


def test_a_lottery_within_all_bounds() -> None:
    assert broken(lax()) == []


def one_weight_more() -> Lottery:
    """Add 2^-52 to a weight: to the expectations that is rounding. No reader accepts such a file."""
    lottery = lottery_over(lax(), GIVEN)
    assert lottery.terms is not None
    weights = lottery.terms.weights + np.array([1, 0])
    object.__setattr__(lottery, "terms", replace(lottery.terms, weights=weights))
    return lottery


def other_ids() -> PseudoMarket:
    return replace(lax(), agents=("agent1", "agent3"))


PLANTED_TERMS: dict[str, Callable[[], list[str]]] = {
    "weights": lambda: broken(lax(), one_weight_more()),
    "expectations": lambda: broken(lax(), shares=mean_of(GIVEN) + np.array([[1e-12, 0, 0], [0, 0, 0]])),
    "acceptable pairs": lambda: broken(
        replace(lax(), values=PseudoMarket.from_arrays([[1, 1, 1], [1, 1, np.nan]], 1).values)
    ),
    "quotas": lambda: broken(replace(lax(), quotas=(*lax().quotas, Quota("load", max=1)))),
    "conflicts": lambda: broken(replace(lax(), conflicts=(Conflict("noon", [("good1", "good3")]),))),
    "capacities": lambda: broken(replace(lax(), capacities=np.array([1, 0, 1]))),
    "limits": lambda: broken(replace(lax(), limits=(Limit("few", 2),))),
}


@pytest.mark.parametrize("check", REQUIRED_OF_TERMS[1:])
def test_each_check_of_the_lottery_fails_alone(check: str) -> None:
    assert PLANTED_TERMS[check]() == [check]


def test_a_lottery_for_others_fails_everything() -> None:
    # Without the same ids there is nothing that the other checks could look at.
    found = verify_terms(other_ids(), lottery_over(lax(), GIVEN), shares_of(other_ids(), mean_of(GIVEN)))
    assert [check.name for check in found.failed] == list(REQUIRED_OF_TERMS)
    assert found["agents and goods"].witness == "ids of one only: agent2, agent3"


def test_a_quota_missed_in_one_term_alone() -> None:
    # One draw of four gives the second the two classes she must have, the others give her one.
    market = replace(lax(), quotas=(*lax().quotas, Quota("some", min=2, agents=["agent2"])))
    assert broken(market) == ["quotas"]


def test_how_many_conflicts_there_are() -> None:
    market = replace(lax(), conflicts=(Conflict("noon", [("good1", "good3")]),))
    found = verify_terms(market, lottery_over(market, GIVEN), shares_of(market, mean_of(GIVEN)))["conflicts"]
    assert found.residual == 2
    assert found.witness == "term 0 gives agent 'agent1' 'good1' and 'good3'"
