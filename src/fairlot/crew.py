"""Workers that live long and own what they work on: :class:`Crew`.

:func:`~fairlot.parallel.pmap` hands out items and takes results back. Work that goes on for many rounds on
data that fills a machine is done the other way round: every worker *owns* some parts, builds them where it
is, and is then asked, round after round, to call one of their methods. Only arguments and results travel.

=========  ===========================================================================================
engine     workers
=========  ===========================================================================================
serial     this process
joblib     processes of this machine (joblib itself keeps no state in its processes: these are our own)
dask       actors on the workers of the program's client, or of a cluster of processes made for the crew
ray        actors of what ``ray.init`` joined, else of processes of this machine
=========  ===========================================================================================

Results come in the order of the parts and do not depend on who owns which. If a worker is lost, its parts
are built anew by another, and :class:`PartsRebuilt` tells the caller that they remember nothing else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from fairlot.errors import FairlotError, InvalidProblemError, Issue, MissingExtraError
from fairlot.parallel import ENGINES, Engine

_MOST_LOSSES = 10
"""Workers that may be lost before the crew gives up: something must be killing them."""

Build = Callable[[Any], Any]


class WorkerLostError(FairlotError, RuntimeError):
    """Workers are lost again and again, most often for want of memory."""


class PartsRebuilt(Exception):
    """A worker was lost; its parts are there again, as newly built.

    Parameters
    ----------
    positions : tuple of int
        The parts.
    """

    def __init__(self, positions: tuple[int, ...]) -> None:
        super().__init__(positions)
        self.positions = positions


class Crew:
    """Workers, and the parts that they own.

    Use as a context manager.

    Parameters
    ----------
    build : callable
        Makes a part of a specification, on the worker that is to own it. Importable, as specifications are
        picklable, for workers in other processes.
    specifications : sequence
        One per part.
    engine : "serial", "joblib", "dask" or "ray"
        See the module.
    n_jobs : int, optional
        Workers, at least 1; None for one per processor. There are never more workers than parts.

    Raises
    ------
    InvalidProblemError
        If the engine is not known or there is no worker.
    MissingExtraError
        If the engine is not installed.
    """

    def __init__(
        self,
        build: Build,
        specifications: Sequence[Any],
        *,
        engine: Engine = "joblib",
        n_jobs: int | None = 1,
    ) -> None:
        issues = []
        if engine not in ENGINES:
            issues.append(Issue("engine", found=str(engine), expected=" or ".join(ENGINES)))
        if n_jobs is not None and n_jobs < 1:
            issues.append(Issue("number of workers", found=str(n_jobs), expected="at least 1"))
        if issues:
            raise InvalidProblemError(issues)
        self._build, self._specifications = build, list(specifications)
        wanted = (os.cpu_count() or 1) if n_jobs is None else n_jobs
        wanted = max(1, min(wanted, len(self._specifications)))
        self._engine: _Engine = _Serial() if engine == "joblib" and wanted == 1 else _STAFFING[engine](wanted)
        self.losses = 0
        self._members: list[_Member] = []
        try:
            for k in range(wanted):
                self._members.append(self._hire(tuple(range(k, len(self._specifications), wanted))))
            for member in self._members:
                member.worker.finish()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def processes(self) -> list[int]:
        """Process number of every worker; this process for work that is done here."""
        return [number for _, number in self._round("", ())]

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every part.

        Parameters
        ----------
        method : str
            Name of the method.
        arguments
            Sent once to every worker.

        Returns
        -------
        list
            What it returned, in the order of the parts.

        Raises
        ------
        PartsRebuilt
            If a worker was lost. Nothing is known then of who has been asked.
        WorkerLostError
            If that happens too often.
        Exception
            The first that a part raised, in the order of the parts.
        """
        answers: dict[int, Any] = dict(self._round(method, arguments))
        for position in sorted(answers):
            if isinstance(answers[position], _Failure):
                raise answers[position].error
        return [answers[position] for position in sorted(answers)]

    def close(self) -> None:
        """Let all workers go."""
        for member in self._members:
            with contextlib.suppress(_Gone):
                member.worker.close()
        self._members = []
        self._engine.close()

    def _round(self, method: str, arguments: tuple[Any, ...]) -> list[tuple[int, Any]]:
        lost: list[int] = []
        found: list[tuple[int, Any]] = []
        for k, member in enumerate(self._members):
            try:
                member.worker.start("ask", method, arguments)
            except _Gone:
                lost.append(k)
        # All answers are fetched even if somebody is gone: the next question must not meet this answer.
        for k, member in enumerate(self._members):
            if k not in lost:
                try:
                    found += member.worker.finish()
                except _Gone:
                    lost.append(k)
        if lost:
            raise PartsRebuilt(self._replace(lost))
        return found

    def _replace(self, lost: Sequence[int]) -> tuple[int, ...]:
        waiting = set(lost)
        while waiting:
            self.losses += len(waiting)
            if self.losses > _MOST_LOSSES:
                msg = f"{self.losses} workers were lost; do they run out of memory?"
                raise WorkerLostError(msg)
            for k in sorted(waiting):
                with contextlib.suppress(_Gone):
                    self._members[k].worker.close()
                try:
                    self._members[k] = self._hire(self._members[k].positions)
                    self._members[k].worker.finish()
                    waiting.discard(k)
                except _Gone:
                    continue
        return tuple(sorted(p for k in lost for p in self._members[k].positions))

    def _hire(self, positions: tuple[int, ...]) -> _Member:
        worker = self._engine.hire()
        worker.start("build", self._build, {k: self._specifications[k] for k in positions})
        return _Member(worker, positions)


