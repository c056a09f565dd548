r"""Trading protocols: essential reduction, myopic optimality, domination.

The *essential reduction* replaces each trading set by what is ever chosen from it,
:math:`\tilde T_j^k = \{P_j(k, k_{-j}) : k_{-j} \in K_{-j}\}`. Choices are *myopically optimal* where

.. math:: k \in a^*_j(c) = \arg\min_k \min \{c \cdot x : x \in \tilde T_j^k\} .

A mechanism *dominates* another with the same endowments, actions and strategies if each of its trading
sets contains the other's, *effectively* if it contains the other's essential reduction
(Valenzuela-Stookey, section 3).
"""

from __future__ import annotations

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import FiniteSet, Mechanism, TradingProtocol, TradingSet

_TIE = 1e-9


def reduced_sets(protocol: TradingProtocol, agent: int) -> list[FloatArray]:
    """List what each of an agent's actions may lead to.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    agent : int
        Whose actions.

    Returns
    -------
    list of FloatArray, shape (n_outcomes, n_tasks)
        Distinct bundles, per action.
    """
    outcomes = np.moveaxis(protocol.outcomes[..., agent, :], agent, 0)
    return [np.unique(bundles.reshape(-1, bundles.shape[-1]), axis=0) for bundles in outcomes]


def essential_reduction(protocol: TradingProtocol) -> TradingProtocol:
    """Drop from each trading set what the selection rule never chooses.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    """
    menus = tuple(
        tuple(FiniteSet(bundles) for bundles in reduced_sets(protocol, j))
        for j in range(len(protocol.endowment))
    )
    return TradingProtocol(protocol.endowment, menus, protocol.selection)


def is_non_redundant(protocol: TradingProtocol) -> bool:
    """Tell whether a protocol equals its essential reduction.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    """
    reduction = essential_reduction(protocol)
    return all(
        set_within(whole, part)
        for full, reduced in zip(protocol.menus, reduction.menus, strict=True)
        for whole, part in zip(full, reduced, strict=True)
    )


def myopic_choices(protocol: TradingProtocol, agent: int, costs: FloatArray) -> list[int]:
    r"""List the myopically optimal actions :math:`a^*_j(c)`, ties included.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    agent : int
        Whose choice.
    costs : FloatArray, shape (n_tasks,)
        Her type.
    """
    best = np.array([float((bundles @ costs).min()) for bundles in reduced_sets(protocol, agent)])
    slack = _TIE * max(1e-300, float(np.abs(best).max()))
    return np.flatnonzero(best <= best.min() + slack).tolist()


def set_within(inner: TradingSet, outer: TradingSet) -> bool:
    """Tell whether one trading set is contained in another.

    Parameters
    ----------
    inner, outer : TradingSet
        The sets. A set that is neither finite nor within a convex one is not contained.
    """
    if not all(outer.contains(point) for point in inner.points):
        return False
    return outer.convex or isinstance(inner, FiniteSet) or len(inner.points) == 1


def dominates(better: Mechanism, worse: Mechanism, *, effectively: bool = False) -> bool:
    """Tell whether one trading mechanism dominates another.

    Parameters
    ----------
    better, worse : Mechanism
        The mechanisms. Their strategies must be the same objects: functions cannot be compared.
    effectively : bool
        Whether only the essential reduction of ``worse`` must be contained.
    """
    inner = essential_reduction(worse.protocol) if effectively else worse.protocol
    outer = better.protocol
    return (
        inner.endowment.shape == outer.endowment.shape
        and bool(np.abs(inner.endowment - outer.endowment).max() <= _TIE * max(1.0, outer.endowment.max()))
        and inner.n_actions == outer.n_actions
        and better.strategies == worse.strategies
        and all(
            set_within(small, large)
            for menu, larger in zip(inner.menus, outer.menus, strict=True)
            for small, large in zip(menu, larger, strict=True)
        )
    )
