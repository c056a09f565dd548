"""How long an equilibrium takes, what it needs, and how both grow.

``python -m benchmarks.equilibrium --sizes 50x10 100x20 200x40 400x80 --kinds correlated --seeds 3``

Each market is solved in a process of its own, after a small one has warmed it up. Columns: the market;
acceptable pairs; the road that gave the result; seconds; peak memory of the process, some 200 MB of it
for the libraries; worst residual of the certificate; seconds of the certificate alone; status. Then, per
family of markets, the exponents fitted to seconds over the sizes, in the number of agents (goods grow
along) and of pairs, counting certified runs only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from fairlot.model.market import PseudoMarket
from fairlot.testing import VALUE_KINDS, course_market, unit_demand

SIZES = ("50x10", "100x20", "200x40", "400x80")
FULL_SIZES = (*SIZES, "800x120", "1200x200", "2000x300")


@dataclass(frozen=True)
class Case:
    """One market to solve."""

    family: str
    n_agents: int
    n_goods: int
    kind: str
    seed: int
    method: str
    time_limit: float | None

    def market(self) -> PseudoMarket:
        """Make the market."""
        if self.family == "unit":
            return unit_demand(self.n_agents, self.n_goods, self.seed, self.kind)
        tight = (1.3, 0.9, 0.6)[self.seed % 3]
        return course_market(self.n_agents, self.n_goods, self.seed, tight, kind=self.kind)


@dataclass(frozen=True)
class Run:
    """What solving it took."""

    pairs: int
    road: str
    seconds: float
    megabytes: float
    residual: float
    checking: float
    status: str


def run(case: Case) -> Run:
    """Solve one market, warmed up, and measure."""
    from fairlot.pseudomarket.solve import solve_equilibrium
    from fairlot.verify.equilibrium import verify_equilibrium

    solve_equilibrium(course_market(12, 6, departments=2, load=2))
    market = case.market()
    began = time.perf_counter()
    found = solve_equilibrium(market, method=case.method, time_limit=case.time_limit, seed=case.seed)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    if found.prices is not None and found.shares is not None:
        verify_equilibrium(market, found.prices, found.shares, row_prices=found.row_prices)
    checking = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(
        market.values.nnz, found.stats.method, seconds, peak, found.certificate.worst, checking, found.status
    )


def exponent(sizes: list[int], costs: list[float]) -> str:
    """Fit cost ~ size^k on logarithms; at least four sizes, else nothing is claimed."""
    if len(set(sizes)) < 4:
        return "n/a (fewer than four sizes)"
    slope = np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-4)), 1)[0]
    return f"{slope:.2f}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=["unit", "course"], default=["unit", "course"])
    parser.add_argument("--sizes", nargs="+", metavar="AGENTSxGOODS")
    parser.add_argument("--kinds", nargs="+", choices=VALUE_KINDS, default=["correlated"])
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds, from 0")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds per market")
    parser.add_argument("--full", action="store_true", help="sizes up to 2000 x 300 and all kinds of values")
    options = parser.parse_args()
    sizes = options.sizes or (FULL_SIZES if options.full else SIZES)
    kinds = VALUE_KINDS if options.full else options.kinds
    context = multiprocessing.get_context("spawn")
    head = f"{'market':<34} {'pairs':>8} {'road':<7} {'seconds':>8} {'peak MB':>8} {'residual':>9}"
    print(f"{head} {'check s':>8} status")
    done: dict[tuple[str, str], list[tuple[Case, Run]]] = {}
    for family in options.families:
        for kind in kinds:
            for size in sizes:
                n_agents, n_goods = (int(part) for part in size.split("x"))
                for seed in range(options.seeds):
                    limit = options.time_limit
                    case = Case(family, n_agents, n_goods, kind, seed, options.method, limit)
                    with ProcessPoolExecutor(1, mp_context=context) as pool:
                        result = pool.submit(run, case).result()
                    name = f"{family} {size} {kind} {seed}"
                    line = f"{name:<34} {result.pairs:>8} {result.road:<7} {result.seconds:>8.2f}"
                    line += f" {result.megabytes:>8.0f} {result.residual:>9.1e} {result.checking:>8.3f}"
                    print(f"{line} {result.status}", flush=True)
                    if result.status == "certified":
                        done.setdefault((family, kind), []).append((case, result))
    print()
    for (family, kind), results in done.items():
        agents = [case.n_agents for case, _ in results]
        pairs = [result.pairs for _, result in results]
        seconds = [result.seconds for _, result in results]
        print(
            f"{family} {kind}: {len(results)} certified; exponent of seconds in agents "
            f"{exponent(agents, seconds)}, in pairs {exponent(pairs, seconds)}"
        )


if __name__ == "__main__":
    main()
