r"""Obvious strategy-proofness in closed form, with witnesses, and Theorem 2 as a function.

After essential reduction let :math:`D_k` be the displacements :math:`x - \eta` that action k may lead to. A
protocol is obviously strategy-proof if and only if, for every agent, no type gains from one member of a
:math:`D_k` and loses from another, and no type gains from members of two of them:

.. math::
   \text{no conflict}(a, -b) \text{ for } a, b \in D_k, \qquad
   \text{no conflict}(a, b) \text{ for } a \in D_k, b \in D_l, k \ne l .

For when the others keep, every action leads to :math:`\eta` (the proof's Claim 1), so that an action may
always do as badly as :math:`\eta`: with two ways to gain neither is obviously better, and with a gain and
a loss under one action neither choosing nor leaving it is. Otherwise each :math:`D_k` is 0, *remedial*
(:math:`\le 0`), *redundant* (:math:`\ge 0`) or on one ray, and the rays are polarized: Theorem 2
(Valenzuela-Stookey, section 3).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import FiniteSet, Mechanism, Polytope, Segment, TradingProtocol, TradingSet
from fairlot.reallocation.obvious.protocols import reduced_sets
from fairlot.reallocation.obvious.rays import in_conflict, shared_type

_TIE = 1e-9
SetKind = Literal["endowment", "remedial", "redundant", "ray"]


@dataclass(frozen=True, eq=False)
class Witness:
    """A type for which the truth is not obviously best.

    Parameters
    ----------
    agent : int
        Whose type it is.
    type : FloatArray, shape (n_tasks,)
        Private costs, positive, adding up to 1.
    truth, deviation : int
        Her myopically optimal action, and another.
    worst, best : float
        Load in the worst case of the truth, and, lower, in the best case of the deviation.
    """

    agent: int
    type: FloatArray
    truth: int
    deviation: int
    worst: float
    best: float

    def __str__(self) -> str:
        return (
            f"agent {self.agent} of type {np.round(self.type, 4).tolist()}: action {self.truth} may leave "
            f"her a load of {self.worst:.6g}, action {self.deviation} one of only {self.best:.6g}"
        )


def obvious_dominance_witness(protocol: TradingProtocol, agent: int | None = None) -> Witness | None:
    """Find a type without an obviously dominant action; none means obviously strategy-proof.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    agent : int, optional
        Look at this agent only.
    """
    agents = range(len(protocol.endowment)) if agent is None else [agent]
    for j in agents:
        witness = menu_witness(protocol.endowment[j], reduced_sets(protocol, j))
        if witness is not None:
            return Witness(j, *witness)
    return None


def is_obviously_strategy_proof(protocol: TradingProtocol) -> bool:
    """Tell whether every type of every agent has an obviously dominant action.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    """
    return obvious_dominance_witness(protocol) is None


def menu_witness(
    endowment: FloatArray, sets: Sequence[FloatArray]
) -> tuple[FloatArray, int, int, float, float] | None:
    r"""Find a type with no obviously dominant choice from a menu, whatever is selected from its sets.

    Parameters
    ----------
    endowment : FloatArray, shape (n_tasks,)
        :math:`\eta`, which every choice may lead to.
    sets : sequence of FloatArray, shape (n_points, n_tasks)
        What each choice may lead to: all bundles, or the vertices of their hull.

    Returns
    -------
    type, truth, deviation, worst, best
        As in :class:`Witness`; None if there is no such type.
    """
    moves = [_moves(endowment, bundles) for bundles in sets]
    costs = _split_type(moves)
    if costs is None:
        return None
    loads = [np.append(bundles @ costs, endowment @ costs) for bundles in sets]
    best = np.array([load.min() for load in loads])
    truth = int(best.argmin())
    deviation = int(np.where(np.arange(len(best)) == truth, np.inf, best).argmin())
    return costs, truth, deviation, float(loads[truth].max()), float(best[deviation])


def _moves(endowment: FloatArray, bundles: FloatArray) -> FloatArray:
    moves = np.asarray(bundles - endowment, dtype=np.float64)
    scale = max(1.0, float(np.abs(endowment).max()))
    moves = np.where(np.abs(moves) <= 1e-12 * scale, 0.0, moves)
    return np.asarray(moves[np.abs(moves).max(axis=1, initial=0.0) > 0])


def _split_type(moves: Sequence[FloatArray]) -> FloatArray | None:
    """Find a type that gains in two actions, or both gains and loses in one."""
    for within in moves:
        gaining = within[(within < 0).any(axis=1)]
        losing = within[(within > 0).any(axis=1)]
        costs = _first_shared_type(gaining, -losing)
        if costs is not None:
            return costs
    for one, other in itertools.combinations(moves, 2):
        costs = _first_shared_type(one, other)
        if costs is not None:
            return costs
    return None


def _first_shared_type(ones: FloatArray, others: FloatArray) -> FloatArray | None:
    if not len(ones) or not len(others):
        return None
    pairs = np.argwhere(in_conflict(ones[:, None, :], others[None, :, :]))
    if not len(pairs):
        return None
    first, second = pairs[0].tolist()
    return shared_type(ones[first], others[second])


@dataclass(frozen=True, eq=False)
class Domination:
    """Theorem 2 applied: a polarized ray mechanism that effectively dominates, or why there is none.

    Parameters
    ----------
    mechanism : Mechanism, optional
        Same endowments, actions, strategies and selection; each trading set expanded to its ray or to
        the remedial set. Redundant sets, which no strictly monotone type picks, stay as they are.
    kinds : tuple of tuple of str
        What each agent's reduced sets are: ``endowment``, ``remedial``, ``redundant`` or ``ray``.
    witness : Witness, optional
        Where the mechanism is not obviously strategy-proof.
    """

    mechanism: Mechanism | None
    kinds: tuple[tuple[SetKind, ...], ...]
    witness: Witness | None


def polarized_ray_domination(mechanism: Mechanism) -> Domination:
    r"""Find the polarized ray mechanism that effectively dominates an obviously strategy-proof one.

    Parameters
    ----------
    mechanism : Mechanism
        Any trading mechanism. Its strategies are taken to be myopically optimal, as Lemma 4 says they
        are where the mechanism is obviously strategy-proof.

    References
    ----------
    Valenzuela-Stookey, Theorem 2, Claims 4 to 6.
    """
    protocol = mechanism.protocol
    witness = obvious_dominance_witness(protocol)
    if witness is not None:
        return Domination(None, (), witness)
    menus: list[tuple[TradingSet, ...]] = []
    kinds: list[tuple[SetKind, ...]] = []
    for j, endowment in enumerate(protocol.endowment):
        expanded = [_expand(endowment, bundles) for bundles in reduced_sets(protocol, j)]
        kinds.append(tuple(kind for kind, _ in expanded))
        menus.append(tuple(trading_set for _, trading_set in expanded))
    larger = TradingProtocol(protocol.endowment, tuple(menus), protocol.selection)
    return Domination(Mechanism(larger, mechanism.strategies), tuple(kinds), None)


def _expand(endowment: FloatArray, bundles: FloatArray) -> tuple[SetKind, TradingSet]:
    """Classify a reduced set of an obviously strategy-proof protocol, and expand it."""
    moves = _moves(endowment, bundles)
    if not len(moves):
        return "endowment", FiniteSet(endowment[None])
    if (moves <= 0).all():
        return "remedial", Polytope.below(endowment)
    if (moves >= 0).all():
        return "redundant", FiniteSet(bundles)
    longest = moves[np.abs(moves).max(axis=1).argmax()]
    shrinking = longest < 0
    extent = float((endowment[shrinking] / -longest[shrinking]).min())
    return "ray", Segment(endowment, max(extent, 1.0) * longest)
