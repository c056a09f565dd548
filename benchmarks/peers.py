"""Our equilibrium beside fairpyx's allocators on the same instances: seconds, clearing on both sides, envy.

``python -m benchmarks.peers [--seeds 5] [--time-limit 120] [--sizes 20x8,50x10,100x20] [--out peers.csv]``

Needs the extra ``compare``. Markets are made up: values half common quality, half taste, integers of at most
100; everybody takes up to 3 or 5 courses, and there are seats for 80% of that. Every run is a process of its
own; seconds leave imports and compilation out. Envy is judged at equal budgets, whatever budgets a mechanism
drew for itself; overspending is beyond the true budget.
"""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version

import numpy as np

from fairlot.baselines.comparison import compare_mechanisms
from fairlot.io.comparison import comparison_records, refuse_table, write_table
from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket

MECHANISMS = [
    "equilibrium",
    "aceei",
    "almost-egalitarian",
    "iterated-matching",
    "serial-dictatorship",
    "round-robin",
]
COLUMNS = [
    ("seconds", "seconds", 9, 2),
    ("clearing_over", "over", 7, 1),
    ("clearing_under", "left", 7, 1),
    ("clearing_error", "error", 7, 2),
    ("overspending", "overspent", 10, 3),
    ("envious_ex_ante", "envious", 8, 2),
    ("welfare", "welfare", 8, 3),
    ("worst_off", "worst", 7, 3),
    ("waste", "waste", 7, 1),
    ("improvement", "gain", 9, 5),
]


def made_up(n_agents: int, n_goods: int, seed: int) -> PseudoMarket:
    """Make one market."""
    rng = np.random.default_rng(seed)
    load = 3 if n_goods <= 10 else 5
    quality = rng.random(n_goods)
    values = np.rint(50 * (quality + rng.random((n_agents, n_goods))))
    seats = int(np.ceil(0.8 * n_agents * load / n_goods))
    return PseudoMarket.from_arrays(values, capacities=seats, quotas=[Quota("load", max=load)])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--time-limit", type=float, default=120.0)
    parser.add_argument("--sizes", default="20x8,50x10,100x20,200x30")
    parser.add_argument("--out", default=None)
    arguments = parser.parse_args()
    if arguments.out is not None:
        refuse_table(arguments.out)
    peer = version("fairpyx")
    print(f"fairlot {version('fairlot')}, fairpyx {peer}, Python {platform.python_version()}")
    print(f"{'':28}" + "".join(f"{title:>{width}}" for _, title, width, _ in COLUMNS))
    records = []
    for size in arguments.sizes.split(","):
        n_agents, n_goods = map(int, size.split("x"))
        for seed in range(arguments.seeds):
            market = made_up(n_agents, n_goods, seed)
            table = compare_mechanisms(
                market, MECHANISMS, n_draws=20, seed=seed, time_limit=arguments.time_limit
            )
            for record in comparison_records(table):
                records.append({"agents": n_agents, "goods": n_goods, "instance": seed, **record})
                cells = "".join(
                    f"{'-':>{width}}" if record[key] is None else f"{record[key]:>{width}.{digits}f}"
                    for key, _, width, digits in COLUMNS
                )
                print(
                    f"{size:>8} {seed} {record['mechanism'][:17]:17}{cells}  {record['note'][:60]}",
                    flush=True,
                )
    if arguments.out is not None:
        write_table(arguments.out, records)
    _summarise(records)


def _summarise(records: list[dict[str, object]]) -> None:
    """Print medians of every figure by size, and how often seats stay empty at a price."""
    print(f"\nmedians by size\n{'':28}" + "".join(f"{title:>{width}}" for _, title, width, _ in COLUMNS))
    for n_agents, n_goods in dict.fromkeys((record["agents"], record["goods"]) for record in records):
        for name in MECHANISMS:
            own = [
                r for r in records if (r["agents"], r["goods"], r["mechanism"]) == (n_agents, n_goods, name)
            ]
            done = [record for record in own if record["welfare"] is not None]
            cells = "".join(_median(done, key, width, digits) for key, _, width, digits in COLUMNS)
            priced = [record for record in done if record["clearing_under"] is not None]
            empty = sum(float(str(record["clearing_under"])) > 0 for record in priced)
            clears = f", priced seats empty in {empty}" if priced else ""
            size = f"{n_agents}x{n_goods}"
            print(f"{size:>8}   {name[:17]:17}{cells}  {len(done)} of {len(own)} done{clears}")


def _median(records: list[dict[str, object]], key: str, width: int, digits: int) -> str:
    values = [float(str(record[key])) for record in records if record[key] is not None]
    return f"{float(np.median(values)):>{width}.{digits}f}" if values else f"{'-':>{width}}"


if __name__ == "__main__":
    main()
