"""How long an equilibrium takes, what it needs, and how both grow.

``python -m benchmarks.equilibrium`` runs the small rows in about three minutes, ``--full`` all of them,
``--rows NAME ...`` those named, and ``--list`` tells the names. ``--data DIR`` adds rows for problem folders
in DIR where they are: umass-courses, umass-slots and reviews-2015, the last also with its minimum raised to
9. ``--out FILE.json`` or ``FILE.csv`` keeps every single run.

All seeds of a row are solved in one process of its own, after a small market has warmed it up. Columns: the
row; runs certified; acceptable pairs; the road; median processor seconds of solving, certificate included,
and the largest; what was aimed at; factorisations (median); worst residual of the certified; worst utility
loss at true budgets of the others; seconds of one more certificate; peak memory of the process in MB, some
200 of them for the libraries. Rows named ``start-...`` solve a market after a small change, from scratch and
from the equilibrium before. Rows named ``growth-...`` fit exponents to processor seconds over sizes.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import platform
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from fairlot.model.market import PseudoMarket
from fairlot.testing import course_market, unit_demand


@dataclass(frozen=True)
class Row:
    """Markets to solve, one per seed or per size."""

    name: str
    make: Callable[[int], PseudoMarket]
    aim: str
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    quick: bool = False
    time_limit: float | None = None
    change: Callable[[PseudoMarket, int], PseudoMarket] | None = None
    growth: bool = False


@dataclass(frozen=True)
class Run:
    """What solving one market took."""

    row: str
    seed: int
    agents: int
    pairs: int
    road: str
    status: str
    seconds: float
    factorisations: int
    residual: float
    loss: float
    checking: float
    megabytes: float


def courses(n_agents: int, n_goods: int, acceptable: float = 1.0) -> Callable[[int], PseudoMarket]:
    """Make course markets, plentiful, tight and scarce in turn; a load and departments inside it."""

    def make(seed: int) -> PseudoMarket:
        return course_market(n_agents, n_goods, seed, (1.3, 0.9, 0.6)[seed % 3], acceptable=acceptable)

    return make


def things(n_agents: int, n_goods: int, kind: str) -> Callable[[int], PseudoMarket]:
    """Make markets of unit demand, with as many seats as agents."""
    return lambda seed: unit_demand(n_agents, n_goods, seed, kind)


def raised(market: PseudoMarket, least: int) -> PseudoMarket:
    """Raise the minimum of a market's one quota."""
    (quota,) = market.quotas
    return replace(market, quotas=(replace(quota, min=least),))


def folder(path: Path, least: int | None = None) -> Callable[[int], PseudoMarket]:
    """Read a problem folder, whatever the seed."""

    def make(seed: int) -> PseudoMarket:
        from fairlot.io.problem import read_problem

        market = read_problem(path)
        if not isinstance(market, PseudoMarket):
            raise TypeError(path)
        return market if least is None else raised(market, least)

    return make


def drop_out(market: PseudoMarket, seed: int) -> PseudoMarket:
    """Let one agent drop out."""
    gone = (7919 * (seed + 1)) % market.n_agents
    stays = np.arange(market.n_agents) != gone

    def cut(bound: Any) -> Any:
        return [b for b, stay in zip(bound, stays, strict=True) if stay] if isinstance(bound, list) else bound

    return replace(
        market,
        agents=tuple(agent for agent, stay in zip(market.agents, stays, strict=True) if stay),
        budgets=market.budgets[stays],
        values=market.values[stays],
        quotas=tuple(replace(quota, min=cut(quota.min), max=cut(quota.max)) for quota in market.quotas),
    )


def more_seats(market: PseudoMarket, seed: int) -> PseudoMarket:
    """Add a copy of one good."""
    capacities = market.capacities.copy()
    capacities[(7919 * (seed + 1)) % market.n_goods] += 1
    return replace(market, capacities=capacities)


