"""Equilibria over shards: how long, how much memory, how both grow, and what workers save.

``python -m benchmarks.scale`` solves course markets of 10,000 and 100,000 agents, 100 goods, 10 acceptable
each, half of the agents with a lower quota in their department; ``--sizes 1000000`` the large one. Every
line is a run in processes of its own: agents; workers (0: all in one process); parts; status; factorisations;
largest residual of the certificate; wall seconds; processor seconds of the driver and of all workers; share
of all processor seconds that is the driver's, and so serial; peak memory of all processes in MB, pages
that they share counted in each; workers lost.

``--workers 0 1 2`` compares numbers of workers, ``--engine`` says where they are, ``--kill`` kills a worker
on the way and finishes, ``--out FILE.json`` keeps all runs. Exponents are fitted where there are several
sizes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from benchmarks.equilibrium import machine
from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket

_BLOCK = 10_000
"""Agents who are drawn together, so that a market does not depend on how it is cut."""
_DEPARTMENTS = 12
_LOAD = 5
_ACCEPTABLE = 10


def course_part(n_agents: int, n_goods: int, seed: int, first: int, last: int) -> PseudoMarket:
    """Make the agents ``first:last`` of a course market."""
    common = np.random.default_rng([seed, 0])
    worth = common.random(n_goods)
    weight = common.uniform(0.5, 1.5, n_goods)
    seats = np.maximum(1, np.floor(weight / weight.sum() * 0.9 * _LOAD * n_agents))
    department = np.arange(n_goods) % min(_DEPARTMENTS, n_goods)
    goods = [f"course{j + 1}" for j in range(n_goods)]
    blocks = [_block(seed, k, worth, department) for k in range(first // _BLOCK, -(-last // _BLOCK))]
    accepted, values, major = (np.concatenate([block[k] for block in blocks]) for k in range(3))
    mine = slice(first % _BLOCK, first % _BLOCK + last - first)
    accepted, values, major = accepted[mine], values[mine], major[mine]
    rows = np.repeat(np.arange(last - first), accepted.shape[1])
    quotas = [Quota("load", max=_LOAD)]
    for d in range(department.max() + 1):
        members = [goods[j] for j in np.flatnonzero(department == d)]
        least = (major == d).astype(int).tolist()
        quotas.append(Quota("department", members, least, 2, group=f"department = {d}"))
    return PseudoMarket.from_arrays(
        sp.csr_array((values.ravel(), (rows, accepted.ravel())), shape=(last - first, n_goods)),
        capacities=seats,
        agents=[f"student{i}" for i in range(first, last)],
        goods=goods,
        quotas=quotas,
        title=f"courses {n_agents} × {n_goods}",
    )


def _block(
    seed: int, block: int, worth: np.ndarray, department: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a block of agents: goods they accept, what these are worth, and majors (-1: none)."""
    rng = np.random.default_rng([seed, 1, block])
    n_goods = len(worth)
    major = np.where(rng.random(_BLOCK) < 0.5, rng.integers(0, department.max() + 1, _BLOCK), -1)
    order = rng.random((_BLOCK, n_goods))
    own = department == major[:, None]
    order[own] *= 0.3
    # One course of her own department at least, or its minimum would be out of reach.
    surely = np.argmax(own * rng.random((_BLOCK, n_goods)), axis=1)
    order[np.flatnonzero(major >= 0), surely[major >= 0]] = -1.0
    accepted = np.sort(np.argpartition(order, _ACCEPTABLE, axis=1)[:, :_ACCEPTABLE], axis=1)
    taste = rng.standard_normal(accepted.shape)
    return accepted, np.maximum(0.0, 0.3 + worth[accepted] + 0.25 * taste), major


@dataclass(frozen=True)
class Run:
    """What solving one market took."""

    agents: int
    goods: int
    pairs: int
    engine: str
    workers: int
    parts: int
    status: str
    factorisations: int
    residual: float
    seconds: float
    driver_seconds: float
    worker_seconds: float
    serial_share: float
    megabytes: float
    lost: int


