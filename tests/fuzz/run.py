"""Hostile input on every reader for as long as you like, with figures: ``make fuzz``, or

``python tests/fuzz/run.py --seconds 600 --engine hypothesis --only import``

Engines: ``random`` (a seeded generator, fastest), ``hypothesis`` (shrinks what it finds), ``atheris`` (guided
by the branches of the code that an input reaches; ``pip install atheris``). Prints a line per reader: inputs
tried, how many were read and refused, the slowest in seconds, the peak of memory so far; and every finding
with what repeats it. Exits with 1 if there was a finding.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from hostile import Choose

Try = Callable[[Choose], None]
_MEMORY = 6 << 30


class Tally:
    """Counts what came of the inputs of one reader."""

    def __init__(self, name: str) -> None:
        from readers import READERS, outcome

        self.name, self._reader, self._outcome = name, READERS[name], outcome
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0
        self.findings: dict[str, str] = {}

    def one(self, choose: Choose) -> None:
        """Make an input and read it; a finding is raised on."""
        given = self._reader.make(choose)
        started = time.process_time()
        try:
            self.counts[self._outcome(self._reader, given)] += 1
        finally:
            self.slowest = max(self.slowest, time.process_time() - started)

    def found(self, error: BaseException, repeat: str) -> None:
        """Keep a finding, one of a kind."""
        self.counts["FOUND"] += 1
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "fairlot" in f.filename]
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
        self.findings.setdefault(f"{type(error).__name__} at {place}", f"{str(error)[:200]} ({repeat})")

    def tell(self) -> None:
        """Print the line of this reader."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        tried = sum(self.counts.values())
        read, refused, found = (self.counts[key] for key in ("read", "refused", "FOUND"))
        line = f"{self.name:<32}{tried:>9}{read:>8}{refused:>9}{found:>7}{self.slowest:>9.2f}{peak:>9.0f}"
        print(line, flush=True)
        for place, what in self.findings.items():
            print(f"    {place}: {what}", flush=True)


def by_generator(tally: Tally, seconds: float, first: int) -> None:
    """Let a seeded generator choose."""
    end, seed = time.monotonic() + seconds, first
    while time.monotonic() < end:
        try:
            tally.one(random.Random(seed).randrange)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            tally.found(error, f"seed {seed}")
        seed += 1


def by_hypothesis(tally: Tally, seconds: float, first: int) -> None:
    """Let hypothesis choose, in portions, until the time is over."""
    from hypothesis import HealthCheck, given, seed, settings
    from hypothesis import strategies as st

    end, k = time.monotonic() + seconds, first
    while time.monotonic() < end:

        @seed(k)
        @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(data=st.data())
        def portion(data: st.DataObject) -> None:
            tally.one(lambda n: data.draw(st.integers(0, n - 1)))

        try:
            portion()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            tally.found(error, f"hypothesis seed {k}")
        k += 1


def by_atheris(tally: Tally, seconds: float, first: int) -> None:
    """Let atheris choose; it never comes back, so this tells the tally and ends the process."""
    import atheris

    end = time.monotonic() + seconds

    def one(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        try:
            tally.one(lambda n: provider.ConsumeIntInRange(0, n - 1))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            tally.found(error, f"atheris input {data.hex()[:400]}")
        if time.monotonic() > end:
            tally.tell()
            os._exit(int(bool(tally.findings)))

    options = [f"-seed={first + 1}", "-verbosity=0", "-rss_limit_mb=0", "-max_len=4096", "-len_control=0"]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def each_by_atheris(names: list[str], seconds: float, first: int) -> int:
    """Run a process for each reader: threads of the libraries would not survive a fork."""
    found = 0
    for name in names:
        options = ["--engine", "atheris", "--only", name, "--seconds", str(seconds), "--seed", str(first)]
        found |= subprocess.run([sys.executable, __file__, *options], check=False).returncode
    return found


ENGINES = {"random": by_generator, "hypothesis": by_hypothesis, "atheris": by_atheris}


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="in all, shared by the readers")
    parser.add_argument("--engine", choices=ENGINES, default="random")
    parser.add_argument("--only", default="", help="readers whose name holds this")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    if options.engine == "atheris":
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # no kernel can be compiled from what atheris adds to it
        import atheris

        with atheris.instrument_imports(
            include=["fairlot.io", "fairlot.model.lottery_json", "fairlot.verify.draw"]
        ):
            from readers import READERS
    else:
        from readers import READERS
    names = [name for name in READERS if options.only in name]
    if options.engine == "atheris" and len(names) > 1:
        return each_by_atheris(names, options.seconds / len(names), options.seed)
    print(f"{'reader':<32}{'inputs':>9}{'read':>8}{'refused':>9}{'found':>7}{'slowest':>9}{'peak MB':>9}")
    tallies = [Tally(name) for name in names]
    for tally in tallies:
        ENGINES[options.engine](tally, options.seconds / max(len(names), 1), options.seed)
        tally.tell()
    print(f"{sum(sum(tally.counts.values()) for tally in tallies)} inputs by {options.engine}")
    return int(any(tally.findings for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
