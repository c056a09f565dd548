"""Faults on purpose: kill -9, a full disk, I/O errors, clock jumps, a worker that dies.

``make test-faults`` runs them at full length and prints the counts; ``test_faults.py`` runs a few of each.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fairlot.io.demo import demo_pseudomarket
from fairlot.rounds import (
    Area,
    JobState,
    RefusedError,
    RoundState,
    add_account,
    check,
    create_round,
    freeze,
    job,
    log,
    open_round,
    request_job,
    result,
    round_,
    submission,
    submit,
    upload,
    verify_log,
)
from fairlot.store import Store, open_store
from fairlot.store.database import StoreError

_PATIENCE = 300.0
"""Seconds for a worker to get going, on the busiest of machines."""
AGENTS = tuple(f"a{k:02}" for k in range(12))
_PROBLEM = {
    "problem.toml": b'format = 1\nkind = "pseudomarket"\n[goods]\nfile = "goods.csv"\n[agents]\n'
    b'file = "agents.csv"\n[values]\nfile = "values.csv"\n',
    "goods.csv": b"good,capacity\nart,5\nbio,5\nlaw,5\n",
    "agents.csv": ("agent\n" + "\n".join(AGENTS) + "\n").encode(),
}


@dataclass
class Counts:
    """What a kind of fault did."""

    runs: int = 0
    acknowledged: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


def open_small_round(store: Store) -> str:
    """Open a round of a few agents; return its id."""
    who = add_account(store, "Ada", admin=True)
    made = create_round(store, "Faults", "pseudomarket", who)
    upload(store, made.id, _PROBLEM, who)
    check(store, made.id, who)
    open_round(store, made.id, store.clock() + timedelta(days=1), who)
    return made.id


def kill_runs(folder: Path, runs: int, seed: int = 0, batch: int = 50) -> Counts:
    """Kill a process that saves choices, at random moments, and look what is there."""
    counts = Counts()
    chance = random.Random(seed)
    template = folder / "template.db"
    store = open_store(f"sqlite:///{template}")
    round_id = open_small_round(store)
    store.settle()
    store.close()
    for first in range(0, runs, batch):
        path = folder / f"kill-{first}.db"
        shutil.copyfile(template, path)
        promised: dict[tuple[str, int], str] = {}
        for run in range(first, min(first + batch, runs)):
            acks = _killed(f"sqlite:///{path}", round_id, run, chance.expovariate(1 / 0.4))
            for line in acks:
                agent, version, receipt = line.split()
                promised[agent, int(version)] = receipt
            counts.runs += 1
            counts.acknowledged += len(acks)
            store = open_store(f"sqlite:///{path}")
            counts.faults += [f"run {run}: {fault}" for fault in missing(store, round_id, promised)]
            store.close()
        for leftover in folder.glob(f"kill-{first}.db*"):
            leftover.unlink()
    return counts


def _killed(url: str, round_id: str, run: int, after: float) -> list[str]:
    """Let a child save choices until it is killed; return what it was told is saved."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of ours
        child = os.fork()
    if child == 0:  # no way back into the tests from here
        os.close(reading)
        try:
            _save_for_ever(url, round_id, run, writing)
        finally:
            os._exit(3)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        pipe.read(1)  # it has begun
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        told = pipe.read().decode()
    os.waitpid(child, 0)
    return [line for line in told.split("\n")[:-1] if line]


