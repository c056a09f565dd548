"""Ex-post optimal selection: sifting beside plain HiGHS, by simplex and by interior point, in one run.

``python -m benchmarks.selection --sizes 1000 10000 100000 1000000 --tasks 10``

Every agent has picked a ray of a random menu. Each line: agents, seconds and relative gap of sifting (value
against the bound that its prices prove), rounds, seconds of the two plain solvers and how far their
values are from sifting's (``nan`` where the limit came first), peak memory. Then the growth: the exponent
fitted to the seconds.
"""

from __future__ import annotations

import argparse
import resource
import time

import highspy
import numpy as np
import scipy.sparse as sp

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


def plain(columns: np.ndarray, costs: np.ndarray, solver: str, limit: float) -> tuple[float, float]:
    """Hand HiGHS the whole program; returns seconds, and the value or NaN if the limit was reached."""
    n, n_tasks = columns.shape
    transposed = sp.csc_array(columns.T)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = n, n_tasks
    model.col_cost_, model.col_lower_, model.col_upper_ = costs, np.zeros(n), np.ones(n)
    model.row_lower_ = model.row_upper_ = np.zeros(n_tasks)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = transposed.indptr.astype(np.int32)
    model.a_matrix_.index_ = transposed.indices.astype(np.int32)
    model.a_matrix_.value_ = transposed.data
    highs = highspy.Highs()
    options = {"output_flag": False, "threads": 1, "solver": solver, "time_limit": limit}
    for option, value in options.items():
        highs.setOptionValue(option, value)
    highs.passModel(model)
    began = time.perf_counter()
    highs.run()
    seconds = time.perf_counter() - began
    done = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return seconds, highs.getInfo().objective_function_value if done else np.nan


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds given to each plain solve")
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
            took, value = plain(columns, costs, solver, options.limit)
            seconds[name].append(took if np.isfinite(value) else np.nan)
            shown = f"{took:.3f}" if np.isfinite(value) else f">{took:.0f}"
            print(f"{shown:>10} {(value - found.value) / abs(found.value):>9.1e}", end=" ", flush=True)
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>8.0f}")
    for name, times in seconds.items():
        done = np.isfinite(times)
        if done.sum() > 1:
            slope = np.polyfit(np.log(np.array(options.sizes)[done]), np.log(np.array(times)[done]), 1)[0]
            print(f"{name}: seconds grow like agents^{slope:.2f}")


if __name__ == "__main__":
    main()
