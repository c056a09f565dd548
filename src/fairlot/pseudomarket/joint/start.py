"""Where the joint path begins: barrier weight, a rough state, and the price of money."""

from __future__ import annotations

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.joint.kernels import node_totals, pair_duals
from fairlot.pseudomarket.joint.system import JointSystem, State

_SHARE_OF_GAP = 0.3
_LEAST_MONEY = 1e-6
_TIE = 1e-9


def prices_of_money(compiled: CompiledMarket) -> FloatArray:
    r"""Choose ε for every agent: 0.3 of the least difference she can tell, per budget.

    A satiated agent pays at most her budget, so that with a smaller ε no saving outweighs a step down in
    utility. Differences are those between values, between values after the breakpoints above them, and
    from 0; the least is found per agent.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.

    Returns
    -------
    FloatArray, shape (n_agents,)
    """
    level = compiled.value.copy()
    owners, levels = [compiled.agent, np.arange(compiled.n_agents)], [level, np.zeros(compiled.n_agents)]
    for column in compiled.chain.T:
        soft = (column >= 0) & np.isfinite(compiled.penalty[column])
        level = np.where(soft, level - compiled.penalty[column], level)
        owners.append(compiled.agent[soft])
        levels.append(level[soft])
    agent, value = np.concatenate(owners), np.concatenate(levels)
    order = np.lexsort((value, agent))
    agent, steps = agent[order], np.diff(value[order])
    steps[(np.diff(agent) > 0) | (steps < _TIE)] = 1.0
    least = np.ones(compiled.n_agents)
    np.minimum.at(least, agent[1:], steps)
    return np.maximum(_SHARE_OF_GAP * least / np.maximum(compiled.budget, 1.0), _LEAST_MONEY)


def lending(compiled: CompiledMarket) -> float:
    """Choose κ so that supply is neutral at half of the mean price."""
    return 2.0 * max(float(compiled.supply.sum()), 1.0) / float(compiled.budget.sum())


def fair_copies(compiled: CompiledMarket) -> FloatArray:
    """Spread supply and bounds evenly over pairs: copies of each pair, positive and well inside bounds."""
    demand = np.bincount(compiled.good, minlength=compiled.n_goods)[compiled.good]
    copies = 0.5 * np.minimum(compiled.cap, compiled.supply[compiled.good] / demand)
    members = np.bincount(compiled.chain[compiled.chain >= 0], minlength=compiled.n_nodes)
    for column in compiled.chain.T:
        inside = column >= 0
        room = 0.7 * compiled.upper[column[inside]] / members[column[inside]]
        copies[inside] = np.minimum(copies[inside], room)
    return np.maximum(copies, 1e-4)


def rough_state(system: JointSystem, mu: float) -> State:
    """Return a state with products at μ: even copies, and multipliers that follow from them."""
    compiled = system.compiled
    x = fair_copies(compiled)
    totals = node_totals(system.leaf, compiled.parent, x)
    primal = np.empty_like(system.weight)
    primal[system.b_x] = x
    primal[system.b_cap] = (compiled.cap - x)[system.capped]
    primal[system.b_upper] = (compiled.upper - totals)[system.upper]
    primal[system.b_lower] = (totals - compiled.lower)[system.lower]
    primal[system.b_taper] = (compiled.upper - totals)[system.taper]
    primal[system.b_excess] = (totals - compiled.upper)[system.taper]
    primal[system.b_money] = 0.5 * compiled.budget
    primal[system.b_supply] = 0.5 * compiled.supply
    rest = slice(system.b_x.stop, None)
    primal[rest] = np.maximum(primal[rest], 0.1)
    return State(primal, mu * system.weight / primal, np.zeros(len(system.equal)))


def warm_state(system: JointSystem, point: Point, mu: float) -> State:
    """Return the state with products at μ that is closest to a point."""
    compiled = system.compiled
    x = np.clip(point.x, 0.0, compiled.cap)
    totals = node_totals(system.leaf, compiled.parent, x)
    price = (compiled.rows.T @ point.q)[compiled.good]
    gain = (
        compiled.value
        - point.alpha[compiled.agent] * price
        - pair_duals(system.leaf, compiled.parent, point.y)
    )
    primal, dual = np.zeros_like(system.weight), np.zeros_like(system.weight)
    primal[system.b_x], dual[system.b_x] = x, -gain
    primal[system.b_cap], dual[system.b_cap] = (compiled.cap - x)[system.capped], gain[system.capped]
    primal[system.b_upper], dual[system.b_upper] = (
        (compiled.upper - totals)[system.upper],
        point.y[system.upper],
    )
    primal[system.b_lower], dual[system.b_lower] = (
        (totals - compiled.lower)[system.lower],
        -point.y[system.lower],
    )
    slack, y = (compiled.upper - totals)[system.taper], point.y[system.taper]
    primal[system.b_taper], dual[system.b_taper] = slack, y
    primal[system.b_excess], dual[system.b_excess] = -slack, compiled.penalty[system.taper] - y
    spent = np.bincount(compiled.agent, price * x, minlength=compiled.n_agents)
    spent += system.forced @ (compiled.rows.T @ point.q)
    primal[system.b_money], dual[system.b_money] = compiled.budget - spent, point.alpha - system.epsilon
    sold = compiled.rows @ np.bincount(compiled.good, x, minlength=compiled.n_goods)
    primal[system.b_supply], dual[system.b_supply] = compiled.supply - sold, point.q
    near = State(np.maximum(primal, 0.0), np.maximum(dual, 0.0), point.y[system.equal])
    return system.project(near, near, 0.0, mu)