def _save_for_ever(url: str, round_id: str, run: int, pipe: int) -> None:
    store = open_store(url)

    def save(thread: int) -> None:
        chance = random.Random(f"{run} {thread}")
        for number in range(10**6):
            agent = chance.choice(AGENTS)
            payload = {"ratings": {"art": chance.randint(0, 5), "bio": chance.randint(1, 5)}}
            receipt = submit(store, round_id, agent, payload, f"{run} {thread} {number}", None)
            os.write(pipe, f"{agent} {receipt.version} {receipt.hash}\n".encode())

    os.write(pipe, b"\n")
    threads = [threading.Thread(target=save, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def missing(store: Store, round_id: str, promised: dict[tuple[str, int], str]) -> list[str]:
    """Say what was promised and is not there, or is there in half."""
    entries = log(store, round_id)
    faults = verify_log(entries)
    logged = {entry.detail["receipt"] for entry in entries if entry.what == "choice saved"}
    faults += [f"lost: {agent} {version}" for (agent, version), r in promised.items() if r not in logged]
    with store.reading() as tx:
        answered = {a: {one.version: one for one in tx.receipts(round_id, a)} for a in AGENTS}
        chosen = {one.agent: one for one in tx.submissions(round_id)}
        head = tx.round(round_id)
    if head is None or (entries and head.head != entries[-1].hash):
        faults.append("the head is not the last entry's hash")
    saved = sum(len(answers) for answers in answered.values())
    if saved != len(logged):
        faults.append(f"{saved} choices saved, {len(logged)} logged")
    for agent, answers in answered.items():
        latest = max(answers, default=0)
        if (0 if agent not in chosen else chosen[agent].version) != latest:
            faults.append(f"half saved: {agent}")
    return faults


def disk_full(folder: Path) -> Counts:
    """Fill the database's space; go on when there is some again."""

    def limit(store: Store, pages: int) -> None:
        def set_limit(connection: Any, _record: Any) -> None:
            connection.execute(f"PRAGMA max_page_count={pages}")

        store._engine.dispose()
        sa.event.listen(store._engine, "connect", set_limit)

    return _out_of_space(folder / "full.db", limit, lambda store: limit(store, 2**30))


def io_error(folder: Path) -> Counts:
    """Let every write beyond a size fail, as the operating system can; then no more."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(store: Store, pages: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (pages * 4096, hard))

    def lift(_store: Store) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    try:
        return _out_of_space(folder / "error.db", limit, lift)
    finally:
        lift(None)  # type: ignore[arg-type]


def _out_of_space(path: Path, limit: Callable[[Store, int], None], lift: Callable[[Store], None]) -> Counts:
    counts = Counts(runs=1)
    store = open_store(f"sqlite:///{path}")
    round_id = open_small_round(store)
    limit(store, path.stat().st_size // 4096 + 120)
    promised: dict[tuple[str, int], str] = {}
    failed: list[tuple[str, str]] = []
    for number in range(3000):
        agent = AGENTS[number % len(AGENTS)]
        try:
            receipt = submit(store, round_id, agent, {"ratings": {"art": 1 + number % 5}}, str(number), None)
        except StoreError:
            failed.append((agent, str(number)))
            if len(failed) == 10:
                break
            continue
        promised[agent, receipt.version] = receipt.hash
    counts.acknowledged, counts.refused = len(promised), len(failed)
    if not failed:
        counts.faults.append("the space did not end")
    lift(store)
    counts.faults += missing(store, round_id, promised)
    for agent, key in failed:  # the page tries again with the same key
        receipt = submit(store, round_id, agent, {"ratings": {"art": 1 + int(key) % 5}}, key, None)
        promised[agent, receipt.version] = receipt.hash
    counts.faults += missing(store, round_id, promised)
    store.close()
    return counts


def clock_jumps(folder: Path, runs: int = 20, seed: int = 0) -> Counts:
    """Set the clock back and forth while agents choose."""
    counts = Counts()
    chance = random.Random(seed)
    at = [datetime(2026, 9, 1, tzinfo=UTC)]
    store = open_store(f"sqlite:///{folder / 'clock.db'}", lambda: at[0])
    round_id = open_small_round(store)
    deadline = round_(store, round_id).deadline
    assert deadline is not None
    promised = {}
    for number in range(runs):
        at[0] += timedelta(seconds=chance.uniform(-3600, 3700))
        agent = AGENTS[number % len(AGENTS)]
        receipt = submit(store, round_id, agent, {"ratings": {"art": 3}}, str(number), None)
        promised[agent, receipt.version] = receipt.hash
        counts.runs += 1
    counts.acknowledged = len(promised)
    counts.faults += missing(store, round_id, promised)
    at[0] = deadline + timedelta(seconds=1)
    who = add_account(store, "Ada")
    with store.writing() as tx:  # something is logged after the deadline ...
        tx.append(round_id, who.name, "looked", {})
    at[0] = deadline - timedelta(hours=2)  # ... so that a clock set back does not open the round again
    try:
        submit(store, round_id, AGENTS[0], {"ratings": {"art": 1}}, "late", None)
        counts.faults.append("saved after the deadline")
    except RefusedError:
        counts.refused += 1
    store.close()
    return counts


def worker_killed(folder: Path, runs: int) -> Counts:
    """Kill the worker while it solves; another must do it from the beginning."""
    counts = Counts()
    url = f"sqlite:///{folder / 'worker.db'}"
    store = open_store(url)
    who = add_account(store, "Ada", admin=True)
    for run in range(runs):
        round_id = _frozen_demo(store, who)
        asked = request_job(store, round_id, "solve", who)
        worker = start_worker(url)
        try:
            _until(lambda job_id=asked.id: job(store, job_id).state is JobState.RUNNING, _PATIENCE)
            time.sleep(random.Random(run).uniform(0, 0.5))
            before = job(store, asked.id).ended
        finally:
            worker.kill()
            worker.wait()
        counts.runs += 1
        counts.refused += not before
        if not before and (result(store, round_id) or round_(store, round_id).state is not RoundState.FROZEN):
            counts.faults.append(f"run {run}: half a result")
        worker = start_worker(url)
        try:
            _until(lambda job_id=asked.id: job(store, job_id).ended, _PATIENCE)
        finally:
            worker.kill()
            worker.wait()
        done = job(store, asked.id)
        state = round_(store, round_id).state
        if done.state is not JobState.DONE or state is not RoundState.SOLVED:
            counts.faults.append(f"run {run}: not solved in the end: {done.messages}")
        if "lottery.json" not in result(store, round_id, Area.RESULT):
            counts.faults.append(f"run {run}: no lottery")
        counts.faults += verify_log(log(store, round_id))
        counts.acknowledged += 1
    store.close()
    return counts


def start_worker(url: str, patience: float = 2.5) -> subprocess.Popen[bytes]:
    """Start a worker process."""
    return subprocess.Popen(
        [sys.executable, "-m", "fairlot.rounds.worker", "--patience", str(patience)],
        env={**os.environ, "FAIRLOT_DATABASE_URL": url, "OMP_NUM_THREADS": "1"},
    )


def _frozen_demo(store: Store, who: Any) -> str:
    made = create_round(store, "Electives", "pseudomarket", who)
    upload(store, made.id, demo_pseudomarket(), who)
    check(store, made.id, who)
    open_round(store, made.id, store.clock() + timedelta(days=1), who)
    good = next(csv.DictReader(io.StringIO(demo_pseudomarket()["goods.csv"].decode())))["good"]
    submit(store, made.id, "s001", {"ratings": {good: 5}}, "k", 0)
    assert submission(store, made.id, "s001") is not None
    freeze(store, made.id, who)
    return made.id


def _until(happened: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            msg = "it did not happen in time"
            raise TimeoutError(msg)
        time.sleep(0.05)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run everything at full length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="kills of a process that saves choices")
    parser.add_argument("--workers", type=int, default=20, help="kills of a worker that solves")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kinds: list[tuple[str, Callable[[], Counts]]] = [
            ("kill -9 while choices are saved", lambda: kill_runs(folder, options.runs, options.seed)),
            ("disk full", lambda: disk_full(folder)),
            ("I/O error", lambda: io_error(folder)),
            ("clock set back and forth", lambda: clock_jumps(folder, 200)),
            ("worker killed while it solves", lambda: worker_killed(folder, options.workers)),
        ]
        heads = ("runs", "acknowledged", "refused", "broken", "seconds")
        _say(f"{'fault':<34}" + "".join(f"{head:>14}" for head in heads))
        failed = 0
        for name, run in kinds:
            began = time.monotonic()
            counts = run()
            failed += len(counts.faults)
            seconds = time.monotonic() - began
            numbers = (counts.runs, counts.acknowledged, counts.refused, len(counts.faults), round(seconds))
            _say(f"{name:<34}" + "".join(f"{number:>14}" for number in numbers))
            for fault in counts.faults[:5]:
                _say(f"    {fault}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
