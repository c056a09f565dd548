"""Progress of long work: solvers report to a :class:`Reporter`, the caller decides what is shown."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Protocol


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

    Use as a context manager.
    """

    def __init__(self) -> None:
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> RichReporter:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[residual]}"),
                TimeElapsedColumn(),
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
            self._task = self._progress.add_task(name, total=None, residual="")

    def update(self, fraction: float | None = None, residual: float | None = None) -> None:
        """Move the bar and show the residual."""
        if self._progress is not None and self._task is not None:
            text = "" if residual is None else f"residual {residual:.1e}"
            total = None if fraction is None else 1.0
            self._progress.update(self._task, total=total, completed=fraction or 0.0, residual=text)
