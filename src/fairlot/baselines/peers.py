r"""Mechanisms of other people's software, run through fairpyx (extra ``compare``).

fairpyx knows agents with a load, items with a capacity, values that add up, and pairs of items that
conflict. A quota of one copy over a set becomes conflicts within it; the largest bundle an agent may hold
becomes her load. Other quotas, tapers and limits have no counterpart there, so that an allocation may break
them: the measures count by how much.

Its A-CEEI (Budish, Gao, Othman, Rubinstein and Zhang 2023, with envy-free tie-breaking) is started from
budgets drawn from :math:`[b_i, (1 + \beta) b_i]` and may change each by β on the way, β = 0.2; with the
step below it gave an allocation on every small made-up market tried, which with β = 0.04 it did not. The
prices it stops at are read from its log, where it says nothing else of them.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from fairlot.baselines.outcome import Outcome
from fairlot.errors import MissingExtraError
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket

SPREAD = 0.2
"""Width of the budgets that A-CEEI starts from, and its perturbation, in mean budgets."""
STEP = 0.1
"""Price step of A-CEEI in mean budgets, where excess demand is one load for everybody."""


def _fairpyx(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != "fairpyx":
            raise
        raise MissingExtraError("fairpyx's allocator", "compare") from None


def peer_instance(market: PseudoMarket) -> Any:
    """Translate a market into a fairpyx instance, as far as it can be; items and agents keep their ids."""
    fairpyx = _fairpyx("fairpyx")
    start = market.values.indptr
    accepted = [set(market.pair_good[start[i] : start[i + 1]].tolist()) for i in range(market.n_agents)]
    values = np.zeros(market.values.shape)
    values[market.pair_agent, market.pair_good] = market.values.data
    return fairpyx.Instance(
        valuations={
            agent: dict(zip(market.goods, row.tolist(), strict=True))
            for agent, row in zip(market.agents, values, strict=True)
        },
        agent_capacities=dict(zip(market.agents, _loads(market).tolist(), strict=True)),
        item_capacities=dict(zip(market.goods, market.capacities.tolist(), strict=True)),
        agent_conflicts={
            agent: {good for j, good in enumerate(market.goods) if j not in accepted[i]}
            for i, agent in enumerate(market.agents)
        },
        item_conflicts=_conflicts(market),
    )


def _loads(market: PseudoMarket) -> IntArray:
    """Most copies that each agent may hold."""
    families = market.families
    most = np.bincount(
        market.pair_agent[families.leaf < 0],
        market.per_agent[market.pair_good[families.leaf < 0]],
        minlength=market.n_agents,
    )
    roots = np.flatnonzero(families.parent < 0)
    np.add.at(most, families.agent[roots], families.most[roots])
    return np.asarray(most, dtype=np.int64)


def _conflicts(market: PseudoMarket) -> dict[str, set[str]]:
    """Conflicts within every set that nobody may hold two copies of."""
    conflicts: dict[str, set[str]] = {good: set() for good in market.goods}
    for bound in market.bound_sets:
        if not len(bound.marginals) and bound.agents is None and bool((bound.upper == 1).all()):
            members = {market.goods[j] for j in bound.goods}
            if len(members) < market.n_goods:
                for good in members:
                    conflicts[good] |= members - {good}
    return conflicts


def fairpyx_allocator(path: str, name: str) -> Callable[[PseudoMarket, int, int, float | None], Outcome]:
    """Make a mechanism of one of fairpyx's allocators.

    Parameters
    ----------
    path, name : str
        Module and function; the function takes an allocation builder and nothing else that matters.

    Returns
    -------
    callable
        (market, n_draws, seed, time_limit) -> Outcome, one draw for the deterministic allocators.
    """

    def run(market: PseudoMarket, n_draws: int, seed: int, time_limit: float | None = None) -> Outcome:
        fairpyx = _fairpyx("fairpyx")
        allocate = getattr(_fairpyx(path), name)
        bundles = fairpyx.divide(allocate, instance=peer_instance(market))
        return Outcome(_copies(market, bundles)[None, :], note="one run")

    return run


def aceei(market: PseudoMarket, n_draws: int, seed: int, time_limit: float | None = None) -> Outcome:
    """Run fairpyx's A-CEEI once."""
    fairpyx = _fairpyx("fairpyx")
    module = _fairpyx("fairpyx.algorithms.ACEEI_algorithms.ACEEI")
    rng = np.random.default_rng(seed)
    mean = float(market.budgets.mean())
    budgets = market.budgets / mean * (1.0 + SPREAD * rng.random(market.n_agents))
    prices = _LastPrices()
    logger = logging.getLogger(module.__name__)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(prices)
    try:
        bundles = fairpyx.divide(
            module.find_ACEEI_with_EFTB,
            instance=peer_instance(market),
            initial_budgets=dict(zip(market.agents, budgets.tolist(), strict=True)),
            delta=STEP / max(1.0, float(_loads(market).mean() * market.capacities.mean())),
            epsilon=SPREAD,
            t=module.EFTBStatus.EF_TB,
        )
    finally:
        logger.removeHandler(prices)
        logger.setLevel(level)
        logger.propagate = propagate
    return Outcome(
        _copies(market, bundles)[None, :],
        prices=prices.of(market.goods) * mean,
        note="gave up without an allocation" if prices.gave_up else "one run of randomly perturbed budgets",
    )


class _LastPrices(logging.Handler):
    """Keeps the prices of the last iteration, which the allocator only logs."""

    def __init__(self) -> None:
        super().__init__()
        self.prices: dict[str, float] = {}
        self.gave_up = False

    def emit(self, record: logging.LogRecord) -> None:
        # A single dictionary among a record's arguments stands for all of them.
        if str(record.msg).startswith("Update prices") and isinstance(record.args, dict):
            self.prices = dict(record.args)
        self.gave_up = self.gave_up or str(record.msg).startswith("Clearing error is None")

    def of(self, goods: tuple[str, ...]) -> FloatArray:
        return np.array([max(0.0, float(self.prices.get(good, 0.0))) for good in goods])


def _copies(market: PseudoMarket, bundles: dict[str, list[str]]) -> IntArray:
    """Read fairpyx's bundles; what an agent does not accept is left out."""
    pair = {
        key: p
        for p, key in enumerate(zip(market.pair_agent.tolist(), market.pair_good.tolist(), strict=True))
    }
    column = {good: j for j, good in enumerate(market.goods)}
    copies = np.zeros(market.values.nnz, dtype=np.int64)
    for i, agent in enumerate(market.agents):
        for good in bundles.get(agent, ()):
            at = pair.get((i, column[good]))
            if at is not None:
                copies[at] += 1
    return copies
