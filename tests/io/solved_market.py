"""The market of Hylland and Zeckhauser and its equilibrium: p = (2, 1, 0), U = (50, 50, 80), exactly."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Stats, Status
from fairlot.io.equilibrium import equilibrium_files
from fairlot.io.problem import problem_files
from fairlot.lottery import market_lottery
from fairlot.model.constraints import Limit, Quota
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.pseudomarket.equilibrium import Equilibrium
from fairlot.verify.equilibrium import verify_equilibrium

MARKET = PseudoMarket.from_arrays(
    [[100, 20, 0], [100, 20, 0], [100, 80, 0]],
    capacities=[1, 9, 1],
    agents=["ann", "=bob", "eve"],
    goods=["a", "b", "-c"],
    quotas=[Quota("one", max=1)],
    limits=[Limit("laboratory", max=1, goods=["b"])],
    title="Hylland and Zeckhauser",
)


def solved(
    market: PseudoMarket = MARKET,
    prices: tuple[float, ...] = (2.0, 1.0, 0.0),
    row_prices: tuple[float, ...] = (2.0, 0.0, 0.0, 1.0),
    shares: tuple[tuple[float, ...], ...] = ((0.5, 0, 0.5), (0.5, 0, 0.5), (0, 1, 0)),
) -> Equilibrium:
    """Return the equilibrium, or a wrong one."""
    allocation = RandomAllocation(market.agents, market.goods, sp.csr_array(np.array(shares)))
    p, rows = np.array(prices), np.array(row_prices)
    certificate = verify_equilibrium(market, p, allocation, row_prices=rows)
    status = Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED
    zero = np.zeros(market.n_agents)
    stats = Stats("by hand", 0, 0.25)
    none = np.zeros(market.n_agents, dtype=bool)
    return Equilibrium(
        market, p, rows, allocation, zero, status, certificate, stats, zero, 0.0, 0.0, 0.0, none
    )


def result_files(equilibrium: Equilibrium | None = None) -> dict[str, bytes]:
    """Return the files of the equilibrium's result folder."""
    equilibrium = equilibrium or solved()
    lottery = market_lottery(equilibrium.market, equilibrium.shares)
    return equilibrium_files(equilibrium, lottery, problem_files(equilibrium.market))
