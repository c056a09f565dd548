r"""Dividing goods among valuations so that the values sum to the most.

Goods come one by one. With the goods so far divided best, a best division with one more good follows
from a *shortest augmenting path* in the exchange graph: the new good enters a bundle, in place of a good
that enters another bundle, and so on, until a good is added to a bundle. Of the paths of greatest gain one
with the fewest steps is taken, without which the single exchanges would not add up (for valuations that
are M♮-concave this is valuated matroid intersection).

Values are tuples compared from the left, so that domains need no large numbers: outside the domain of u
a bundle B is worth :math:`\max_T (-|B \triangle T|, u(T))`, which is M♮-concave again and everywhere finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fairlot.errors import NotSupportedError
from fairlot.model.valuations.base import Valuation
from fairlot.model.valuations.expressions import INFINITY, Number, goods_in, rounding

Worth = tuple[Number, ...]


def extended(valuation: Valuation) -> Callable[[int], Worth]:
    """Return (minus the goods by which a bundle misses the domain, best value that near), memoised."""
    known: dict[int, Worth] = {}
    n_goods = valuation.n_goods

    def worth(mask: int) -> Worth:
        found = known.get(mask)
        if found is None:
            value = valuation._value(mask)
            if value == -INFINITY:
                away = [-1 if mask >> j & 1 else 1 for j in range(n_goods)]
                near = valuation._argmax(away, [0] * n_goods, [0] * n_goods)
                found = (-(mask ^ near).bit_count(), valuation._value(near))
            else:
                found = (0, value)
            known[mask] = found
        return found

    return worth


def best_partition(worths: Sequence[Callable[[int], Worth]], goods: Iterable[int]) -> list[int]:
    """Divide goods so that the worths of the bundles sum to the most.

    Parameters
    ----------
    worths : sequence of callables
        From a bitmask to a tuple, all of one length, compared from the left; M♮-concave, defined
        everywhere. Where it makes no difference, goods go to the first.
    goods : iterable of int
        What is divided.

    Returns
    -------
    list of int
        Bitmask of each bundle.
    """
    bundles = [0] * len(worths)
    holder: dict[int, int] = {}
    for good in goods:
        path, last = _augmenting_path(worths, bundles, holder, good)
        owners = [holder[k] for k in path[1:]] + [last]
        for k, owner in zip(path[1:], owners, strict=False):
            bundles[owner] ^= 1 << k
        for k, owner in zip(path, owners, strict=True):
            bundles[owner] |= 1 << k
            holder[k] = owner
    return bundles


def _augmenting_path(
    worths: Sequence[Callable[[int], Worth]], bundles: list[int], holder: dict[int, int], good: int
) -> tuple[list[int], int]:
    """Find the goods of a best path with the fewest steps, and who gets the last of them."""
    here = [worth(bundle) for worth, bundle in zip(worths, bundles, strict=True)]
    swap: dict[int, list[tuple[int, Worth]]] = {}  # j enters in place of k: gain
    adds: dict[int, list[tuple[Worth, int]]] = {}  # gain of adding j to a bundle, and whose
    for j in (good, *holder):
        swap[j], adds[j] = [], []
        for i, worth in enumerate(worths):
            if bundles[i] >> j & 1:
                continue
            gain = _less(worth(bundles[i] | 1 << j), here[i])
            adds[j].append((gain, i))
            for k in goods_in(bundles[i]):
                swap[j].append((k, _less(worth(bundles[i] ^ 1 << k | 1 << j), here[i])))
    # Floats obey the exchange inequality up to rounding: a cycle may seem to gain that much.
    near = rounding((part for moves in swap.values() for _, step in moves for part in step), 1e-11)

    def better(first: tuple[Worth, int], second: tuple[Worth, int]) -> bool:
        for a, b in zip(first[0], second[0], strict=True):
            if a - b > near or b - a > near:
                return a > b
        return first[1] < second[1]

    add: dict[int, tuple[Worth, int]] = {}
    for j, gains in adds.items():
        for gain, i in gains:
            if j not in add or better((gain, 0), (add[j][0], 0)):
                add[j] = (gain, i)
    # Longest walk from the new good, ties by fewest steps (Bellman–Ford on what changed).
    reached: dict[int, tuple[Worth, int]] = {good: (tuple(0 for _ in here[0]), 0)}
    came_from: dict[int, int] = {}
    changed = [good]
    while changed:
        after: dict[int, None] = {}
        for j in changed:
            gain, steps = reached[j]
            for k, step in swap[j]:
                through = (_plus(gain, step), steps + 1)
                if k not in reached or better(through, reached[k]):
                    if steps > len(holder):
                        msg = "an exchange of goods gains without end: some valuation is not M♮-concave"
                        raise NotSupportedError(msg)
                    reached[k] = through
                    came_from[k] = j
                    after[k] = None
        changed = list(after)
    end, best = good, None
    for j in reached:
        if j in add:
            through = (_plus(reached[j][0], add[j][0]), reached[j][1])
            if best is None or better(through, best):
                end, best = j, through
    path = [end]
    while path[-1] != good:
        path.append(came_from[path[-1]])
    return path[::-1], add[end][1]


def _plus(first: Worth, second: Worth) -> Worth:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def _less(first: Worth, second: Worth) -> Worth:
    return tuple(a - b for a, b in zip(first, second, strict=True))
