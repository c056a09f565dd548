"""The outer program: best mixtures of menus for large markets, and what they save in small ones.

``python -m benchmarks.menus --sizes 50x6 --jobs 1 2``

Each line: agents and tasks, workers, the saving found (share of the status quo's cost), the pseudo-gap (to
what the menus found would allow; not a bound), the first best beside it, rounds, menus found, seconds,
processor seconds of this process (workers have their own), peak memory, why the search ended.
``--hospital`` adds the demonstration: 40 doctors by 6 types of cases, with caps; no choice, matched pairs,
menus, and what is realised with 1 and more copies of everybody. Support functions have a benchmark of their
own: ``python -m benchmarks.support``.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from fairlot.certificate import Status
from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.design import design_menus, search_pricers
from fairlot.reallocation.large_market.generation import generate_columns
from fairlot.reallocation.large_market.pricing import Workers
from fairlot.reallocation.large_market.replicas import study_replicas
from fairlot.reallocation.simulation import simulate
from fairlot.reallocation.value.bilateral import best_bilateral_trades
from fairlot.reallocation.value.no_choice import best_without_choice, first_best

_ENDED = {
    Status.UNCERTIFIED: "gap closed",  # of the search, which proves nothing
    Status.TIME_LIMIT: "time limit",
    Status.ITERATION_LIMIT: "round limit",
}


def made_up(n_agents: int, n_tasks: int, seed: int = 0, caps: Caps | None = None) -> ReallocationProblem:
    """Make up doctors: severity by type, ability by doctor and both together, 35 to 55 cases each."""
    rng = np.random.default_rng(seed)
    severity = np.linspace(0.8, 2.2, n_tasks)
    ability = rng.normal(0.0, 0.15, (n_agents, 1)) + 0.25 * rng.normal(size=(n_agents, n_tasks))
    mix = rng.dirichlet(np.full(n_tasks, 4.0), n_agents)
    load = rng.uniform(35, 55, (n_agents, 1))
    return ReallocationProblem.from_arrays(
        mix * load,
        np.maximum(severity * (1 + ability), 0.05),
        Beliefs.lognormal(rng.uniform(0.8, 1.2, (n_agents, n_tasks)), 0.45),
        caps=caps,
    )


def run(n_agents: int, n_tasks: int, jobs: int, tol: float, limit: float) -> None:
    """Solve one outer program and print its line."""
    problem = made_up(n_agents, n_tasks)
    total = problem.status_quo_cost
    began, used = time.time(), time.process_time()
    workers = Workers("joblib", jobs, began + limit)
    market = generate_columns(problem, search_pricers(problem), tol=tol, workers=workers)
    seconds, used = time.time() - began, time.process_time() - used
    ceiling = first_best(problem, draws=2).saving / total
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{n_agents:>6} x {n_tasks:<3} {jobs:>4} {100 * market.saving / total:>8.2f} "
        f"{100 * market.pseudo_gap:>8.2f} {100 * ceiling:>8.1f} {len(market.rounds):>6} "
        f"{len(market.columns):>6} {seconds:>8.1f} {used:>8.1f} {memory:>6.0f}  {_ENDED[market.status]}",
        flush=True,
    )


def hospital(jobs: int, limit: float) -> None:
    """Print the demonstration."""
    problem = made_up(40, 6, seed=1, caps=Caps(load_growth=0.2))
    total = problem.status_quo_cost
    trades = best_bilateral_trades(problem)
    design = design_menus(problem, n_jobs=jobs, time_limit=limit)
    print(
        f"\nhospital, 40 x 6, load +20%: no choice {100 * best_without_choice(problem).saving / total:.2f}%"
    )
    print(f"matched pairs {100 * trades.saving / total:.2f}%")
    print(f"menus, large market {100 * design.mechanism.saving / total:.2f}%")
    savings, loads = design.simulation.savings, design.simulation.load_changes
    print(
        f"one menu each, realised {100 * design.expected_saving / total:.2f}%, least of {len(savings)} draws "
        f"{100 * savings.min() / total:.2f}%, load as people see it {100 * loads.mean():+.1f}%"
    )
    study = study_replicas(design.mechanism, [1, 2, 5, 10, 30, 100], draws=40)
    for row in study.rows:
        print(f"{row.replicas:>6} copies {100 * row.saving / total:>6.2f}%  share {row.share:.3f}")
    print(f"shortfall about {study.coefficient:.2f} / sqrt(copies)")
    wrong = Beliefs.uniform(0.01, 5.0)
    least = simulate(problem, design.menus, truth=wrong, draws=100).savings.min()
    print(f"beliefs all wrong: least of 100 draws {100 * least / total:.2f}%")
    same = ReallocationProblem.from_arrays(
        problem.status_quo, np.tile(problem.costs[:1], (40, 1)), problem.beliefs, caps=problem.caps
    )
    found = design_menus(same, n_jobs=jobs, draws=20, time_limit=limit)
    print(f"identical costs: {100 * found.expected_saving / same.status_quo_cost:.2f}%")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="*", default=["50x6", "500x6", "50x12"])
    parser.add_argument("--jobs", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--tol", type=float, default=0.005)
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--hospital", action="store_true")
    arguments = parser.parse_args()
    # compile the kernels, and start the workers, before anything is timed
    small = made_up(3, 3)
    for jobs in arguments.jobs:
        workers = Workers("joblib", jobs)
        generate_columns(small, search_pricers(small), tol=0.1, max_iter=2, workers=workers)
    names = ("agents x tasks", "jobs", "saving %", "gap %", "first %", "rounds", "menus", "s", "cpu s", "MB")
    print("{:>12} {:>4} {:>8} {:>8} {:>8} {:>6} {:>6} {:>8} {:>8} {:>6}  ended by".format(*names))
    for size in arguments.sizes:
        n_agents, n_tasks = map(int, size.split("x"))
        for jobs in arguments.jobs:
            run(n_agents, n_tasks, jobs, arguments.tol, arguments.limit)
    if arguments.hospital:
        hospital(max(arguments.jobs), arguments.limit)


if __name__ == "__main__":
    main()
