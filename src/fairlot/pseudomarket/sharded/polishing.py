r"""Polishing in parts: the agents' equations of an active set, eliminated where the agents are.

A step of :class:`~fairlot.pseudomarket.active.LinearSystem` solves :math:`M d = r` in the duals of tight
nodes, the money values of agents and the prices. Agents touch each other through prices only: with a for all
that agents have of their own and q for the priced rows, :math:`M_{aa}` falls apart by agents, and

.. math:: \sum_{\text{parts}} \big( M_{qq} - M_{qa} M_{aa}^{-1} M_{aq} \big)\, d_q
    = \sum_{\text{parts}} \big( r_q - M_{qa} M_{aa}^{-1} r_a \big) - \delta\, (\text{what rows miss})

is all that the parts have to do with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from fairlot.crew import Crew
from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.pseudomarket.active import (
    LEFT,
    PROXIMAL,
    SOLVED,
    ActiveSet,
    ActiveSystem,
    LinearSystem,
    Slacks,
    Values,
    factor_in_order,
    iterate,
    lift_of,
)
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.joint.newton import ROUNDING_LIFT
from fairlot.pseudomarket.polish import NEAR, ROUNDS, WILD
from fairlot.pseudomarket.sharded.path import total

LEANS = (1e-4, 1.0)
"""How much slacks of nodes and rows count against their duals when an active set is chosen."""


class _PartSystem(ActiveSystem):
    """The complementarity system of a part; what is left of supply is told by the driver."""

    def __init__(self, compiled: CompiledMarket, unit: FloatArray) -> None:
        super().__init__(compiled)
        self.unit = unit
        self.spare: FloatArray = np.zeros(len(compiled.supply))

    def slacks(self, now: Values) -> Slacks:
        return replace(super().slacks(now), spare=self.spare)


class PartPolish:
    """One polishing of a part's point.

    Parameters
    ----------
    compiled : CompiledMarket
        The part.
    unit : FloatArray, shape (n_rows,)
        Copies of every row, at least 1.
    point : Point
        Where to begin; ``alpha`` contains the price of money.
    epsilon : FloatArray, shape (n_agents,)
        The price of money.
    """

    def __init__(self, compiled: CompiledMarket, unit: FloatArray, point: Point, epsilon: FloatArray) -> None:
        self._system = _PartSystem(compiled, unit)
        self._point = point
        near = Values(
            point.x.copy(), point.q.copy(), point.alpha.copy(), point.y.copy(), self._system.idle.copy()
        )
        money = self._system.slacks(near)
        near.satiated |= (
            np.minimum((near.alpha - epsilon) * compiled.budget, LEFT) < money.money / compiled.budget
        )
        self._near, self._best = near, near

    def start(self) -> FloatArray:
        """Return what is sold."""
        return self._sold(self._near)

    def judge(self, spare: FloatArray, found: bool) -> float:
        """Compute the agents' largest residual, where the polishing began or at what it found."""
        self._system.spare = spare
        return self._system.residual(self._system.cleaned(self._now) if found else self._near)

    def classify(self, lean: float, spare: FloatArray) -> tuple[BoolArray, FloatArray]:
        """Choose an active set at the beginning; return which rows are priced, and what is sold."""
        self._system.spare = spare
        self._now = self._near.copy()
        self._active: ActiveSet = self._system.classify(self._now, lean)
        self._system.settle(self._now, self._active)
        return self._active.priced, self._sold(self._now)

    @np.errstate(over="ignore", invalid="ignore")
    def missing(self) -> float:
        """Compute the largest of what the agents' equations miss."""
        self._gaps = self._system.missing(self._now, self._active)[:3]
        return max(float(np.abs(part).max(initial=0.0)) for part in self._gaps)

    @np.errstate(over="ignore", invalid="ignore")
    def reduce(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return matrix and right-hand side in the priced rows, and the size of the diagonal's terms.

        The matrix is NaN where the agents' own is singular.
        """
        linear = self._linear = LinearSystem(self._system, self._now, self._active)
        inner = len(linear.tight) + len(linear.spent)
        gain, nodes, money = self._gaps
        scaled = sp.csr_array(linear.primal / linear.metric[None, :])
        matrix = sp.csr_array(scaled @ linear.dual)
        full = sp.csr_array(matrix + PROXIMAL * linear.change)
        right = scaled @ gain
        right[:inner] -= PROXIMAL * np.concatenate([nodes, money])
        terms = matrix.diagonal()
        lift = sp.dia_array((lift_of(terms[:inner])[None, :], [0]), shape=(inner, inner))
        own = sp.csr_array(full[:inner, :inner] + lift)
        ahead, back = full[:inner, inner:].toarray(), sp.csr_array(full[inner:, :inner])
        total = full[inner:, inner:].toarray()
        self._right, self._ahead = right[:inner], ahead
        if not inner:
            self._factor = None
            return total, right, terms
        self._factor = factor_in_order(own)
        if self._factor is None:
            return np.full_like(total, np.nan), right[inner:], terms[inner:]
        both = self._factor.solve(np.column_stack([ahead, right[:inner]]))
        return total - back @ both[:, :-1], right[inner:] - back @ both[:, -1], terms[inner:]

    @np.errstate(over="ignore", invalid="ignore")
    def expand(self, d_q: FloatArray) -> tuple[bool, FloatArray]:
        """Finish the step, given the change of the priced rows; whether it is finite, and what is sold."""
        linear, gain = self._linear, self._gaps[0]
        right = self._right - self._ahead @ d_q
        d = np.concatenate([right if self._factor is None else self._factor.solve(right), d_q])
        dx = (linear.dual @ d - gain) / (PROXIMAL * linear.metric)
        return linear.move(self._now, dx, d), self._sold(self._now)

    def sold(self) -> FloatArray:
        """Return what is sold."""
        return self._sold(self._now)

    def clean(self) -> FloatArray:
        """Return what is sold where rounding is clipped."""
        return self._sold(self._system.cleaned(self._now))

    def take(self) -> None:
        """Keep what was found."""
        self._best = self._system.cleaned(self._now)

    def repair(self, spare: FloatArray) -> tuple[int, BoolArray, FloatArray]:
        """Move wrong signs to the other set; return how many, which rows are priced, and what is sold."""
        self._system.spare = spare
        count = self._system.repair(self._now, self._active)
        return count, self._active.priced, self._sold(self._now)

    def finish(self) -> Point:
        """Return the best point met."""
        best = self._best
        return replace(self._point, x=best.x, q=best.q, alpha=best.alpha, y=best.y)

    def _sold(self, now: Values) -> FloatArray:
        return np.asarray(self._system.supplied @ now.x)


def polish_parts(crew: Crew, supply: FloatArray) -> bool:
    """Polish the points of all parts together, as :func:`~fairlot.pseudomarket.polish.polish` does of one.

    Parameters
    ----------
    crew : Crew
        Owns the parts; afterwards each holds the best point met.
    supply : FloatArray, shape (n_rows,)
        Copies for the pairs that remain.

    Returns
    -------
    bool
        Whether only rounding is left.
    """

    def ask(method: str, *arguments: Any) -> list[Any]:
        return crew.ask("polish", method, *arguments)

    spare = beginning = supply - total(ask("start"))
    least = max(ask("judge", beginning, False))
    if least > SOLVED:
        least = min(least, NEAR)
        for lean in LEANS:
            found = ask("classify", lean, beginning)
            for _ in range(ROUNDS):
                priced, spare = found[0][-2], supply - total([answer[-1] for answer in found])
                if not _newton(ask, supply, priced, spare) <= WILD:
                    break
                clean = supply - total(ask("clean"))
                reached = max(ask("judge", clean, True))
                if reached < least:
                    least = reached
                    ask("take")
                found = ask("repair", supply - total(ask("sold")))
                if not any(answer[0] for answer in found):
                    break
            if least <= SOLVED:
                break
    ask("finish")
    return bool(least <= SOLVED)


def _newton(ask: Callable[..., list[Any]], supply: FloatArray, priced: BoolArray, spare: FloatArray) -> float:
    """Solve the equations of the active set that the parts have; return what they miss."""

    def size() -> float:
        return float(max(*ask("missing"), np.abs(spare[priced]).max(initial=0.0)))

    def step() -> bool:
        nonlocal spare
        parts = ask("reduce")
        matrix, right, terms = (total([part[k] for part in parts]) for k in range(3))
        diagonal = np.arange(len(matrix))
        matrix[diagonal, diagonal] += lift_of(np.abs(np.diag(matrix))) + ROUNDING_LIFT * terms
        right += PROXIMAL * spare[priced]
        try:
            d_q = la.solve(matrix, right) if len(right) else right
        except (la.LinAlgError, ValueError):
            return False
        answers = ask("expand", d_q)
        spare = supply - total([sold for _, sold in answers])
        return all(finite for finite, _ in answers)

    return iterate(size, step)
