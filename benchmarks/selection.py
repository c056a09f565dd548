"""Ex-post optimal selection: sifting beside plain HiGHS, by simplex and by interior point, in one run.

``python -m benchmarks.selection --sizes 1000 10000 100000 1000000 --tasks 10``

Every agent has picked a ray of a random menu. Each line: agents, seconds and relative gap of sifting (value
against the bound that its prices prove), rounds, seconds of the two plain solvers and how far their
values are from sifting's, peak memory. Then the growth: the exponent fitted to the seconds.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import scipy.sparse as sp

from fairlot.reallocation.programs import LinearProgram, solve_program
from fairlot.reallocation.selection import select


def random_picks(n_agents: int, n_tasks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one ray per agent, taking off a random part of her work, and what it costs."""
    rng = np.random.default_rng(seed)
    endowment = rng.uniform(1, 8, (n_agents, n_tasks))
    takes = rng.random((n_agents, n_tasks)) < 0.35
    takes[np.arange(n_agents), rng.integers(n_tasks, size=n_agents)] = True
    takes[np.arange(n_agents), rng.integers(n_tasks, size=n_agents)] = False
    off = -endowment * rng.uniform(0.3, 1, takes.shape)
    on = endowment * rng.exponential(0.5, takes.shape)
    columns = np.where(takes, off, on)
    return columns, (columns * rng.uniform(0.5, 2, takes.shape)).sum(axis=1)


def plain(columns: np.ndarray, costs: np.ndarray, solver: str) -> tuple[float, float]:
    """Solve the whole program at once; returns seconds and value."""
    zero = np.zeros(columns.shape[1])
    program = LinearProgram(
        costs, np.zeros(len(costs)), np.ones(len(costs)), sp.csc_array(columns.T), zero, zero
    )
    began = time.perf_counter()
    value = solve_program(program, solver).value
    return time.perf_counter() - began, value


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain-up-to", type=int, default=1_000_000, help="largest size for plain HiGHS")
    options = parser.parse_args()
    print(f"{'agents':>9} {'sifting s':>10} {'gap':>9} {'rounds':>6}", end=" ")
    print(f"{'simplex s':>10} {'apart':>9} {'interior s':>10} {'apart':>9} {'peak MB':>8}")
    seconds: dict[str, list[float]] = {"sifting": [], "simplex": [], "interior point": []}
    for size in options.sizes:
        columns, costs = random_picks(size, options.tasks, options.seed)
        began = time.perf_counter()
        found = select(columns, costs, np.ones(size))
        seconds["sifting"].append(time.perf_counter() - began)
        gap = (found.value - found.bound) / abs(found.value)
        print(f"{size:>9} {seconds['sifting'][-1]:>10.3f} {gap:>9.1e} {found.rounds:>6}", end=" ", flush=True)
        for name, solver in (("simplex", "simplex"), ("interior point", "ipm")):
            if size <= options.plain_up_to:
                took, value = plain(columns, costs, solver)
                seconds[name].append(took)
                print(f"{took:>10.3f} {(value - found.value) / abs(found.value):>9.1e}", end=" ", flush=True)
            else:
                print(f"{'-':>10} {'-':>9}", end=" ")
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>8.0f}")
    for name, times in seconds.items():
        if len(times) > 1:
            slope = np.polyfit(np.log(options.sizes[: len(times)]), np.log(times), 1)[0]
            print(f"{name}: seconds grow like agents^{slope:.2f}")


if __name__ == "__main__":
    main()
