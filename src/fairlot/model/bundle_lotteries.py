r"""Random allocations of bundles: lotteries over who gets which set of goods.

A *random allocation* is :math:`\alpha \in \Delta(\Omega)`, a probability distribution over assignments of
pairwise disjoint bundles :math:`A_1, \dots, A_n`; its i-th marginal :math:`\alpha_i \in \Delta(2^H)` is agent
i's *random consumption*. Marginals alone do not tell whether there is such an :math:`\alpha`
(the implementability problem), which is why the lottery itself is what is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.valuations.expressions import Expression, Number, finite


@dataclass(frozen=True)
class BundleLottery(Expression):
    r"""A lottery over assignments of bundles, as its author claims it; nothing is checked but its shape.

    Parameters
    ----------
    weights : sequence of numbers, shape (n_terms,)
        Probabilities.
    assignments : sequence, shape (n_terms, n_agents)
        The bundle of every agent in every term, as a collection of goods; kept sorted.

    Raises
    ------
    InvalidProblemError
        If the shapes do not fit each other.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> lottery = BundleLottery([half, half], [[{0}, {1}], [{0, 1}, {}]])
    >>> lottery.consumption(0)
    {frozenset({0}): Fraction(1, 2), frozenset({0, 1}): Fraction(1, 2)}
    >>> lottery.shares(2)
    ((Fraction(1, 1), Fraction(1, 2)), (0, Fraction(1, 2)))
    """

    kind: ClassVar[str] = "bundle-lottery"
    weights: tuple[Number, ...]
    assignments: tuple[tuple[tuple[int, ...], ...], ...]

    def __post_init__(self) -> None:
        weights = tuple(finite(weight, f"weight of term {t}") for t, weight in enumerate(self.weights))
        terms = tuple(
            tuple(tuple(sorted(int(j) for j in bundle)) for bundle in term) for term in self.assignments
        )
        self._set(weights=weights, assignments=terms)
        issues = []
        if not terms or len(terms) != len(weights):
            found = f"{len(weights)} weights, {len(terms)} assignments"
            issues.append(Issue("lottery", found=found, expected="one weight per assignment, at least one"))
        issues += [
            Issue(f"assignment {t}", found=f"{len(term)} bundles", expected=f"{len(terms[0])}, one per agent")
            for t, term in enumerate(terms)
            if len(term) != len(terms[0])
        ]
        if issues:
            raise InvalidProblemError(issues)

    @property
    def n_terms(self) -> int:
        """Number of assignments."""
        return len(self.weights)

    @property
    def n_agents(self) -> int:
        """Number of agents."""
        return len(self.assignments[0])

    def consumption(self, agent: int) -> dict[frozenset[int], Number]:
        r"""Return the random consumption :math:`\alpha_i`: the probability of every bundle she may get."""
        found: dict[frozenset[int], Number] = {}
        for weight, term in zip(self.weights, self.assignments, strict=True):
            bundle = frozenset(term[agent])
            found[bundle] = found.get(bundle, 0) + weight
        return found

    def shares(self, n_goods: int) -> tuple[tuple[Number, ...], ...]:
        """Return the probability that each agent gets each good, shape (n_agents, n_goods)."""
        expected: list[list[Number]] = [[0] * n_goods for _ in range(self.n_agents)]
        for weight, term in zip(self.weights, self.assignments, strict=True):
            for row, bundle in zip(expected, term, strict=True):
                for j in bundle:
                    row[j] += weight
        return tuple(map(tuple, expected))

    def exactly(self) -> BundleLottery:
        """Return the lottery with its weights as fractions, whatever they were."""
        return BundleLottery(tuple(Fraction(weight) for weight in self.weights), self.assignments)
