"""How long the first word of the command line and reading a problem take, and how reading grows.

``python -m benchmarks.files --rows 10000 30000 100000 300000``

The first table: processor seconds of ``fairlot --help`` and of an empty Python, in processes of their own,
best of five. The second: values rows; processor seconds of reading the folder with all checks, and with
the canonical copy that a result keeps; of parsing the same bytes with ``csv`` alone, and the ratio of the
two; then the exponent fitted to seconds over rows.
"""

from __future__ import annotations

import argparse
import csv
import io
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np

from fairlot.io.problem import read_problem, read_problem_files
from fairlot.io.template import template_files


def child_seconds(command: list[str], repeats: int = 5) -> float:
    """Return the least processor seconds of a command."""
    best = np.inf
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def own_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the least processor seconds of a function."""
    best = np.inf
    for _ in range(repeats):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def write_example(folder: Path, rows: int) -> bytes:
    """Write a problem with so many rows of values, 600 goods; return the values."""
    random = Random(1)
    n_goods = 600
    n_agents = -(-rows // 300)
    cells = [
        f"agent{i:06},good{j:04},{random.randint(0, 100)}"
        for i in range(n_agents)
        for j in sorted(random.sample(range(n_goods), 300))
    ]
    values = "\n".join(["agent,good,value", *cells[:rows], ""]).encode()
    settings = template_files("pseudomarket")["problem.toml"].split(b"# Quotas")[0]
    goods = "".join(f"good{j:04},50\n" for j in range(n_goods))
    agents = "".join(f"agent{i:06}\n" for i in range(n_agents))
    folder.mkdir()
    (folder / "problem.toml").write_bytes(settings)
    (folder / "goods.csv").write_text(f"good,capacity\n{goods}")
    (folder / "agents.csv").write_text(f"agent\n{agents}")
    (folder / "values.csv").write_bytes(values)
    return values


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000])
    sizes = parser.parse_args().rows
    python = child_seconds([sys.executable, "-c", "pass"])
    help_text = child_seconds([sys.executable, "-m", "fairlot", "--help"])
    print(f"fairlot --help {help_text:.2f} s, an empty Python {python:.2f} s")
    print(f"{'rows':>8} {'read':>8} {'+ copy':>8} {'csv':>8} {'ratio':>6}")
    seconds = []
    with TemporaryDirectory() as home:
        for rows in sizes:
            folder = Path(home) / str(rows)
            text = write_example(folder, rows).decode()
            read = own_seconds(lambda folder=folder: read_problem(folder))
            copy = own_seconds(lambda folder=folder: read_problem_files(folder))
            bare = own_seconds(lambda text=text: list(csv.reader(io.StringIO(text, newline=""))))
            seconds.append(read)
            print(f"{rows:8} {read:8.3f} {copy:8.3f} {bare:8.3f} {read / bare:6.1f}")
    if len(sizes) > 1:
        exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        print(f"reading grows with rows to the power {exponent:.2f}")


if __name__ == "__main__":
    main()
