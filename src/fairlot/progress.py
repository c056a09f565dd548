"""Progress of long work: solvers report to a :class:`Reporter`, the caller decides what is shown."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import Any, Protocol

_END = 1e-11
"""Residual at which solvers are about done."""
_LEAST_SHARE = 0.02
"""Share of the work from which its pace says something."""


class Reporter(Protocol):
    """What a solver tells while it works."""

    def stage(self, name: str) -> None:
        """Say that a new stage begins."""

    def update(self, fraction: float | None = None, residual: float | None = None) -> None:
        """Say how far the stage is (0 to 1, if known) and how large the residual still is."""


class NullReporter:
    """A reporter that shows nothing: the default everywhere."""

    def stage(self, name: str) -> None:
        """Ignore the stage."""

    def update(self, fraction: float | None = None, residual: float | None = None) -> None:
        """Ignore the progress."""


class RichReporter:
    """A progress line on the terminal's standard error; silent where that is no terminal.

    It names the stage, the residual, and about how much time is left. Where a solver tells no fraction, its
    residual does: it falls by about as many digits each second. Use as a context manager.
    """

    def __init__(self) -> None:
        self._progress: Any = None
        self._task: Any = None
        self._outlook = Outlook()

    def __enter__(self) -> RichReporter:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[residual]}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def stage(self, name: str) -> None:
        """Start a new line for the stage."""
        if self._progress is not None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(name, total=None, residual="", left="")
            self._outlook.stage(time.monotonic())

    def update(self, fraction: float | None = None, residual: float | None = None) -> None:
        """Move the bar, and show the residual and the time left."""
        if self._progress is not None and self._task is not None:
            text = "" if residual is None else f"residual {residual:.1e}"
            done, left = self._outlook.update(fraction, residual, time.monotonic())
            self._progress.update(
                self._task,
                total=None if done is None else 1.0,
                completed=done or 0.0,
                residual=text,
                left="" if left is None else f"about {_span(left)} left",
            )


class Outlook:
    """How far a stage is, and how long it will take."""

    def __init__(self) -> None:
        self._since = self._began = self._done = 0.0
        self._fresh, self._told, self._told_before = True, False, False
        self._first: float | None = None

    def stage(self, now: float) -> None:
        """Begin a stage; one whose fraction goes on from the last one's is a part of the same work."""
        self._fresh, self._began = True, now
        self._told_before, self._told = self._told, False
        self._first = None

    def update(
        self, fraction: float | None, residual: float | None, now: float
    ) -> tuple[float | None, float | None]:
        """Return the share that is done and the seconds left, as far as they can be told.

        Parameters
        ----------
        fraction, residual : float, optional
            As the solver tells them.
        now : float
            Seconds on any clock.
        """
        if fraction is None:
            fraction = self._by_digits(residual)
        if fraction is None:
            return None, None
        fraction = min(max(fraction, 0.0), 1.0)
        goes_on = self._told_before and self._done < 1.0 and fraction > 0.0 and self._done <= fraction
        if self._fresh and not goes_on:
            self._since, self._done = self._began, 0.0
        self._fresh, self._told = False, True
        self._done = max(self._done, fraction)  # around a fold the residual rises: that is no way back
        if self._done < _LEAST_SHARE:
            return self._done, None
        return self._done, (now - self._since) * (1.0 - self._done) / self._done

    def _by_digits(self, residual: float | None) -> float | None:
        if residual is None or not 0.0 < residual < math.inf:
            return None
        if self._first is None:
            self._first = max(residual, 10.0 * _END)
        return math.log(self._first / max(residual, _END)) / math.log(self._first / _END)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
