r"""The joint system in pieces: agents with the workers, supply rows with the driver.

A Newton step of the joint road needs of the agents only the sums of their slopes, an L × L matrix, and of
what they offer, L numbers. Both are added up here in the order of the parts, whoever owns them, so that
results do not depend on the number of workers. One factorisation later, the change of L prices goes out and
every agent answers it where she is. The control of the path is that of
:mod:`~fairlot.pseudomarket.joint.smoothing`; states are known here by number, :class:`Held`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg as la

from fairlot.crew import Crew
from fairlot.model.hierarchy import FloatArray
from fairlot.progress import Reporter
from fairlot.pseudomarket.joint.kernels import step_and_project
from fairlot.pseudomarket.joint.newton import ROUNDING_LIFT, orientation_of
from fairlot.pseudomarket.joint.smoothing import Centre, Effort, M, PathSystem, R
from fairlot.pseudomarket.joint.system import KAPPA

_MANY = 5_000
"""Agents from which outliers are brought back. Fewer can wait for each other, and then the path is exactly
that of the joint road, which matters where there are several equilibria."""


class Held:
    """A state or a direction: the rows' variables, and the number under which the parts hold the rest.

    Parameters
    ----------
    system : ShardedSystem
        Whose it is; told when nobody needs it any more.
    slot : int
        The number.
    primal, dual : FloatArray, shape (n_rows,)
        What is left of supply rows, and their prices; or changes of these.
    """

    def __init__(self, system: ShardedSystem, slot: int, primal: FloatArray, dual: FloatArray) -> None:
        self.system, self.slot, self.primal, self.dual = system, slot, primal, dual

    def __del__(self) -> None:
        self.system.forgotten.append(self.slot)

    def plus(self, other: Held, length: float) -> Held:
        """Add a multiple of another direction."""
        system = self.system
        primal, dual = self.primal + length * other.primal, self.dual + length * other.dual
        there = Held(system, system.new_slot(), primal, dual)
        system.crew.ask("plus", self.slot, other.slot, length, there.slot)
        return there


class HeldResidual:
    """A residual: what rows lack, the square of the agents' merit, and the number of the rest."""

    def __init__(self, system: ShardedSystem, slot: int, supply: FloatArray, square: float) -> None:
        self.system, self.slot, self.supply, self.square = system, slot, supply, square

    def __del__(self) -> None:
        self.system.forgotten.append(self.slot)


class ShardedSystem:
    """The equations of a market whose agents are with a crew.

    Parameters
    ----------
    crew : Crew
        Owns :class:`~fairlot.pseudomarket.sharded.part.Part`, settled.
    supply : FloatArray, shape (n_rows,)
        Copies for the pairs that remain.
    lending : float
        κ: supply is lent in the proportion ``lending * mu``.
    n_agents : int
        Agents of all parts.
    """

    def __init__(self, crew: Crew, supply: FloatArray, lending: float, n_agents: int) -> None:
        self.crew, self.supply = crew, supply
        self._mends = n_agents >= _MANY
        self.weight = np.maximum(supply, 1.0)
        self.lent = lending * self.weight
        self.forgotten: list[int] = []
        self._slots = itertools.count()

    def new_slot(self) -> int:
        """Return the number of a thing that the parts are about to hold."""
        return next(self._slots)

    def rough(self, mu: float) -> Held:
        """Make a state to begin with."""
        primal = np.maximum(0.5 * self.supply, 0.1)
        state = Held(self, self.new_slot(), primal, mu * self.weight / primal)
        self.crew.ask("rough", mu, state.slot, state.primal, state.dual)
        return state

    def recall(self, mu: float, primal: FloatArray, dual: FloatArray) -> Held:
        """Have all parts go back to the state that they saved."""
        state = Held(self, self.new_slot(), primal, dual)
        self.crew.ask("recall", mu, state.slot, primal, dual)
        return state

    def residual(self, state: Held, mu: float) -> HeldResidual:
        """Evaluate the linear equations at a state."""
        slot = self.new_slot()
        answers = self.crew.ask("residual", state.slot, mu, slot)
        sold = total([sold for sold, _ in answers])
        supply = self.supply + mu * self.lent - sold - state.primal
        return HeldResidual(self, slot, supply, float(sum(square for _, square in answers)))

    def merit(self, residual: HeldResidual) -> float:
        """Norm of a residual."""
        rows = residual.supply / np.sqrt(self.weight)
        return float(np.sqrt(residual.square + rows @ rows))

    def linearize(self, state: Held) -> ShardedNewton:
        """Factor the reduced matrix at a state."""
        return ShardedNewton(self, state)

    def project(self, state: Held, step: Held, length: float, mu: float) -> Held:
        """Take a step of some length and return to the products at μ."""
        rows = step_and_project(
            state.primal, state.dual, step.primal, step.dual, length, self.weight, mu, KAPPA
        )
        there = Held(self, self.new_slot(), *rows)
        self.crew.ask("project", state.slot, step.slot, length, mu, there.slot)
        return there

    def mend(self, state: Held, residual: HeldResidual, mu: float) -> Held | None:
        """Bring agents back whom a step threw far off; None if there are none, or few agents at all."""
        if not self._mends:
            return None
        there = Held(self, self.new_slot(), state.primal, state.dual)
        mended = self.crew.ask("mend", state.slot, residual.slot, mu, there.slot)
        return there if any(mended) else None

    def relative_size(self, state: Held, step: Held) -> float:
        """Largest change of a variable relative to itself; infinite if the step is not finite."""
        return float(max(self.crew.ask("relative_size", state.slot, step.slot)))

    def row_prices(self, state: Held) -> FloatArray:
        """Prices of the supply rows."""
        return state.dual


