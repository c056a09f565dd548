"""How often somebody may ask: token buckets, one for each key, in the memory of the web process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from litestar.exceptions import TooManyRequestsException


class Limiter:
    """Allows so many requests a minute for each key, all at once if need be.

    Parameters
    ----------
    per_minute : int
        Requests of one key.
    most_keys : int
        Keys that are remembered; the fullest buckets, which restrict nobody, are forgotten beyond it.
    clock : callable
        Seconds; it may jump for all this cares, for it is not the calendar's.

    Examples
    --------
    >>> limiter = Limiter(2, clock=lambda: 0.0)
    >>> [limiter.allows("a"), limiter.allows("a"), limiter.allows("a"), limiter.allows("b")]
    [True, True, False, True]
    """

    def __init__(
        self, per_minute: int, most_keys: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = float(per_minute)
        self._most_keys = most_keys
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def allows(self, key: str, cost: float = 1.0) -> bool:
        """Say whether a request may pass, and count it if so; a cost of 0 only asks."""
        with self._lock:
            now = self._clock()
            left = self._left(key, now)
            if left < max(cost, 1.0):
                return False
            self._buckets[key] = (left - cost, now)
            if len(self._buckets) > self._most_keys:
                self._forget(now)
            return True

    def spend(self, key: str) -> None:
        """Take one away without asking."""
        with self._lock:
            now = self._clock()
            self._buckets[key] = (max(self._left(key, now) - 1.0, 0.0), now)

    def demand(self, key: str, cost: float = 1.0) -> None:
        """Refuse a request beyond the limit.

        Raises
        ------
        TooManyRequestsException
            If there were too many.
        """
        if not self.allows(key, cost):
            raise TooManyRequestsException("Too many requests; wait a minute.", headers={"retry-after": "60"})

    def _left(self, key: str, now: float) -> float:
        left, since = self._buckets.get(key, (self._capacity, now))
        return min(self._capacity, left + max(now - since, 0.0) * self._capacity / 60)

    def _forget(self, now: float) -> None:
        by_need = sorted(self._buckets, key=lambda key: self._left(key, now))
        self._buckets = {key: self._buckets[key] for key in by_need[: self._most_keys // 2]}
