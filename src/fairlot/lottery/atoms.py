r"""Drawing one assignment of bundles without a lottery at hand: the cycle walk with atoms.

Agents hold expected shares :math:`x_i \in \operatorname{conv} D_i` of goods of which there is one each; every
:math:`D_i` is M♮-convex, such as the demand at equilibrium prices. Then
:math:`\operatorname{conv} D_i = \{x : \lambda_i(S) \le x(S) \le \rho_i(S)\}` with the least and the greatest
:math:`|A \cap S|` of its bundles. Add a *null good* that takes up what a bundle lacks in size. The sets
that are tight at :math:`x_i` split the goods and the null good into **atoms**, classes that no tight set
separates: within an atom shares can move both ways, and add up to an integer, so that where one is
fractional another is.

Hence in the graph of goods and (agent, atom) pairs, with an edge for every fractional share and one more node
where all null goods meet, every walk can go on, and closes a cycle. Along it shares move by a or back by b,
as far as all its agents stay within conv :math:`D_i`; forward with probability :math:`b / (a + b)`, so that
no expectation changes. Each step fixes a share or makes a new set tight. At the end everybody holds a
bundle of her :math:`D_i`, and every good is held once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.model.valuations.expressions import Number, goods_in, mask_of

MOST_GOODS = 12
"""Most goods: every set of them is looked at."""
_NULL = -1
Node = tuple[str, int, int]
_GROUND: Node = ("ground", 0, 0)


def draw_bundles(
    shares: Sequence[Sequence[Number]],
    demands: Sequence[Sequence[frozenset[int]]],
    seed: int,
) -> tuple[tuple[int, ...], ...]:
    """Draw an assignment with given expected shares in which everybody gets a bundle that she demands.

    For simulations; binding draws are those of :func:`fairlot.draw`.

    Parameters
    ----------
    shares : sequence, shape (n_agents, n_goods)
        Expected shares, exact; they add up to 1 over the agents. What is left over is the share of an agent
        of its own, who demands any set of goods that may be left.
    demands : sequence of sequences of frozenset of int
        Of each agent, all bundles of an M♮-convex set whose convex hull holds her shares.
    seed : int
        Of Python's generator, asked for integers only.

    Returns
    -------
    tuple of tuple of int
        Every agent's bundle.

    Raises
    ------
    InvalidProblemError
        If shares do not add up, or are outside the convex hull of what is demanded.
    NotSupportedError
        If there are too many goods, or some set of bundles turns out not to be M♮-convex.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> either = [frozenset({0}), frozenset({1})]
    >>> sorted(draw_bundles([[half, half], [half, half]], [either, either], seed=1))
    [(0,), (1,)]
    """
    random = Random(seed)

    def toss(chance: Fraction) -> bool:
        return random.randrange(chance.denominator) < chance.numerator

    return walk(shares, demands, toss)


def walk(
    shares: Sequence[Sequence[Number]],
    demands: Sequence[Sequence[frozenset[int]]],
    toss: Callable[[Fraction], bool],
) -> tuple[tuple[int, ...], ...]:
    """Walk as :func:`draw_bundles` does, with coins tossed by a function of the chance of True."""
    agents = _agents(shares, demands)
    while True:
        graph = _graph(agents)
        if not graph:
            break
        cycle = _cycle(graph)
        moves = _moves(cycle, len(shares[0]))
        forward = min(agents[i].room(move, 1) for i, move in moves.items())
        backward = min(agents[i].room(move, -1) for i, move in moves.items())
        if forward <= 0 or backward <= 0:
            msg = "shares are stuck at a fraction: some agent's bundles are not an M♮-convex set"
            raise NotSupportedError(msg)
        step = forward if toss(backward / (forward + backward)) else -backward
        for i, move in moves.items():
            agents[i].shift(move, step)
    bundles = [frozenset(j for j, share in enumerate(agent.shares) if share) for agent in agents]
    for i, (bundle, demand) in enumerate(zip(bundles, demands, strict=True)):
        if bundle not in demand:
            msg = f"the walk left the bundles of agent {i}, which are not an M♮-convex set"
            raise NotSupportedError(msg)
    return tuple(tuple(sorted(bundle)) for bundle in bundles)


@dataclass
class _Agent:
    """One agent's shares, and the bounds on every set of goods by bitmask."""

    shares: list[Fraction]
    least: list[int]
    most: list[int]

    def sums(self, numbers: Sequence[Fraction | int]) -> list[Fraction]:
        """Sum over every set of goods."""
        totals = [Fraction(0)]
        for number in numbers:
            totals += [total + number for total in totals]
        return totals

    def atoms(self) -> list[tuple[int, ...]]:
        """Split the goods, and the null good, by the sets that are tight."""
        held = self.sums(self.shares)
        tight = [
            mask for mask, total in enumerate(held) if total in (self.least[mask], self.most[mask]) and mask
        ]
        classes: dict[tuple[int, ...], list[int]] = {}
        for j in (_NULL, *range(len(self.shares))):
            sides = tuple(0 if j == _NULL else mask >> j & 1 for mask in tight)
            classes.setdefault(sides, []).append(j)
        return [tuple(members) for members in classes.values()]

    def room(self, move: Sequence[int], sign: int) -> Fraction:
        """Tell how far shares can move before a set is as small or as large as it may be."""
        held, moved = self.sums(self.shares), self.sums(move)
        rooms = []
        for mask, change in enumerate(moved):
            if change * sign > 0:
                rooms.append((self.most[mask] - held[mask]) / abs(change))
            elif change * sign < 0:
                rooms.append((held[mask] - self.least[mask]) / abs(change))
        return min(rooms)

    def shift(self, move: Sequence[int], step: Fraction) -> None:
        self.shares = [share + change * step for share, change in zip(self.shares, move, strict=True)]


