"""The result where quotas cross: an equilibrium, its lottery, and what is proved of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fairlot.model.hierarchy import FloatArray
from fairlot.model.lotteries import Lottery
from fairlot.pseudomarket.equilibrium import Equilibrium
from fairlot.verify.timetable import statement


class Outcome(StrEnum):
    """What came of the search for a lottery, instance by instance."""

    EXACT = "exact"
    """Every term is optimal for each agent at the prices, and the certificate passes."""
    CLOSE = "close"
    """No exact lottery was found in time, or none of the certified precision; the gaps are published."""
    IMPOSSIBLE = "impossible"
    """At these prices no lottery over assignments is an equilibrium; a separating direction proves it."""


@dataclass(frozen=True, eq=False)
class Impossibility:
    r"""Why no lottery over assignments is an equilibrium at the published prices.

    With money weights c on the agents who spend everything, every assignment Z of best bundles within
    supply spends :math:`\sum_i c_i\, p \cdot Z_i < \sum_i c_i b_i`.

    Parameters
    ----------
    direction : FloatArray, shape (n_agents,)
        c; 0 for agents with money to spare.
    beyond : float
        By how much the right-hand side is larger than the largest left-hand side, in mean budgets, at c of
        norm 1. The largest is a bound of an integer program, which verification rechecks only by listing all
        of few assignments. Infinite where no assignment of best bundles sells what has a price.
    guarantee : float
        θ: every agent gets at least this part of her equilibrium utility in the lottery published instead.
    guarantee_bound : float
        No lottery over assignments gives everybody more than this part.
    """

    direction: FloatArray
    beyond: float
    guarantee: float
    guarantee_bound: float


@dataclass(frozen=True, eq=False)
class TimetableEquilibrium(Equilibrium):
    """Prices and a lottery over assignments, where agents' bounds cross.

    The fields of :class:`~fairlot.pseudomarket.equilibrium.Equilibrium` are at the lottery's own mean: the
    published shares are exactly those of the draw.

    Parameters
    ----------
    outcome : Outcome or None
        None if no assignment respects all bounds.
    drawn_from : Lottery or None
        Drawn by terms; None if none was found.
    deviation : float
        Largest difference between the shares and the solver's equilibrium copies.
    programs, integer_programs : int
        Linear and integer programs that the lottery took.
    impossibility : Impossibility or None
        Where the outcome is IMPOSSIBLE.
    extra_seats : tuple of (str, int)
        Seats added because the caller allowed it, by good.
    outside_hull : tuple of str
        Agents whose equilibrium copies are worth more than any lottery of their own bundles: their rows do
        not describe their bundles, and nothing is proved impossible.
    """

    outcome: Outcome | None = None
    drawn_from: Lottery | None = None
    deviation: float = float("nan")
    programs: int = 0
    integer_programs: int = 0
    impossibility: Impossibility | None = None
    extra_seats: tuple[tuple[str, int], ...] = ()
    outside_hull: tuple[str, ...] = ()

    def lottery(self) -> Lottery:
        """Return the lottery over assignments that has exactly these shares.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.drawn_from is None:
            why = self.infeasibility or "no assignment was found in time"
            msg = f"there is nothing to draw from: {why}"
            raise ValueError(msg)
        return self.drawn_from

    def statement(self) -> str:
        """Say in a paragraph what was checked, with the measured figure."""
        return statement(self.market, float(self.utility_loss.max(initial=0.0)))
