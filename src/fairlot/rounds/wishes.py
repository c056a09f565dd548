r"""What an agent of a pseudo-market is asked, and how her answers become values.

She rates the goods she would take, by stars or by points. The rule, which her page states:

- *points* from 1 to 100 are her values as they stand;
- *stars* from 1 to 5 are 20 points each;
- what she rates with 0, or not at all, she never gets.

Values of two goods are compared with each other only within her own answers, so that nobody gains by rating
everything higher.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.keys import SETTINGS, write_toml
from fairlot.io.problem import parse_problem_files
from fairlot.io.pseudomarket import NOT_ACCEPTABLE
from fairlot.io.tables import read_table, write_csv
from fairlot.model.conflicts import Conflict
from fairlot.model.constraints import Quota, Taper
from fairlot.model.hierarchy import UNBOUNDED, FloatArray
from fairlot.model.market import PseudoMarket

VALUES = "values.csv"
_OWN_COLUMNS = ("good", "capacity", "per_agent", "title")
_NOTHING = 1e-6
_CHEAPER = 1e-7
"""Weight of money, per highest value, that makes the cheaper of equally good lotteries the best one."""


class Scale(StrEnum):
    """How agents rate."""

    STARS = "stars"
    POINTS = "points"

    @property
    def most(self) -> int:
        """Return the highest rating."""
        return 5 if self is Scale.STARS else 100

    @property
    def points(self) -> int:
        """Return the points that one step is worth."""
        return 100 // self.most


@dataclass(frozen=True)
class Good:
    """A good as an agent sees it.

    Parameters
    ----------
    id, title : str
        Its id, and what the column ``title`` says, if there is one.
    capacity, per_agent : int
        Copies there are, and copies one agent may hold.
    facts : tuple of (str, str)
        The other columns of the table of goods, by name, those that say something.
    """

    id: str
    title: str
    capacity: int
    per_agent: int
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bound:
    """A rule about how many copies she may get from a set of goods.

    Parameters
    ----------
    name, group : str
        What the organiser calls it, and which one it is of many.
    goods : tuple of str
        The set.
    least : int
        What she has to get.
    most : int or None
        What she may get; None without bound.
    worth_less : tuple of float
        By how many points the first, second … copy of the set changes her total; empty for a quota.
    conflict : bool
        Whether the set is a pair of goods that exclude each other.
    """

    name: str
    group: str
    goods: tuple[str, ...]
    least: int
    most: int | None
    worth_less: tuple[float, ...] = ()
    conflict: bool = False


@dataclass(frozen=True)
class Standing:
    """How a bound stands with the ratings so far.

    Parameters
    ----------
    bound : Bound
        Which.
    rated : tuple of str
        The goods of the set that she would take.
    copies : int
        Copies of them that she could hold if there were no bound.
    """

    bound: Bound
    rated: tuple[str, ...]
    copies: int

    @property
    def binds(self) -> bool:
        """Whether she cannot get all that she would take."""
        return self.bound.most is not None and self.copies > self.bound.most

    @property
    def short(self) -> int:
        """How many more copies she has to accept, so that she can get what she has to."""
        return max(self.bound.least - self.copies, 0)


@dataclass(frozen=True)
class Preview:
    """What the prices of another round would give her.

    Parameters
    ----------
    shares : tuple of (str, float)
        Expected copies of her best lottery within her budget, the largest first.
    cost, budget : float
        What it costs, and what she has.
    """

    shares: tuple[tuple[str, float], ...]
    cost: float
    budget: float


@dataclass(frozen=True, eq=False)
class WishForm:
    """What one agent is asked.

    Parameters
    ----------
    agent : str
        Who.
    scale : Scale
        How she rates.
    goods : tuple of Good
        In the order of the table.
    bounds : tuple of Bound
        Quotas and tapers that are about her.
    budget : float
        Her money.
    entered : mapping of str to float
        Points that the uploaded table holds for her already.
    """

    agent: str
    scale: Scale
    goods: tuple[Good, ...]
    bounds: tuple[Bound, ...]
    budget: float
    entered: Mapping[str, float]

    def read(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Check an answer, and write it in its one form: ratings above 0, in order of good.

        Parameters
        ----------
        payload : mapping
            ``{"ratings": {good: rating}}``.

        Raises
        ------
        InvalidProblemError
            Naming every rating that is none.
        """
        ratings = payload.get("ratings")
        if set(payload) != {"ratings"} or not isinstance(ratings, Mapping):
            raise InvalidProblemError([Issue("choice", expected='{"ratings": {good: rating}}')])
        known = {good.id for good in self.goods}
        issues = []
        for good, rating in ratings.items():
            if good not in known:
                issues.append(Issue("unknown good", found=str(good), expected="a good of this round"))
            elif type(rating) is not int or not 0 <= rating <= self.scale.most:
                expected = f"a whole number from 0 to {self.scale.most}"
                issues.append(Issue(f"rating of '{good}'", found=str(rating), expected=expected))
        if issues:
            raise InvalidProblemError(issues)
        return {"ratings": {good: ratings[good] for good in sorted(ratings) if ratings[good] > 0}}

    def standing(self, ratings: Mapping[str, int]) -> tuple[Standing, ...]:
        """Say how each bound stands with some ratings.

        Parameters
        ----------
        ratings : mapping of str to int
            By good; 0 or absent is not wanted.
        """
        each = {good.id: min(good.per_agent, good.capacity) for good in self.goods}
        found = []
        for bound in self.bounds:
            rated = tuple(good for good in bound.goods if ratings.get(good, 0) > 0)
            found.append(Standing(bound, rated, sum(each[good] for good in rated)))
        return tuple(found)

    def preview(self, ratings: Mapping[str, int], prices: Mapping[str, float]) -> Preview | None:
        """Say what she would get at given prices; None where they leave nothing that she may have.

        Parameters
        ----------
        ratings : mapping of str to int
            By good.
        prices : mapping of str to float
            Of another round; a good that has none there costs nothing.
        """
        wanted = [good for good in self.goods if ratings.get(good.id, 0) > 0 and good.capacity > 0]
        if not wanted:
            return Preview((), 0.0, self.budget)
        market = self._alone(wanted, ratings)
        cost = np.array([max(prices.get(good, 0.0), 0.0) for good in market.goods])
        copies = _best_lottery(market, cost)
        if copies is None:
            return None
        shares = [(good, float(x)) for good, x in zip(market.goods, copies, strict=True) if x > _NOTHING]
        return Preview(tuple(sorted(shares, key=lambda one: -one[1])), float(cost @ copies), self.budget)

    def _alone(self, wanted: Sequence[Good], ratings: Mapping[str, int]) -> PseudoMarket:
        ids = [good.id for good in wanted]
        quotas, tapers, conflicts = [], [], []
        for bound in self.bounds:
            members = [good for good in ids if good in bound.goods]
            if bound.worth_less:
                tapers.append(Taper(bound.name, bound.worth_less, members, group=bound.group))
            elif not bound.conflict:
                quotas.append(Quota(bound.name, members, bound.least, bound.most, group=bound.group))
            elif len(members) == 2:
                conflicts.append(Conflict(bound.name, [(members[0], members[1])]))
        return PseudoMarket.from_arrays(
            [[ratings[good] * self.scale.points for good in ids]],
            [good.capacity for good in wanted],
            self.budget,
            agents=[self.agent],
            goods=ids,
            per_agent=[good.per_agent for good in wanted],
            quotas=quotas,
            tapers=tapers,
            conflicts=conflicts,
        )


