r"""Agents whom a Newton step threw far off, brought back one by one.

Among a million agents there is always one whose equations are so bent at some step that no length of it
suits her, and a common length would have everybody wait for her. At fixed prices an agent's smoothed
equations are those of a strictly concave problem of her own. Agents whose residual stands out solve them
by damped Newton steps, each with a length of her own, and the step of all the others stays whole.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.pseudomarket.compiled import CompiledMarket
from fairlot.pseudomarket.joint.newton import AgentSteps
from fairlot.pseudomarket.joint.system import JointSystem, Residual, State

_FAR = 0.05
"""Residual of an agent, in values and budgets, from which she stands out."""
_MOST = 0.3
"""Share of agents beyond which it is the step that is wrong, not they."""
_NEAR = 1e-6
_STEPS = 25
_LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)


class Owners:
    """Whose the variables of a system are.

    Attributes
    ----------
    of_product : IntArray, shape (n_products,)
        Agent of each complementary pair; -1 for supply rows.
    of_node : IntArray, shape (n_nodes,)
        Agent of each node.
    """

    def __init__(self, system: JointSystem) -> None:
        c = system.compiled
        agents = np.arange(c.n_agents)
        self.of_node: IntArray = np.repeat(agents, np.diff(c.node_start))
        nodes = [self.of_node[k] for k in (system.upper, system.lower, system.taper, system.taper)]
        rows = np.full(len(c.supply), -1)
        self.of_product: IntArray = np.concatenate([c.agent, c.agent[system.capped], *nodes, agents, rows])

    def merits(self, system: JointSystem, residual: Residual) -> FloatArray:
        """Compute the norm of every agent's residual, money in budgets."""
        c, n = system.compiled, system.compiled.n_agents
        total = np.bincount(c.agent, residual.stationarity**2, minlength=n)
        total += np.bincount(c.agent[system.capped], residual.cap**2, minlength=n)
        for part, nodes in (
            (residual.upper, system.upper),
            (residual.lower, system.lower),
            (residual.taper, system.taper),
            (residual.penalty, system.taper),
            (residual.equal, system.equal),
        ):
            total += np.bincount(self.of_node[nodes], part**2, minlength=n)
        return np.asarray(np.sqrt(total + (residual.money / c.budget) ** 2))


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def mend_outliers(
    system: JointSystem, owners: Owners, state: State, residual: Residual, mu: float
) -> State | None:
    """Bring agents back whose residual stands out, at fixed prices.

    Parameters
    ----------
    system : JointSystem
        The agents.
    owners : Owners
        Of the system's variables.
    state, residual, mu
        Where they stand.

    Returns
    -------
    State or None
        None if there is nobody to bring back, or if there are too many.
    """
    merits = owners.merits(system, residual)
    some = np.flatnonzero(merits > _FAR)
    if not 0 < len(some) <= _MOST * len(merits):
        return None
    chosen = np.append(np.isin(np.arange(len(merits)), some), True)  # the last for rows, of agent -1
    mine, own_free = chosen[owners.of_product], chosen[owners.of_node[system.equal]]
    few = JointSystem(_restricted(system, owners, state, some), system.epsilon[some])
    few.weight = system.weight[mine]
    found = _solve(few, State(state.primal[mine], state.dual[mine], state.free[own_free]), mu)
    primal, dual, free = state.primal.copy(), state.dual.copy(), state.free.copy()
    primal[mine], dual[mine], free[own_free] = found.primal, found.dual, found.free
    return State(primal, dual, free)


def _restricted(system: JointSystem, owners: Owners, state: State, some: IntArray) -> CompiledMarket:
    """Return some agents of a market, who have paid for what bounds force on them."""
    c = system.compiled
    here = np.isin(np.arange(c.n_agents), some)
    pairs, nodes = here[c.agent], here[owners.of_node]
    agent, node = np.full(c.n_agents, -1), np.full(c.n_nodes + 1, -1)
    agent[some] = np.arange(len(some))
    node[:-1][nodes] = np.arange(int(nodes.sum()))
    budget = c.budget - system.forced @ system.prices(state) if system.has_forced else c.budget
    return replace(
        c,
        pairs=c.pairs[pairs],
        start=np.concatenate([[0], np.cumsum(np.diff(c.start)[some])]),
        agent=agent[c.agent[pairs]],
        good=c.good[pairs],
        value=c.value[pairs],
        cap=c.cap[pairs],
        capped=c.capped[pairs],
        node_start=np.concatenate([[0], np.cumsum(np.diff(c.node_start)[some])]),
        parent=node[c.parent[nodes]],
        chain=node[c.chain[pairs]],
        lower=c.lower[nodes],
        upper=c.upper[nodes],
        penalty=c.penalty[nodes],
        budget=budget[some],
        forced=np.zeros_like(c.forced),
    )


def _solve(few: JointSystem, state: State, mu: float) -> State:
    """Take damped Newton steps at fixed prices, every agent with a length of her own."""
    owners = Owners(few)
    nothing, no_change = np.zeros_like(few.weight), np.zeros(len(few.compiled.supply))
    residual = few.residual(state, mu)
    merits = owners.merits(few, residual)
    for _ in range(_STEPS):
        if merits.max() < _NEAR:
            break
        steps = AgentSteps(few, state)
        step = steps.answer(steps.offer(nothing, residual), nothing, residual, no_change)
        done = merits < _NEAR
        moved = False
        for length in _LENGTHS:
            trial = few.project(state, step, length, mu)
            better = ~done & (owners.merits(few, few.residual(trial, mu)) < (1.0 - 0.1 * length) * merits)
            state = _taken(few, owners, state, trial, better)
            done |= better
            moved |= bool(better.any())
            if done.all():
                break
        if not moved:
            break
        residual = few.residual(state, mu)
        merits = owners.merits(few, residual)
    return state


def _taken(few: JointSystem, owners: Owners, state: State, trial: State, who: BoolArray) -> State:
    """Replace the variables of some agents."""
    mine = np.append(who, False)[owners.of_product]
    free = who[owners.of_node[few.equal]]
    return State(
        np.where(mine, trial.primal, state.primal),
        np.where(mine, trial.dual, state.dual),
        np.where(free, trial.free, state.free),
    )