class ShardedNewton:
    """The reduced matrix at a state, summed over the parts and factored."""

    def __init__(self, system: ShardedSystem, state: Held) -> None:
        self._system, self._state = system, state
        forget, system.forgotten = system.forgotten, []
        answers = system.crew.ask("linearize", state.slot, forget)
        matrix = total([slopes for slopes, _ in answers])
        self._ratio = state.dual / state.primal
        diagonal = np.arange(len(matrix))
        matrix[diagonal, diagonal] += 1.0 / self._ratio
        matrix[diagonal, diagonal] += ROUNDING_LIFT * total([terms for _, terms in answers])
        self._lu = la.lapack.dgetrf(matrix, overwrite_a=True)[:2]

    def correction(self, residual: HeldResidual) -> Held:
        """Return the Newton direction that keeps all products."""
        offers = self._system.crew.ask("offer_correction", residual.slot)
        return self._answer(total(offers) - residual.supply, np.zeros(len(residual.supply)))

    def tangent(self, mu: float) -> Held:
        """Return the path's direction in log μ."""
        system = self._system
        products = mu * system.weight
        offers = system.crew.ask("offer_tangent", mu)
        return self._answer(total(offers) - mu * system.lent + products / self._state.dual, products)

    def _answer(self, right: FloatArray, products: FloatArray) -> Held:
        system, d_q = self._system, la.lu_solve(self._lu, right, check_finite=False)
        step = Held(system, system.new_slot(), products / self._state.dual - d_q / self._ratio, d_q)
        system.crew.ask("answer", d_q, step.slot)
        return step

    def orientation(self) -> int:
        """Sign of the determinant of the reduced matrix."""
        return orientation_of(*self._lu)


class SavingEffort(Effort):
    """An effort that has every point of the path saved, so that a lost worker costs no more than a stretch.

    Parameters
    ----------
    deadline, reporter, max_iter
        As for :class:`~fairlot.pseudomarket.joint.smoothing.Effort`.
    saves : bool
        Whether there is a scratch folder to save to.
    """

    def __init__(self, deadline: float | None, reporter: Reporter, max_iter: int | None, saves: bool) -> None:
        super().__init__(deadline, reporter, max_iter)
        self._saves = saves
        self.saved: tuple[float, FloatArray, FloatArray] | None = None

    def arrive(self, system: PathSystem[M, R], here: Centre[M]) -> None:
        """Take note of a point of the path."""
        super().arrive(system, here)
        state: Any = here.state
        if self._saves and isinstance(state, Held):
            state.system.crew.ask("save", state.slot)
            self.saved = here.mu, state.primal, state.dual


def total(arrays: Sequence[FloatArray]) -> FloatArray:
    """Add arrays of the parts, in their order."""
    found = arrays[0].copy()
    for array in arrays[1:]:
        found += array
    return found
