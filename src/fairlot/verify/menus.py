r"""Menus and trading protocols held to the definitions of the paper, type by type and profile by profile.

*Polarized* (section 3): :math:`y' \kappa' + y'' \kappa'' \ge 0` for some :math:`y', y'' \ge 0`, not both 0.
*Obviously dominant* (section 1.1): action k, for type c, where for every other action k'

.. math:: \sup_{k_{-j}} c \cdot P_j(k, k_{-j}) \le \inf_{k_{-j}} c \cdot P_j(k', k_{-j}) .

*Obviously strategy-proof*: every type has an obviously dominant action. *Participation*: no type that
could have made the pick has more expected load than in the status quo.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairlot.certificate import Certificate, Check
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.menus import Menus, TradingProtocol

TOLERANCE = 1e-9
_SEARCH_STEPS = 100
_CHUNK = 1 << 16


def polarization_residuals(first: FloatArray, second: FloatArray) -> FloatArray:
    r"""Measure how far pairs of rays are from polarized: 0 where they are.

    Parameters
    ----------
    first, second : FloatArray, shape (n_pairs, n_tasks)
        Rays.

    Returns
    -------
    FloatArray, shape (n_pairs,)
        :math:`\max(0, -\max_\lambda \min_i (\lambda \kappa' + (1 - \lambda) \kappa'')_i)`, each ray and then
        each task scaled to a largest entry of 1.

    Notes
    -----
    The inner minimum is concave in :math:`\lambda`; its maximum is found by golden-section search.
    """
    a = first / np.abs(first).max(axis=1, keepdims=True)
    b = second / np.abs(second).max(axis=1, keepdims=True)
    size = np.maximum(np.abs(a), np.abs(b))
    a, b = a / np.where(size > 0, size, 1.0), b / np.where(size > 0, size, 1.0)

    def least(weight: FloatArray) -> FloatArray:
        return np.asarray((weight[:, None] * a + (1 - weight)[:, None] * b).min(axis=1))

    golden = (np.sqrt(5) - 1) / 2
    low, high = np.zeros(len(a)), np.ones(len(a))
    best = np.maximum(least(low), least(high))
    for _ in range(_SEARCH_STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        at_left, at_right = least(left), least(right)
        best = np.maximum(best, np.maximum(at_left, at_right))
        lower = at_left >= at_right
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    return np.asarray(np.maximum(0.0, -best))


def polarization_check(menus: Menus) -> Check:
    """Check that every two rays of one menu are polarized, and the remedial set alone in its menu.

    Parameters
    ----------
    menus : Menus
        All menus.
    """
    pairs = [
        (r, s)
        for start, end in itertools.pairwise(menus.starts.tolist())
        if end - start > 1
        for r, s in itertools.combinations(range(start, end), 2)
    ]
    worst, witness = 0.0, ""
    for block in range(0, len(pairs), _CHUNK):
        first, second = np.array(pairs[block : block + _CHUNK]).T
        residuals = polarization_residuals(menus.changes[first], menus.changes[second])
        k = int(residuals.argmax())
        if residuals[k] > worst:
            worst = float(residuals[k])
            agent = menus.agents[menus.ray_agents[first[k]]]
            names = f"'{menus.ray_names[first[k]]}' and '{menus.ray_names[second[k]]}'"
            witness = f"some type gains from both rays {names} of agent '{agent}'"
    return Check("polarized menus", worst, TOLERANCE, witness if worst > TOLERANCE else "")


@dataclass(frozen=True, eq=False)
class NoDominantAction:
    """A type of which no action is obviously dominant, and why its best guess is not.

    Parameters
    ----------
    agent : int
        Whose type it is.
    type : FloatArray, shape (n_tasks,)
        Her private costs.
    action, deviation : int
        The action that would be best if she could choose the outcome too, and one whose best case
        beats that action's worst case.
    worst, best : float
        Load in the action's worst case, which is above that in the deviation's best case.
    """

    agent: int
    type: FloatArray
    action: int
    deviation: int
    worst: float
    best: float


def dominant_actions(protocol: TradingProtocol, agent: int, costs: FloatArray) -> list[int]:
    """List the actions that are obviously dominant for a type, by the definition.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    agent : int
        Whose type it is.
    costs : FloatArray, shape (n_tasks,)
        Her private costs.

    Examples
    --------
    >>> from fairlot.model.menus import FiniteSet, TradingProtocol
    >>> keep, trade = FiniteSet([[1, 1]]), FiniteSet([[1, 1], [0, 2]])
    >>> other = FiniteSet([[1, 1], [2, 0]])
    >>> rule = lambda k: np.array([[0, 2], [2, 0]]) if k == (1, 1) else np.ones((2, 2))
    >>> protocol = TradingProtocol(np.ones((2, 2)), ((keep, trade), (keep, other)), rule)
    >>> dominant_actions(protocol, 0, np.array([2.0, 1.0]))
    [1]
    """
    worst, best = _load_ranges(protocol, agent, costs[None])
    slack = _slack(worst)[0]
    return [
        k
        for k in range(worst.shape[1])
        if all(worst[0, k] <= best[0, other] + slack for other in range(worst.shape[1]) if other != k)
    ]


def obvious_dominance_failures(
    protocol: TradingProtocol, types: Sequence[FloatArray] | None = None
) -> list[NoDominantAction]:
    r"""Look for types without an obviously dominant action, one per agent at most.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    types : sequence of FloatArray, shape (n_types, n_tasks), optional
        Types to try, per agent. By default the critical ones, which suffice: the set of types with a
        dominant action is closed and a union of cones whose faces are :math:`c \cdot (x - \eta) = 0`,
        and a type outside it may be moved to one that cares for two tasks at most, off every such face.
    """
    found = []
    for j in range(len(protocol.endowment)):
        costs = _critical_types(protocol, j) if types is None else np.asarray(types[j], dtype=np.float64)
        worst, best = _load_ranges(protocol, j, costs)
        n_actions = worst.shape[1]
        if n_actions == 1 or not len(costs):
            continue
        others = np.array([np.delete(best, k, axis=1).min(axis=1) for k in range(n_actions)]).T
        regret = worst - others
        bad = np.flatnonzero((regret > _slack(worst)[:, None]).all(axis=1))
        if len(bad):
            t = int(bad[regret[bad].min(axis=1).argmax()])
            k = int(best[t].argmin())
            rivals = np.where(np.arange(n_actions) == k, np.inf, best[t])
            deviation = int(rivals.argmin())
            found.append(
                NoDominantAction(j, costs[t], k, deviation, float(worst[t, k]), float(best[t, deviation]))
            )
    return found


def verify_protocol(protocol: TradingProtocol) -> Certificate:
    """Check a trading protocol: feasible at every profile, and obviously strategy-proof by the definition.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    """
    total, table = protocol.endowment.sum(axis=0), protocol.outcomes
    flat = table.reshape(-1, *protocol.endowment.shape)
    scale = np.maximum(1.0, total)
    unbalanced = float((np.abs(flat.sum(axis=1) - total) / scale).max())
    negative = float(max(0.0, -(flat / scale).min()))
    outside = 0
    where = ""
    for profile in itertools.product(*map(range, protocol.n_actions)):
        for j, k in enumerate(profile):
            if not protocol.menus[j][k].contains(table[profile][j]):
                outside += 1
                where = where or f"agent {j} at profile {profile}"
    failures = obvious_dominance_failures(protocol)
    regret = max((f.worst - f.best for f in failures), default=0.0)
    told = [
        f"agent {f.agent} of type {np.round(f.type, 4).tolist()}: action {f.action} may cost {f.worst:.4g}, "
        f"action {f.deviation} as little as {f.best:.4g}"
        for f in failures[:1]
    ]
    checks = (
        Check("market clearing", unbalanced, TOLERANCE),
        Check("non-negative", negative, TOLERANCE),
        Check("selection within the chosen sets", float(outside), 0.0, where),
        Check("obviously strategy-proof", regret, 0.0, "".join(told)),
    )
    return Certificate(PROTOCOL_CHECKS, checks)


PROTOCOL_CHECKS = (
    "market clearing",
    "non-negative",
    "selection within the chosen sets",
    "obviously strategy-proof",
)


def participation_residuals(displacements: FloatArray, picked: FloatArray, everyone: BoolArray) -> FloatArray:
    r"""Measure by how much load could have grown for a type that could have made the pick.

    Parameters
    ----------
    displacements : FloatArray, shape (n_members, n_tasks)
        :math:`d`, expected amounts less the status quo.
    picked : FloatArray, shape (n_members, n_tasks)
        :math:`\kappa`, the ray picked.
    everyone : BoolArray, shape (n_members,)
        Where any type may have made the pick: it was to keep, or to have less.

    Returns
    -------
    FloatArray, shape (n_members,)
        :math:`\max(0, \max \{c \cdot d : c \ge 0, \sum_i c_i = 1, c \cdot \kappa \le 0\})`, the last
        condition left out for everyone: 0 means that nobody who could have made the pick is worse off.

    Notes
    -----
    :math:`\max_i (d_i - y \kappa_i)` bounds the maximum from above for every :math:`y \ge 0`, and is 0 on the
    ray. Where that does not settle it, the vertices do: types that care for one task, or for two with
    :math:`c \cdot \kappa = 0`.
    """
    rays = np.where(everyone[:, None], 0.0, picked)
    length = (rays**2).sum(axis=1)
    extent = np.maximum(0.0, (displacements * rays).sum(axis=1) / np.where(length > 0, length, 1.0))
    residuals = np.maximum(0.0, (displacements - extent[:, None] * rays).max(axis=1))
    scale = np.maximum(1.0, np.abs(displacements).max(axis=1, initial=0.0))
    for m in np.flatnonzero((residuals > TOLERANCE * scale) & ~everyone).tolist():
        residuals[m] = max(0.0, _worst_load(displacements[m], picked[m]))
    return np.asarray(residuals)


def _worst_load(displacement: FloatArray, ray: FloatArray) -> float:
    """Evaluate the load at every vertex of the types that accept a ray."""
    gives, takes = np.flatnonzero(ray < 0), np.flatnonzero(ray > 0)
    single = displacement[ray <= 0]
    weight = ray[takes][None, :] / (ray[takes][None, :] - ray[gives][:, None])
    mixed = weight * displacement[gives][:, None] + (1 - weight) * displacement[takes][None, :]
    return float(max(single.max(initial=-np.inf), mixed.max(initial=-np.inf)))


def _load_ranges(protocol: TradingProtocol, agent: int, costs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Evaluate sup and inf of the load over the others' actions, shape (n_types, n_actions) each."""
    outcomes = np.moveaxis(protocol.outcomes[..., agent, :], agent, 0)
    loads = np.einsum("ti,kpi->tkp", costs, outcomes.reshape(len(outcomes), -1, outcomes.shape[-1]))
    return loads.max(axis=2), loads.min(axis=2)


def _slack(loads: FloatArray) -> FloatArray:
    return np.asarray(TOLERANCE * np.abs(loads).max(axis=1))


def _critical_types(protocol: TradingProtocol, agent: int) -> FloatArray:
    """List a type between every two neighbouring faces, for every pair of tasks."""
    outcomes = protocol.outcomes[..., agent, :].reshape(-1, protocol.endowment.shape[1])
    moves = np.unique(outcomes - protocol.endowment[agent], axis=0)
    n = moves.shape[1]
    types = list(np.eye(n))
    for i, k in itertools.combinations(range(n), 2):
        turning = moves[moves[:, i] * moves[:, k] < 0]
        rates: IntArray | FloatArray = np.unique(-turning[:, i] / turning[:, k])
        if len(rates):
            between = np.concatenate([[rates[0] / 2], np.sqrt(rates[1:] * rates[:-1]), [2 * rates[-1]]])
        else:
            between = np.ones(1)
        for rate in between:
            types.append((np.eye(n)[i] + rate * np.eye(n)[k]) / (1 + rate))
    return np.array(types)