def _best_lottery(market: PseudoMarket, prices: FloatArray) -> FloatArray | None:
    """Solve for one agent's expected copies: the most utility within her bounds and budget, then cheapest."""
    rows = market.rows
    soft = np.isfinite(rows.penalty)
    membership = rows.membership(market.n_goods)
    excess = sp.csr_array(-np.eye(rows.n_rows)[:, soft])
    bounded = sp.hstack([membership, excess], format="csr")
    worth = np.concatenate([market.base_values, -rows.penalty[soft]])
    spent = np.concatenate([prices, np.zeros(int(soft.sum()))])
    most = np.where(rows.upper == UNBOUNDED, np.inf, rows.upper)
    copies = np.minimum(market.per_agent, market.capacities)
    found = milp(
        -worth + _CHEAPER * max(float(market.values.data.max()), 1.0) * spent,
        bounds=Bounds(0, np.concatenate([copies, np.full(int(soft.sum()), np.inf)])),
        constraints=[
            LinearConstraint(bounded, rows.lower, most),
            LinearConstraint(spent[np.newaxis], -np.inf, market.budgets),
        ],
    )
    return np.asarray(found.x[: market.n_goods], dtype=np.float64) if found.success else None


class WishForms:
    """The forms of all agents of a pseudo-market.

    Parameters
    ----------
    files : mapping of str to bytes
        Its problem folder.
    scale : Scale
        How agents rate.

    Raises
    ------
    InvalidProblemError
        If the folder cannot be read.
    """

    def __init__(self, files: Mapping[str, bytes], scale: Scale) -> None:
        parsed = parse_problem_files(files)
        self._market, self._files, self.scale = parsed.problem, parsed.files, scale
        self._row = {agent: i for i, agent in enumerate(self._market.agents)}

    @property
    def agents(self) -> tuple[str, ...]:
        """Return who is asked."""
        return self._market.agents

    def __getitem__(self, agent: str) -> WishForm:
        """Return an agent's form.

        Raises
        ------
        KeyError
            If there is no such agent.
        """
        i = self._row[agent]
        market = self._market
        span = slice(market.values.indptr[i], market.values.indptr[i + 1])
        entered = {
            market.goods[j]: float(value)
            for j, value in zip(market.values.indices[span], market.values.data[span], strict=True)
        }
        rules: tuple[Quota | Taper, ...] = (*market.quotas, *market.tapers)
        bounds = [
            Bound(
                rule.name,
                rule.group,
                tuple(market.goods[j] for j in found.goods),
                int(found.lower[i]),
                None if found.upper[i] == UNBOUNDED else int(found.upper[i]),
                tuple(found.marginals.tolist()),
            )
            for rule, found in zip(rules, market.bound_sets, strict=True)
            if found.agents is None or i in found.agents
        ]
        bounds += self._conflicts
        return WishForm(agent, self.scale, self._goods, tuple(bounds), float(market.budgets[i]), entered)

    @cached_property
    def _goods(self) -> tuple[Good, ...]:
        table = read_table(self._files.__getitem__, "goods.csv", [])
        if table is None:
            return ()
        others = [column for column in table.columns if column not in _OWN_COLUMNS]
        titles = table["title"] if "title" in table else table["good"]
        return tuple(
            Good(
                good,
                titles[j] or good,
                int(self._market.capacities[j]),
                int(self._market.per_agent[j]),
                tuple((column, table[column][j]) for column in others if table[column][j]),
            )
            for j, good in enumerate(self._market.goods)
        )

    @cached_property
    def _conflicts(self) -> tuple[Bound, ...]:
        goods = self._market.goods
        return tuple(
            Bound("", "", (goods[one], goods[other]), 0, 1, conflict=True)
            for one, other in self._market.conflict_pairs.tolist()
        )

    def problem(self, payloads: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
        """Return the problem folder with what agents answered in place of what the table held for them.

        Parameters
        ----------
        payloads : mapping
            An answer, as :meth:`WishForm.read` returns it, for each agent who gave one. The others keep their
            rows.
        """
        settings = tomllib.loads(self._files[SETTINGS].decode())
        settings["values"] = {**settings["values"], "layout": "long", "missing": NOT_ACCEPTABLE}
        market = self._market
        rows: list[tuple[str, str, str]] = []
        for agent in market.agents:
            if agent in payloads:
                ratings = payloads[agent]["ratings"]
                rows += [
                    (agent, good, str(ratings[good] * self.scale.points))
                    for good in market.goods
                    if good in ratings
                ]
            else:
                entered = self[agent].entered
                rows += [(agent, good, f"{value:.17g}") for good, value in entered.items()]
        return {
            **self._files,
            SETTINGS: write_toml(settings),
            VALUES: write_csv(("agent", "good", "value"), rows),
        }