class _Watch:
    """Measures processor time and memory of this process and its children while something runs."""

    def __init__(self) -> None:
        import psutil

        self._me = psutil.Process()
        self._peak = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        import psutil

        while not self._done.wait(0.5):
            total = 0
            for process in [self._me, *self._me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self._peak = max(self._peak, total / 1e6)

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._peak


def solve_once(
    n_agents: int, n_goods: int, seed: int, engine: str, workers: int, part: int, kill: bool
) -> Run:
    """Solve one market and measure."""
    from fairlot.progress import NullReporter
    from fairlot.pseudomarket.sharded import solve_shards

    cuts = [*range(0, n_agents, part), n_agents]
    loads = [
        partial(course_part, n_agents, n_goods, seed, first, last) for first, last in itertools.pairwise(cuts)
    ]

    class Killer(NullReporter):
        """Kills a worker halfway down the path."""

        done = False

        def update(self, fraction: float | None = None, residual: float | None = None) -> None:
            if kill and not self.done and residual is not None and residual < 1e-6:
                os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
                self.done = True

    watch = _Watch()
    began, processor = time.perf_counter(), time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = solve_shards(
        loads,
        engine="serial" if workers == 0 else engine,  # type: ignore[arg-type]
        n_jobs=max(workers, 1),
        keep=forget,
        reporter=Killer(),
    )
    seconds, driver = time.perf_counter() - began, time.process_time() - processor
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    theirs = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    return Run(
        agents=n_agents,
        goods=n_goods,
        pairs=found.n_pairs,
        engine="serial" if workers == 0 else engine,
        workers=workers,
        parts=len(loads),
        status=found.status.value,
        factorisations=found.stats.iterations,
        residual=found.certificate.worst,
        seconds=seconds,
        driver_seconds=driver,
        worker_seconds=theirs,
        serial_share=driver / (driver + theirs) if workers else 1.0,
        megabytes=watch.stop(),
        lost=int(found.stats.parameters["workers_lost"]),
    )


def forget(number: int, market: PseudoMarket, prices: object, shares: object) -> None:
    """Keep nothing of the shares."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[10_000, 100_000], metavar="N")
    parser.add_argument("--goods", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", nargs="+", type=int, default=[2], help="0: all in one process")
    parser.add_argument("--engine", choices=("joblib", "dask", "ray"), default="joblib")
    parser.add_argument("--part", type=int, default=20_000, help="agents in a part")
    parser.add_argument("--kill", action="store_true", help="kill a worker on the way (engine joblib)")
    parser.add_argument("--out", type=Path, help="JSON file for all runs")
    options = parser.parse_args(arguments)
    print(machine())
    print(
        f"{'agents':>9} {'workers':>7} {'parts':>5} {'status':<12} {'fact.':>5} {'residual':>8} "
        f"{'wall s':>8} {'driver s':>8} {'worker s':>8} {'serial':>6} {'MB':>6} {'lost':>4}"
    )
    context = multiprocessing.get_context("spawn")
    runs: list[Run] = []
    for workers in options.workers:
        for size in options.sizes:
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                job = (size, options.goods, options.seed, options.engine, workers, options.part, options.kill)
                run = pool.submit(solve_once, *job).result()
            runs.append(run)
            print(
                f"{run.agents:>9} {run.workers:>7} {run.parts:>5} {run.status:<12} {run.factorisations:>5} "
                f"{run.residual:>8.1e} {run.seconds:>8.1f} {run.driver_seconds:>8.1f} "
                f"{run.worker_seconds:>8.1f} {run.serial_share:>6.1%} {run.megabytes:>6.0f} {run.lost:>4}",
                flush=True,
            )
    for workers in options.workers:
        mine = [run for run in runs if run.workers == workers and run.status == "certified"]
        if len({run.agents for run in mine}) > 1:
            sizes = np.log([run.agents for run in mine])
            work = [run.driver_seconds + run.worker_seconds for run in mine]
            slopes = [
                np.polyfit(sizes, np.log(costs), 1)[0] for costs in (work, [run.megabytes for run in mine])
            ]
            print(
                f"exponents in agents, {workers} workers: processor seconds {slopes[0]:.2f}, "
                f"memory {slopes[1]:.2f}"
            )
    if options.out is not None:
        options.out.write_text(
            json.dumps({"machine": machine(), "runs": [asdict(run) for run in runs]}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