def _agents(shares: Sequence[Sequence[Number]], demands: Sequence[Sequence[frozenset[int]]]) -> list[_Agent]:
    n_goods = len(shares[0])
    if n_goods > MOST_GOODS:
        msg = f"a walk over bundles of {n_goods} goods; at most {MOST_GOODS}"
        raise NotSupportedError(msg)
    issues = []
    agents = []
    for i, (row, demand) in enumerate(zip(shares, demands, strict=True)):
        masks = [mask_of(bundle) for bundle in demand]
        counts = [[(mask & bundle).bit_count() for bundle in masks] for mask in range(1 << n_goods)]
        agent = _Agent([Fraction(share) for share in row], [min(c) for c in counts], [max(c) for c in counts])
        for mask, total in enumerate(agent.sums(agent.shares)):
            if not agent.least[mask] <= total <= agent.most[mask]:
                found = f"{total} of goods {goods_in(mask)}"
                expected = f"from {agent.least[mask]} to {agent.most[mask]}, as in what she demands"
                issues.append(Issue(f"shares of agent {i}", found=found, expected=expected))
                break
        agents.append(agent)
    for j in range(n_goods):
        given = sum((agent.shares[j] for agent in agents), Fraction(0))
        if given != 1:
            issues.append(Issue(f"shares of good {j}", found=f"{given} in all", expected="1"))
    if issues:
        raise InvalidProblemError(issues)
    return agents


def _graph(agents: Sequence[_Agent]) -> dict[Node, list[Node]]:
    """Link every fractional share's good and atom; fractional null goods meet in one node."""
    graph: dict[Node, list[Node]] = {}

    def link(a: Node, b: Node) -> None:
        graph.setdefault(a, []).append(b)
        graph.setdefault(b, []).append(a)

    for i, agent in enumerate(agents):
        if all(share.denominator == 1 for share in agent.shares):
            continue
        for k, members in enumerate(agent.atoms()):
            atom: Node = ("atom", i, k)
            for j in members:
                if j == _NULL:
                    if sum(agent.shares, Fraction(0)).denominator != 1:
                        link(atom, _GROUND)
                elif agent.shares[j].denominator != 1:
                    link(atom, ("good", j, 0))
    return graph


def _cycle(graph: dict[Node, list[Node]]) -> list[Node]:
    """Walk on, never straight back, until a node is met again."""
    path = [min(graph)]
    place = {path[0]: 0}
    while True:
        here, before = path[-1], path[-2] if len(path) > 1 else None
        there = next(node for node in graph[here] if node != before)
        if there in place:
            return path[place[there] :]
        place[there] = len(path)
        path.append(there)


def _moves(cycle: Sequence[Node], n_goods: int) -> dict[int, list[int]]:
    """Of every agent on a cycle, which goods she gives up (-1) and takes (1) when going forward."""
    moves: dict[int, list[int]] = {}
    for k, node in enumerate(cycle):
        if node[0] == "atom":
            move = moves.setdefault(node[1], [0] * n_goods)
            for neighbour, change in ((cycle[k - 1], -1), (cycle[(k + 1) % len(cycle)], 1)):
                if neighbour[0] == "good":
                    move[neighbour[1]] += change
    return moves