@dataclass(frozen=True)
class _Failure:
    """An error on its way back from a part."""

    error: Exception


class _Gone(Exception):
    """The worker does not answer any more."""


class _Desk:
    """What a worker has before it: the parts that it owns."""

    def __init__(self) -> None:
        self._parts: dict[int, Any] = {}

    def build(self, build: Build, specifications: Mapping[int, Any]) -> list[tuple[int, Any]]:
        """Build parts; errors wait until the parts are asked."""
        for position, specification in specifications.items():
            try:
                self._parts[position] = build(specification)
            except Exception as error:
                self._parts[position] = _Failure(error)
        return []

    def ask(self, method: str, arguments: tuple[Any, ...]) -> list[tuple[int, Any]]:
        """Call a method of every part; without a name, tell the process."""
        if not method:
            return [(min(self._parts, default=0), os.getpid())]
        return [(position, self._call(part, method, arguments)) for position, part in self._parts.items()]

    @staticmethod
    def _call(part: Any, method: str, arguments: tuple[Any, ...]) -> Any:
        if isinstance(part, _Failure):
            return part
        try:
            return getattr(part, method)(*arguments)
        except Exception as error:
            return _Failure(error)


class _Worker(Protocol):
    """A worker in some engine: what is started is finished before anything else is started."""

    def start(self, method: str, *arguments: Any) -> None: ...

    def finish(self) -> list[tuple[int, Any]]: ...

    def close(self) -> None: ...


class _Engine(Protocol):
    def hire(self) -> _Worker: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Member:
    worker: _Worker
    positions: tuple[int, ...]


class _Serial:
    """No other process."""

    def __init__(self) -> None:
        from threadpoolctl import threadpool_limits

        self._limits = threadpool_limits(1)

    def hire(self) -> _Worker:
        return _Here()

    def close(self) -> None:
        self._limits.restore_original_limits()


class _Here:
    def __init__(self) -> None:
        self._desk = _Desk()
        self._found: list[tuple[int, Any]] = []

    def start(self, method: str, *arguments: Any) -> None:
        self._found = getattr(self._desk, method)(*arguments)

    def finish(self) -> list[tuple[int, Any]]:
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        self._desk = _Desk()


class _Processes:
    """Processes of this machine, each at the other end of a pipe."""

    def hire(self) -> _Worker:
        return _Process()

    def close(self) -> None:
        pass


class _Process:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        with _one_thread():
            self._process.start()
        there.close()

    def start(self, method: str, *arguments: Any) -> None:
        try:
            self._pipe.send((method, arguments))
        except OSError as error:
            raise _Gone from error

    def finish(self) -> list[tuple[int, Any]]:
        try:
            found: list[tuple[int, Any]] = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise _Gone from error
        return found

    def close(self) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that are started meanwhile do their linear algebra on one thread."""
    names = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL")]
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Any) -> None:
    """Answer until the other end is closed."""
    desk = _Desk()
    while True:
        try:
            method, arguments = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        pipe.send(getattr(desk, method)(*arguments))


class _DaskActors:
    """Actors of dask; one after the other on the workers that there are."""

    def __init__(self, wanted: int) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingExtraError("the engine dask", "dask") from error
        self._own = None
        try:
            self._client: Any = Client.current()
        except ValueError:
            self._client = self._own = Client(
                n_workers=wanted, threads_per_worker=1, processes=True, dashboard_address=None
            )
        self._hired = 0

    def hire(self) -> _Worker:
        import time

        # A worker that was lost is replaced by its nanny, if it has one, after a moment.
        for _ in range(100):
            addresses = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
            if addresses:
                break
            time.sleep(0.1)
        else:
            msg = "the dask cluster has no worker"
            raise WorkerLostError(msg)
        address = addresses[self._hired % len(addresses)]
        self._hired += 1
        return _DaskActor(self._client, address)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None


class _DaskActor:
    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._actor: Any = None
        self._future: Any = None

    def start(self, method: str, *arguments: Any) -> None:
        try:
            if self._actor is None:
                made = self._client.submit(_Desk, actor=True, workers=[self._address], pure=False)
                self._actor = made.result(timeout=60)
            self._future = getattr(self._actor, method)(*arguments)
        except Exception as error:
            raise _Gone from error

    def finish(self) -> list[tuple[int, Any]]:
        # Whatever a part raises comes back as a result: an error here is the worker's or the network's.
        try:
            found: list[tuple[int, Any]] = self._future.result()
        except Exception as error:
            raise _Gone from error
        return found

    def close(self) -> None:
        self._actor = self._future = None


class _RayActors:
    """Actors of ray."""

    def __init__(self, wanted: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("the engine ray", "ray") from error
        if not ray.is_initialized():
            ray.init(num_cpus=wanted, include_dashboard=False, log_to_driver=False)
        self._desk: Any = ray.remote(num_cpus=1, max_restarts=0)(_Desk)

    def hire(self) -> _Worker:
        return _RayActor(self._desk.remote())

    def close(self) -> None:
        pass


class _RayActor:
    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._future: Any = None

    def start(self, method: str, *arguments: Any) -> None:
        self._future = getattr(self._actor, method).remote(*arguments)

    def finish(self) -> list[tuple[int, Any]]:
        import ray

        try:
            found: list[tuple[int, Any]] = ray.get(self._future)
        except ray.exceptions.RayActorError as error:
            raise _Gone from error
        return found

    def close(self) -> None:
        import ray

        ray.kill(self._actor)


_STAFFING: Mapping[str, Callable[[int], _Engine]] = {
    "serial": lambda wanted: _Serial(),
    "joblib": lambda wanted: _Processes(),
    "dask": _DaskActors,
    "ray": _RayActors,
}