def rows(data: Path | None) -> list[Row]:
    """All rows, with those for problem folders where there are any."""
    table = [
        Row("courses-500x50", courses(500, 50), "1 s", quick=True),
        Row("courses-2000x300", courses(2000, 300), "20 s"),
        Row("two-level-1700x350", courses(1700, 350), "45 s"),
        Row("courses-2000x300-sparse", courses(2000, 300, acceptable=0.1), "a tenth of dense", quick=True),
        Row("courses-20000x100-sparse", courses(20_000, 100, acceptable=0.1), "600 s, 8 GiB", (0, 1, 2)),
        Row("courses-20000x300-sparse", courses(20_000, 300, acceptable=0.1), "", (0,)),
        Row("unit-100x100", things(100, 100, "correlated"), "0.3 s", quick=True),
        Row("unit-1000x50-uniform", things(1000, 50, "uniform"), "3 s", quick=True),
        Row("unit-500x500-correlated", things(500, 500, "correlated"), "10 s", time_limit=180.0),
        Row("unit-200x200-uniform", things(200, 200, "uniform"), "4 of 5", time_limit=180.0),
        Row("unit-300x300-uniform", things(300, 300, "uniform"), "180 s or loss 1e-3", time_limit=180.0),
        Row("start-500x50-drop-out", courses(500, 50), "a tenth", quick=True, change=drop_out),
        Row("start-500x50-seat", courses(500, 50), "a tenth", quick=True, change=more_seats),
        Row("start-2000x300-drop-out", courses(2000, 300), "a tenth", (0, 1, 2), change=drop_out),
        Row(
            "growth-agents-x50",
            lambda size: course_market(size, 50, 1, 0.9),
            "1",
            (250, 500, 1000, 2000, 4000),
            quick=True,
            growth=True,
        ),
        Row(
            "growth-agents-x100-sparse",
            lambda size: course_market(size, 100, 1, 0.9, acceptable=0.1),
            "1",
            (1250, 2500, 5000, 10_000, 20_000),
            growth=True,
        ),
    ]
    folders = [("umass-courses", None, "5 s"), ("umass-slots", None, "5 s"), ("reviews-2015", None, "20 s")]
    for name, least, aim in [*folders, ("reviews-2015", 9, "certified")]:
        if data is not None and (data / name).is_dir():
            label = name if least is None else f"{name}-min-{least}"
            table.append(Row(label, folder(data / name, least), aim, (0,)))
    return table


def solve_row(name: str, data: Path | None) -> list[Run]:
    """Solve all markets of a row, warmed up, and measure."""
    from fairlot.pseudomarket.equilibrium import Equilibrium
    from fairlot.pseudomarket.solve import solve_equilibrium
    from fairlot.verify.equilibrium import verify_equilibrium

    (row,) = (row for row in rows(data) if row.name == name)
    small = course_market(12, 6, departments=2, load=2)
    solve_equilibrium(small, start=solve_equilibrium(small))

    def run(
        label: str, market: PseudoMarket, seed: int, start: Equilibrium | None
    ) -> tuple[Equilibrium, Run]:
        began = time.process_time()
        found = solve_equilibrium(market, time_limit=row.time_limit, start=start)
        seconds = time.process_time() - began
        began = time.process_time()
        if found.prices is not None and found.shares is not None:
            verify_equilibrium(market, found.prices, found.shares, row_prices=found.row_prices)
        return found, Run(
            label,
            seed,
            market.n_agents,
            market.values.nnz,
            found.stats.method,
            found.status.value,
            seconds,
            found.stats.iterations,
            found.certificate.worst,
            float(np.max(found.utility_loss)),
            time.process_time() - began,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )

    runs = []
    for seed in row.seeds:
        market = row.make(seed)
        found, made = run(row.name, market, seed, None)
        if row.change is None:
            runs.append(made)
            continue
        changed = row.change(market, seed)
        for label, start in (("anew", None), ("from start", found)):
            runs.append(run(f"{row.name}, {label}", changed, seed, start)[1])
    return runs


