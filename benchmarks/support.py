"""Support functions by number of tasks and belief: gain, bound, seconds.

``python -m benchmarks.support --tasks 2 3 4 5 8 12 --bound 4``

Every agent has one instance of each task, each worth 1. Each line: tasks, belief, gain out of sample and its
standard error, rays, processor seconds of the search, the bound and its kind (up to ``--bound`` tasks),
processor seconds of the bound, and two benchmarks on a sample of 256 types: the reduced-form BIC program
(its ratio to the gain is the price of obviousness) and the first best. A second table certifies samples.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.support.bic import bic_benchmark
from fairlot.reallocation.support.bounds.sample import first_best_gain, sample_bound
from fairlot.reallocation.support.search import best_menu
from fairlot.reallocation.support.support import support_function
from fairlot.reallocation.support.terms import Terms

FAMILIES = {
    "uniform": Beliefs.uniform(0.5, 1.5),
    "lognormal": Beliefs.lognormal(1.0, 0.5),
    "beta": Beliefs.beta(0.25, 2.25, 0.5, 0.5),
}
SAMPLES = {3: (1024, 0.01), 4: (1024, 0.02), 5: (256, 0.05), 6: (256, 0.1)}


def one_agent(n_tasks: int, belief: Beliefs) -> ReallocationProblem:
    """Make a problem of one agent with one instance of each task."""
    return ReallocationProblem.from_arrays(np.ones((1, n_tasks)), np.ones((1, n_tasks)), belief)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 3, 4, 5, 8, 12])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--bound", type=int, default=0, help="bound up to this many tasks")
    parser.add_argument("--bic", type=int, default=0, help="solve the BIC program up to this many tasks")
    parser.add_argument("--samples", type=int, nargs="*", default=[], choices=SAMPLES, help="certify samples")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds given to each bound")
    options = parser.parse_args()
    support_function(one_agent(3, FAMILIES["uniform"]), 0, np.ones(3))  # compile
    print(f"{'tasks':>5} {'belief':>10} {'gain':>9} {'error':>8} {'rays':>4} {'s':>6}", end=" ")
    print(f"{'bound':>9} {'kind':>14} {'s':>7} {'BIC':>8} {'first best':>10}")
    for n_tasks in options.tasks:
        for family in options.families:
            problem, w = one_agent(n_tasks, FAMILIES[family]), np.ones(n_tasks)
            began = time.process_time()
            found = support_function(problem, 0, w)
            seconds = time.process_time() - began
            print(f"{n_tasks:>5} {family:>10} {found.gain:>9.5f} {found.standard_error:>8.1e}", end=" ")
            print(f"{len(found.menu.rays):>4} {seconds:>6.2f}", end=" ", flush=True)
            bound, kind, took = np.nan, "", 0.0
            if n_tasks <= options.bound:
                began = time.process_time()
                proven = support_function(problem, 0, w, bound=True, time_limit=options.limit)
                took = time.process_time() - began
                bound, kind = (proven.upper_bound or np.nan) - w.sum(), proven.bound_kind or ""
            terms = Terms.of(problem, 0)
            types = terms.types(256)
            bic = bic_benchmark(terms, types, w).gain if n_tasks <= options.bic else np.nan
            print(f"{bound:>9.5f} {kind:>14} {took:>7.2f} {bic:>8.4f}", end=" ")
            print(f"{first_best_gain(terms, types, w):>10.4f}", flush=True)
    if options.samples:
        certify(options.samples, options.families, options.limit)


def certify(sizes: list[int], families: list[str], limit: float) -> None:
    """Certify the best menu of samples, and print."""
    print(f"\n{'tasks':>5} {'belief':>10} {'types':>5} {'known':>8} {'bound':>8} {'gap %':>6}", end=" ")
    print(f"{'done':>5} {'boxes':>9} {'s':>7}")
    warm = Terms.of(one_agent(3, FAMILIES["uniform"]), 0)
    sample_bound(warm, warm.types(64), np.ones(3), tolerance=0.2)  # compile
    for n_tasks in sizes:
        n_types, tolerance = SAMPLES[n_tasks]
        for family in families:
            terms, w = Terms.of(one_agent(n_tasks, FAMILIES[family]), 0), np.ones(n_tasks)
            menus = [candidate.changes for candidate in best_menu(terms, w)[0]]
            types = terms.types(n_types, 2)
            began = time.process_time()
            found = sample_bound(terms, types, w, menus, tolerance=tolerance, time_limit=limit)
            took, gap = time.process_time() - began, 100 * (found.bound / found.known - 1)
            print(f"{n_tasks:>5} {family:>10} {n_types:>5} {found.known:>8.4f} {found.bound:>8.4f}", end=" ")
            print(f"{gap:>6.2f} {found.finished!s:>5} {found.boxes:>9} {took:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
