"""How often timetables come out exact, how long that takes, and how many terms it needs.

``python -m benchmarks.timetables --sizes 100x20 200x30 --seeds 50``

Markets are made up: grades 0 to 10 full of ties, two sections of a course, six slots, load 5, seats from 0.4
to 1.2 of what would be taken, by seed; ``--meetings`` has classes that overlap by time instead of slots.
``--folder`` solves problem folders. Columns: the market; acceptable pairs; outcome; seconds of processor
time; terms; largest difference between published shares and the solver's; linear and integer programs; worst
residual; largest utility gap. Then, per size, how many came out how.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np

from fairlot.model.market import PseudoMarket
from fairlot.model.tasks import ReallocationProblem
from fairlot.pseudomarket.timetable.result import TimetableEquilibrium
from fairlot.pseudomarket.timetable.solve import solve_timetable
from fairlot.testing import timetable_market

RATIOS = (0.4, 0.6, 0.8, 1.0, 1.2)
SIZES = ("50x12", "100x20")
FULL_SIZES = ("100x20", "500x50", "1000x100", "2000x300")
HEADER = f"{'market':<42} {'pairs':>8} {'outcome':>10} {'seconds':>8} {'terms':>6} {'deviation':>9} "
HEADER += f"{'LPs':>5} {'MIPs':>5} {'residual':>9} {'gap':>9}"


def row(market: PseudoMarket, found: TimetableEquilibrium, seconds: float) -> str:
    """Write a line of the table."""
    lottery = found.drawn_from
    terms = 0 if lottery is None or lottery.terms is None else lottery.terms.n_terms
    gap = float(np.max(found.utility_loss)) if found.prices is not None else np.nan
    worst = found.certificate.worst if found.certificate.checks else np.nan
    outcome = str(found.outcome or found.status)
    return (
        f"{market.title[:42]:<42} {market.values.nnz:>8} {outcome:>10} {seconds:>8.1f} {terms:>6} "
        f"{found.deviation:>9.1e} {found.programs:>5} {found.integer_programs:>5} {worst:>9.1e} {gap:>9.1e}"
    )


def measure(market: PseudoMarket, time_limit: float | None) -> TimetableEquilibrium:
    """Solve a market and print its line."""
    began = time.process_time()
    found = solve_timetable(market, time_limit=time_limit)
    print(row(market, found, time.process_time() - began), flush=True)
    return found


def main() -> None:
    """Solve the markets asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=SIZES, help=f"such as {' '.join(FULL_SIZES)}")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kind", default="grades")
    parser.add_argument("--meetings", action="store_true")
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("--folder", nargs="*", default=[])
    given = parser.parse_args()
    solve_timetable(timetable_market(8, 6, slots=3, load=2))  # compiles what is compiled on first use
    print(HEADER)
    for folder in given.folder:
        from fairlot.io.problem import read_problem

        problem = read_problem(folder)
        if isinstance(problem, ReallocationProblem):
            parser.error(f"{folder} is no pseudo-market")
        measure(problem, given.time_limit)
    for size in given.sizes:
        n_agents, n_goods = (int(part) for part in size.split("x"))
        outcomes: Counter[str] = Counter()
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            ratio = RATIOS[seed % len(RATIOS)]
            market = timetable_market(
                n_agents, n_goods, seed, ratio, kind=given.kind, meetings=given.meetings
            )
            found = measure(market, given.time_limit)
            outcomes[str(found.outcome or found.status)] += 1
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        print(f"{size}, {given.seeds} seeds: {counts}", flush=True)


if __name__ == "__main__":
    main()
