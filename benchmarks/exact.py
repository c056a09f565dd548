"""How often exact equilibria are found, how long that takes, and whether other roads agree.

``python -m benchmarks.exact --seeds 20 --goods 3 4 5 6 --agents 3 5 --only families hz roads scale``

Four tables. *families*: random economies of agents of all families of valuations, by numbers of goods and
agents, then of each family alone. *hz*: integer Hylland–Zeckhauser markets, n agents and n goods, values 0 to
100, equal budgets. Columns: solved exactly in fractions, in a proven box (irrational), not; median and
largest processor seconds; bits of the largest denominator of a price. *roads*: the same small structured
markets by bundles, exactly, and by the other roads, in floating point: how many are certified by both, how
many of the latter pass the economy's certificate too, and how many are at the same prices (equilibria need
not be unique). *scale*: economies with more goods than bundles are listed for: columns from demand oracles,
a lottery by column generation, and the certificate, in floating point.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np

import fairlot as fl
from fairlot.certificate import Status
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import UnitDemand
from fairlot.pseudomarket.bundles.markets import as_economy
from fairlot.pseudomarket.bundles.solve import solve_economy
from fairlot.testing.economies import FAMILIES, random_economy

HZ = {3: 60, 4: 60, 5: 40, 6: 40}
"""Markets of each size."""


def hylland_zeckhauser(n: int, seed: int) -> FiatEconomy:
    """N agents who want one of n goods, integer values from 0 to 100."""
    rng = np.random.default_rng(seed)
    return FiatEconomy(tuple(UnitDemand(row) for row in rng.integers(0, 101, (n, n)).tolist()), 1)


def exactly(name: str, economies: list[FiatEconomy]) -> None:
    """Solve economies exactly and print a row."""
    rational = boxes = 0
    seconds, bits = [], [0]
    for economy in economies:
        began = time.process_time()
        found = solve_economy(economy, method="exact")
        seconds.append(time.process_time() - began)
        if found.status is not Status.CERTIFIED:
            continue
        if found.enclosure is not None:
            boxes += 1
        else:
            rational += 1
            bits += [Fraction(price).denominator.bit_length() for price in found.prices or ()]
    failed = len(economies) - rational - boxes
    line = f"{name:<24} {len(economies):>5} {rational:>9} {boxes:>6} {failed:>6}"
    print(f"{line} {statistics.median(seconds):>9.3f} {max(seconds):>9.3f} {max(bits):>6}", flush=True)


def head() -> None:
    """Print the head of the exact tables."""
    print(
        f"{'class':<24} {'cases':>5} {'fractions':>9} {'boxes':>6} {'failed':>6} "
        f"{'median s':>9} {'largest s':>9} {'bits':>6}"
    )


def families(options: argparse.Namespace) -> None:
    """Run random economies, all families mixed, and each family by itself."""
    head()
    for n_goods in options.goods:
        for n_agents in options.agents:
            cases = [random_economy(n_goods, n_agents, seed) for seed in range(options.seeds)]
            exactly(f"{n_goods} goods, {n_agents} agents", cases)
    for name in sorted(FAMILIES):
        cases = [random_economy(4, 3, seed, families=[name]) for seed in range(options.seeds)]
        exactly(name, cases)


def hz(options: argparse.Namespace) -> None:
    """Run integer Hylland–Zeckhauser markets."""
    head()
    for n, cases in HZ.items():
        exactly(f"{n} x {n}", [hylland_zeckhauser(n, seed) for seed in range(cases)])


def as_bundles(market: fl.PseudoMarket, found: fl.Equilibrium) -> fl.BundleLottery:
    """Write the lottery of a structured market's equilibrium out, over bundles of numbered copies."""
    lottery = found.lottery()
    terms = fl.decompose(lottery)
    agents = [market.agents.index(name) for name in lottery.agents]
    first = np.concatenate([[0], np.cumsum(np.minimum(market.capacities, market.n_agents + 1))])
    goods = [int(first[market.goods.index(name)]) for name in lottery.goods]
    assignments = []
    for t in range(terms.n_terms):
        bundles: list[list[int]] = [[] for _ in agents]
        given = dict.fromkeys(goods, 0)
        for cell in np.flatnonzero(terms.copies(t)):
            start = goods[lottery.cell_good[cell]]
            bundles[agents[lottery.cell_agent[cell]]].append(start + given[start])
            given[start] += 1
        assignments.append(tuple(map(tuple, bundles)))
    weights = tuple(Fraction(int(w), lottery.denominator) for w in terms.weights)
    return fl.BundleLottery(weights, tuple(assignments))


