r"""The mechanisms for goods, by name, with what theory says of each.

A mechanism is *obviously strategy-proof* if at every choice the worst that can follow from the truth is no
worse than the best that can follow from a deviation (Li 2017). Where one is not even strategy-proof, its
witness is a market of single copies in which the first agent gains by a lie; a test plays both reports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fairlot.baselines import eating, peers, picking, programs, trading
from fairlot.baselines.outcome import Outcome, draws_of_shares
from fairlot.certificate import Status
from fairlot.model.market import PseudoMarket

Truth = Literal["obvious", "dominant", "no"]


@dataclass(frozen=True)
class Lie:
    """A market of single copies in which the first agent gains by a false report.

    Parameters
    ----------
    values : tuple of tuple of float
        Row i: agent i's values; 0 is unacceptable.
    report : tuple of float
        What the first agent says instead.
    single : bool
        Whether every agent gets at most one copy.
    honest, lying : float
        Her expected utility by either report, to two decimals; where equilibria are many, in one of them.
    """

    values: tuple[tuple[float, ...], ...]
    report: tuple[float, ...]
    single: bool
    honest: float
    lying: float

    def __str__(self) -> str:
        rows = ", ".join(_row(row) for row in self.values)
        each = "one copy each, " if self.single else ""
        return (
            f"with single copies, {each}values {rows}: the first agent expects {self.honest:g} by the truth, "
            f"{self.lying:g} by reporting {_row(self.report)}"
        )


def _row(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


@dataclass(frozen=True)
class Incentives:
    """What theory says of the truth.

    Parameters
    ----------
    truth : "obvious", "dominant" or "no"
        Whether telling it is obviously dominant, dominant, or neither.
    witness : Lie or str
        Who gains by which lie where; or why nobody does.
    source : str
        Whose result.
    """

    truth: Truth
    witness: Lie | str
    source: str


@dataclass(frozen=True)
class Baseline:
    """A mechanism under one interface.

    Parameters
    ----------
    name, title : str
        For options and for tables.
    run : callable
        (market, n_draws, seed, time_limit) -> Outcome.
    incentives : Incentives
        What theory says of truth-telling.
    objection : callable
        Says why the mechanism does not apply to a market; nothing if it does.
    """

    name: str
    title: str
    run: Callable[[PseudoMarket, int, int, float | None], Outcome]
    incentives: Incentives
    objection: Callable[[PseudoMarket], str] = lambda market: ""


def equilibrium(market: PseudoMarket, n_draws: int, seed: int, time_limit: float | None) -> Outcome:
    """Solve for a strong equilibrium and draw from its lottery."""
    from fairlot.pseudomarket.solve import solve_equilibrium

    found = solve_equilibrium(market, time_limit=time_limit, seed=seed)
    if found.shares is None or found.prices is None:
        raise programs.NoAllocationError(str(found.infeasibility))
    shares = np.zeros(0)
    if market.values.nnz:  # of no entries SciPy makes a sparse array
        shares = np.asarray(found.shares.matrix[market.pair_agent, market.pair_good]).ravel()
    certified = found.status is Status.CERTIFIED
    worst = float(np.nanmax(found.utility_loss))
    note = "certified" if certified else f"not certified: loss at true budgets up to {worst:.1e}"
    return Outcome(
        draws_of_shares(market, shares, n_draws, seed), shares=shares, prices=found.prices, note=note
    )


def _timeless(
    play: Callable[[PseudoMarket, int, int], Outcome],
) -> Callable[[PseudoMarket, int, int, float | None], Outcome]:
    """Give a mechanism that is always fast the common interface."""

    def run(market: PseudoMarket, n_draws: int, seed: int, time_limit: float | None) -> Outcome:
        return play(market, n_draws, seed)

    return run


_FAIRPYX = "fairpyx.algorithms."
_DRAFT = Incentives(
    "no",
    Lie(((7, 1, 2, 8), (6, 4, 7, 3)), (8, 6, 2, 7), single=False, honest=12.0, lying=15.0),
    "Budish and Cantillon (2012), AER 102(5)",
)
_GREATEST_SUM = Incentives(
    "no",
    Lie(((2, 1), (3, 2)), (5, 1), single=True, honest=1.0, lying=2.0),
    "whoever exaggerates is served first",
)
_PEER = Incentives("no", "it maximises a function of reports, as the utilitarian optimum does", "")

BASELINES: tuple[Baseline, ...] = (
    Baseline(
        "equilibrium",
        "strong equilibrium (fairlot)",
        equilibrium,
        Incentives(
            "no",
            Lie(((9, 6, 0, 2), (9, 5, 10, 7)), (10, 5, 8, 1), single=False, honest=10.5, lying=13.8),
            "gains vanish as the market grows: Azevedo and Budish (2019), Review of Economic Studies 86(1)",
        ),
    ),
    Baseline(
        "serial-dictatorship",
        "random serial dictatorship",
        _timeless(picking.serial_dictatorship),
        Incentives("obvious", "each agent chooses once, from what is left", "Li (2017), AER 107(11)"),
    ),
    Baseline(
        "probabilistic-serial",
        "probabilistic serial",
        _timeless(eating.probabilistic_serial),
        Incentives(
            "no",
            Lie(((5, 0, 4), (1, 4, 5), (5, 0, 3)), (4, 3, 5), single=True, honest=3.17, lying=3.25),
            "Bogomolnaia and Moulin (2001), JET 100(2)",
        ),
    ),
    Baseline("round-robin", "round robin", _timeless(picking.round_robin), _DRAFT),
    Baseline("bidirectional-draft", "bidirectional draft", _timeless(picking.bidirectional_draft), _DRAFT),
    Baseline("utilitarian", "utilitarian optimum", programs.utilitarian, _GREATEST_SUM),
    Baseline(
        "maximin",
        "maximin",
        programs.maximin,
        Incentives(
            "no",
            Lie(((4, 1, 5), (3, 5, 1)), (4, 5, 1), single=False, honest=7.12, lying=9.05),
            "whoever values what others want counts as badly off",
        ),
    ),
    Baseline(
        "top-trading-cycles",
        "top trading cycles",
        _timeless(trading.top_trading_cycles),
        Incentives(
            "dominant", "not obviously, from three agents on", "Li (2017), AER 107(11), Proposition 5"
        ),
        trading.applies,
    ),
    Baseline(
        "aceei",
        "A-CEEI (fairpyx)",
        peers.aceei,
        Incentives(
            "no",
            "agents move prices; with tie-breaking free of envy, gains were rare in its authors' experiments",
            "Budish, Gao, Othman, Rubinstein, Zhang (2023), EC",
        ),
    ),
    Baseline(
        "almost-egalitarian",
        "almost egalitarian (fairpyx)",
        peers.fairpyx_allocator(_FAIRPYX + "almost_egalitarian", "almost_egalitarian_allocation"),
        _PEER,
    ),
    Baseline(
        "iterated-matching",
        "iterated matching (fairpyx)",
        peers.fairpyx_allocator(_FAIRPYX + "iterated_maximum_matching", "iterated_maximum_matching_adjusted"),
        _PEER,
    ),
)