def exponent(sizes: list[int], costs: list[float]) -> str:
    """Fit cost ~ size^k on logarithms; at least four sizes, else nothing is claimed."""
    if len(set(sizes)) < 4:
        return "n/a (fewer than four sizes)"
    slope = np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-4)), 1)[0]
    return f"{slope:.2f}"


def line(label: str, runs: list[Run], aim: str) -> str:
    """Summarise runs in one line of the table."""
    good = [run for run in runs if run.status == "certified"]
    bad = [run.loss for run in runs if run.status != "certified"]
    seconds = [run.seconds for run in runs]
    roads = ", ".join(sorted({run.road for run in runs}))
    residual = f"{max(run.residual for run in good):.1e}" if good else "-"
    loss = f"{max(bad):.1e}" if bad else "-"
    return (
        f"{label:<36} {len(good):>2}/{len(runs):<2} {median(r.pairs for r in runs):>9.0f} {roads:<12} "
        f"{median(seconds):>8.2f} {max(seconds):>8.2f}  {aim:<18} "
        f"{median(r.factorisations for r in runs):>6.0f} {residual:>8} {loss:>8} "
        f"{median(r.checking for r in runs):>7.2f} {max(r.megabytes for r in runs):>6.0f}"
    )


def machine() -> str:
    """Tell on what this ran."""
    import numba
    import scipy

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [row.split(":", 1)[1].strip() for row in info.read_text().splitlines() if "model name" in row]
        model = names[0] if names else model
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    return (
        f"{model}, OMP_NUM_THREADS {threads}; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}, Numba {numba.__version__}"
    )


def keep(runs: list[Run], path: Path) -> None:
    """Write all runs as JSON or CSV, by the ending of the name."""
    records = [asdict(run) for run in runs]
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(records[0]))
            writer.writeheader()
            writer.writerows(records)
    else:
        path.write_text(json.dumps({"machine": machine(), "runs": records}, indent=1) + "\n")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all rows")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="these rows, or all whose names begin so")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--data", type=Path, help="folder of problem folders")
    parser.add_argument("--out", type=Path, help="file for all runs, .json or .csv")
    options = parser.parse_args()
    table = rows(options.data)
    if options.list:
        print("\n".join(f"{row.name:<28} {row.aim}{'' if row.quick else '  (--full)'}" for row in table))
        return
    if options.rows:
        chosen = [row for row in table if row.name.startswith(tuple(options.rows))]
        if not chosen:
            parser.error(f"no row begins with {' or '.join(options.rows)}; --list tells the names")
    else:
        chosen = [row for row in table if row.quick or options.full]
    print(machine())
    print(
        f"{'row':<36} {'cert.':>5} {'pairs':>9} {'road':<12} {'median s':>8} {'max s':>8}  {'aim':<18} "
        f"{'fact.':>6} {'residual':>8} {'loss':>8} {'check s':>7} {'MB':>6}"
    )
    context = multiprocessing.get_context("spawn")
    everything: list[Run] = []
    for row in chosen:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            runs = pool.submit(solve_row, row.name, options.data).result()
        everything += runs
        for label in dict.fromkeys(run.row for run in runs):
            print(line(label, [run for run in runs if run.row == label], row.aim), flush=True)
        if row.growth:
            good = [run for run in runs if run.status == "certified"]
            seconds = [run.seconds for run in good]
            steps = [run.seconds / max(run.factorisations, 1) for run in good]
            agents, pairs = [run.agents for run in good], [run.pairs for run in good]
            print(
                f"    exponent of seconds in agents {exponent(agents, seconds)}, in pairs "
                f"{exponent(pairs, seconds)}; of seconds a factorisation in agents {exponent(agents, steps)}",
                flush=True,
            )
    if options.out is not None and everything:
        keep(everything, options.out)


if __name__ == "__main__":
    main()
