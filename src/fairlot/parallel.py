"""One function for work on many workers: :func:`pmap`.

``pmap(function, items)`` is ``[function(item) for item in items]`` by any of four engines. Results come in
the order of the items and do not depend on the engine or the number of workers, as long as ``function``
does not.

=========  ===========================================================================================
engine     workers
=========  ===========================================================================================
serial     this process
joblib     processes of this machine, kept for later calls
dask       the client of the program if it has one (``dask.distributed.Client(address)``), else processes
           of this machine, kept for later calls; needs the extra ``dask``
ray        what ``ray.init`` joined, else processes of this machine; needs the extra ``ray``
=========  ===========================================================================================

All work, in this process too, does its linear algebra on one thread: the matrices of one item are small, and
threads that wait for each other have been seen to cost fifteen times the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from fairlot.errors import InvalidProblemError, Issue, MissingExtraError
from fairlot.progress import NullReporter, Reporter

Engine = Literal["serial", "joblib", "dask", "ray"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

_BATCHES_EACH = 8
"""Batches for each worker: few, since each costs a message, yet enough to share out long items."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def pmap(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> list[Result]:
    """Apply a function to every item, on several workers.

    Parameters
    ----------
    function : callable
        Of one item. Workers in other processes get it by pickle, so that it must be importable, or a
        ``functools.partial`` of something that is.
    items : iterable
        What to work on.
    engine : "serial", "joblib", "dask" or "ray"
        See the module. With one worker, ``joblib`` is the same as ``serial``.
    n_jobs : int, optional
        Workers, at least 1; None for one per processor. A cluster that was joined keeps its own number.
    reporter : Reporter, optional
        Told what share of the items is done.

    Returns
    -------
    list
        Results, in the order of the items.

    Raises
    ------
    InvalidProblemError
        If the engine is not known or there is no worker.
    MissingExtraError
        If the engine is not installed.
    Exception
        The first that ``function`` raised, in the order of the items, with a note that says at which;
        the other items are worked on all the same.

    Examples
    --------
    >>> pmap(abs, [-2, 1, -3])
    [2, 1, 3]
    """
    issues = []
    if engine not in ENGINES:
        issues.append(Issue("engine", found=str(engine), expected=" or ".join(ENGINES)))
    if n_jobs is not None and n_jobs < 1:
        issues.append(Issue("number of workers", found=str(n_jobs), expected="at least 1"))
    if issues:
        raise InvalidProblemError(issues)
    reporter = NullReporter() if reporter is None else reporter
    work = list(items)
    attempt = _Attempt(function)
    results: list[Result] = []
    failures: list[tuple[int, Exception]] = []
    for k, outcome in enumerate(_ENGINES[engine](attempt, work, n_jobs)):
        if isinstance(outcome, _Failure):
            failures.append((k, outcome.error))
        else:
            results.append(outcome)
        reporter.update((k + 1) / len(work))
    if failures:
        k, error = failures[0]
        error.add_note(f"item {k} of {len(work)}")
        raise error
    return results


@dataclass(frozen=True)
class _Failure:
    """An error on its way back from a worker."""

    error: Exception


@dataclass(frozen=True)
class _Attempt(Generic[Item, Result]):
    """The function, returning what it raises: every engine then carries errors alike."""

    function: Callable[[Item], Result]

    def __call__(self, item: Item) -> Result | _Failure:
        try:
            return self.function(item)
        except Exception as error:
            return _Failure(error)


def _serial(attempt: Callable[[Any], Any], items: Sequence[Any], n_jobs: int | None) -> Iterator[Any]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield from map(attempt, items)


def _joblib(attempt: Callable[[Any], Any], items: Sequence[Any], n_jobs: int | None) -> Iterator[Any]:
    import joblib

    workers = min(joblib.cpu_count() if n_jobs is None else n_jobs, len(items))
    if workers <= 1:
        return _serial(attempt, items, n_jobs)
    # by the default one batch follows the other as soon as it is short: costly where items take milliseconds
    batch = max(1, len(items) // (_BATCHES_EACH * workers))
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=workers, batch_size=batch, return_as="generator")
        outcomes: Iterator[Any] = parallel(joblib.delayed(attempt)(item) for item in items)
    return outcomes


def _dask(attempt: Callable[[Any], Any], items: Sequence[Any], n_jobs: int | None) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("the engine dask", "dask") from error
    try:
        client = Client.current()
    except ValueError:
        client = Client(n_workers=n_jobs, threads_per_worker=1, processes=True, dashboard_address=None)
    futures = client.map(attempt, items, pure=False)
    return (future.result() for future in futures)


def _ray(attempt: Callable[[Any], Any], items: Sequence[Any], n_jobs: int | None) -> Iterator[Any]:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("the engine ray", "ray") from error
    if not ray.is_initialized():
        ray.init(num_cpus=n_jobs, include_dashboard=False, log_to_driver=False)
    task: Any = ray.remote(num_cpus=1)(_apply)
    shared = ray.put(attempt)
    futures = [task.remote(shared, item) for item in items]
    return (ray.get(future) for future in futures)


def _apply(attempt: Callable[[Any], Any], item: Any) -> Any:
    return attempt(item)


_ENGINES: dict[str, Callable[[Callable[[Any], Any], Sequence[Any], int | None], Iterator[Any]]] = {
    "serial": _serial,
    "joblib": _joblib,
    "dask": _dask,
    "ray": _ray,
}