def roads(options: argparse.Namespace) -> None:
    """Solve the same structured markets by two roads, and have each judged by the other's certificate."""
    both = same = cross = cases = 0
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        goods = ["a", "b", "c", "d"]
        market = fl.PseudoMarket.from_arrays(
            rng.integers(0, 30, (4, 4)),
            rng.integers(1, 3, 4),
            rng.integers(1, 4, 4),
            goods=goods,
            quotas=[fl.Quota("load", max=2)],
            tapers=[fl.Taper("second", (0, -3), goods=goods[:2])] if seed % 2 else [],
            limits=[fl.Limit("hall", max=2, goods=goods[:2])] if seed % 3 else [],
        )
        cases += 1
        exact = fl.solve_equilibrium(market, method="exact")
        other = fl.solve_equilibrium(market)
        certified = exact.status is Status.CERTIFIED and other.status is Status.CERTIFIED
        both += certified
        if certified and exact.prices is not None and other.prices is not None:
            same += bool(np.abs(exact.prices - other.prices).max() <= 1e-6)
            copies = np.minimum(market.capacities, market.n_agents + 1)
            limit_prices = [] if other.row_prices is None else other.row_prices[market.n_goods :]
            judged = fl.verify_walrasian(
                as_economy(market),
                np.repeat(other.prices, copies).tolist(),
                as_bundles(market, other),
                limit_prices=[float(price) for price in limit_prices],
                tol=1e-9,
            )
            cross += judged.passed
    print(f"{cases} structured markets: {both} certified by both roads; of these the floating-point answer's")
    print(f"lottery over bundles is certified as an economy's in {cross}, prices are the same in {same}")


def scale(options: argparse.Namespace) -> None:
    """Solve larger economies in floating point, asking oracles only."""
    print(f"{'economy':<20} {'status':<12} {'seconds':>8} {'columns':>8} {'terms':>6} {'residual':>9}")
    names = sorted(set(FAMILIES) - {"linear", "graphic", "transversal"})
    for n in options.sizes:
        rg = random.Random(n)
        valuations = tuple(FAMILIES[rg.choice(names)](n, rg) for _ in range(n))
        economy = FiatEconomy(valuations, tuple(rg.randint(1, 3) for _ in range(n)))
        began = time.process_time()
        found = solve_economy(economy, method="bundles")
        seconds = time.process_time() - began
        terms = 0 if found.lottery is None else found.lottery.n_terms
        columns = found.stats.parameters.get("columns", 0)
        line = f"{n:>3} x {n:<14} {found.status.value:<12} {seconds:>8.1f} {columns:>8} {terms:>6}"
        print(f"{line} {found.certificate.worst:>9.1e}", flush=True)


TABLES: dict[str, Callable[[argparse.Namespace], None]] = {
    "families": families,
    "hz": hz,
    "roads": roads,
    "scale": scale,
}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="random economies of each class")
    parser.add_argument("--goods", nargs="+", type=int, default=[3, 4, 5, 6])
    parser.add_argument("--agents", nargs="+", type=int, default=[3, 5])
    parser.add_argument("--sizes", nargs="+", type=int, default=[10, 20, 30], help="goods and agents, scale")
    parser.add_argument("--only", nargs="+", choices=sorted(TABLES), default=list(TABLES))
    options = parser.parse_args()
    for name in options.only:
        print(f"\n{name}")
        TABLES[name](options)


if __name__ == "__main__":
    main()
