"""What a worker owns of a market: some of its agents, and where they stand on the path.

States and directions stay here, in numbered slots; the driver speaks of them by number. A part keeps a copy
of the supply rows' variables in each of them. All parts change these in the same way, so that they agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import CompiledMarket, Point, compile_market
from fairlot.pseudomarket.equilibrium import unscaled
from fairlot.pseudomarket.joint.newton import AgentSteps, Offer
from fairlot.pseudomarket.joint.solve import LOWER_MONEY, deprived_agents
from fairlot.pseudomarket.joint.start import fair_copies, prices_of_money, rough_state
from fairlot.pseudomarket.joint.system import JointSystem, Residual, State
from fairlot.pseudomarket.sharded.outliers import Owners, mend_outliers
from fairlot.pseudomarket.sharded.polishing import PartPolish
from fairlot.verify.demand import best_affordable
from fairlot.verify.parts import PartFindings, examine_part

Load = Callable[[], PseudoMarket]
Keep = Callable[[int, PseudoMarket, FloatArray, Any], Any]


@dataclass(frozen=True)
class PartSpecification:
    """How to build a part.

    Parameters
    ----------
    number : int
        Position among the parts.
    source : PseudoMarket or callable
        The part's agents with the goods, capacities and limits of the whole market, or what loads them.
    scratch : Path, optional
        Folder for states, which outlives the worker.
    """

    number: int
    source: PseudoMarket | Load
    scratch: Path | None


@dataclass(frozen=True, eq=False)
class Survey:
    """What the driver needs to know of a part.

    Parameters
    ----------
    goods, capacities, per_agent, limits
        Of the whole market, as this part has them.
    n_agents, n_pairs : int
        Agents, and pairs that remain after presolve.
    money : float
        Sum of budgets.
    taken : FloatArray, shape (n_rows,)
        Copies of every supply row that bounds force on these agents.
    wanted : IntArray, shape (n_goods,)
        Remaining pairs of every good.
    ids : array of uint64
        A hash of every agent's id.
    """

    goods: tuple[str, ...]
    capacities: IntArray
    per_agent: IntArray
    limits: tuple[Any, ...]
    title: str
    n_agents: int
    n_pairs: int
    money: float
    taken: FloatArray
    wanted: IntArray
    ids: npt.NDArray[np.uint64]

    def supply_side(self) -> PseudoMarket:
        """Return the goods and limits as a market with nobody who wants any of them."""
        return PseudoMarket(
            agents=("nobody",),
            goods=self.goods,
            capacities=self.capacities,
            budgets=np.ones(1),
            values=sp.csr_array((1, len(self.goods))),
            per_agent=self.per_agent,
            limits=self.limits,
            title=self.title,
        )


@dataclass(frozen=True, eq=False)
class Setting:
    """What all parts have in common, in scaled units.

    Parameters
    ----------
    budget_scale : float
        Mean budget.
    supply : FloatArray, shape (n_rows,)
        Copies left after the forced ones.
    wanted : IntArray, shape (n_goods,)
        Remaining pairs of every good, in all parts.
    """

    budget_scale: float
    supply: FloatArray
    wanted: IntArray


def id_hashes(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Hash ids to 64 bits: enough to tell, without the ids, whether one is there twice."""
    digests = b"".join(hashlib.blake2b(one.encode(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, dtype=np.uint64)


def build_part(specification: PartSpecification) -> Part:
    """Build a part, on the worker that is to own it."""
    source = specification.source
    market = source if isinstance(source, PseudoMarket) else source()
    return Part(specification.number, market, specification.scratch)


class Part:
    """Some agents of a market, and where they stand.

    Parameters
    ----------
    number : int
        Position among the parts.
    market : PseudoMarket
        The agents.
    scratch : Path or None
        Folder for states.
    """

    def __init__(self, number: int, market: PseudoMarket, scratch: Path | None) -> None:
        if market.crossings:
            raise InvalidProblemError(market.crossings)
        families = market.families
        if families.infeasible:
            i, k, required, possible = families.infeasible[0]
            message = f"agent '{market.agents[i]}': {market.bound_sets[k].label}, over what she accepts"
            found = f"{required} copies required, {possible} possible"
            raise InvalidProblemError([Issue(message, found=found, expected="bounds that can be met")])
        self.number, self.market, self._scratch = number, market, scratch
        self._alone: CompiledMarket | None = compile_market(market)
        self._held: dict[int, State | Residual] = {}

    def survey(self) -> Survey:
        """Tell the driver what there is."""
        market, compiled = self.market, self._alone
        if compiled is None:
            compiled = compile_market(market)
        taken = np.bincount(market.pair_good, compiled.forced, minlength=market.n_goods)
        return Survey(
            goods=market.goods,
            capacities=market.capacities,
            per_agent=market.per_agent,
            limits=market.limits,
            title=market.title,
            n_agents=market.n_agents,
            n_pairs=compiled.n_pairs,
            money=float(market.budgets.sum()),
            taken=np.asarray(compiled.rows @ taken),
            wanted=np.bincount(compiled.good, minlength=market.n_goods),
            ids=id_hashes(market.agents),
        )

    def settle(self, setting: Setting) -> float:
        """Take over what all parts have in common; return the sum of even copies. Again does nothing."""
        if self._alone is not None:
            alone, market = self._alone, self.market
            share = alone.rows @ (
                np.bincount(alone.good, minlength=market.n_goods) / np.maximum(setting.wanted, 1)
            )
            # Its part of supply, in proportion to the pairs: enough for a start; the driver has the whole.
            self._compiled = replace(
                alone,
                budget=market.budgets / setting.budget_scale,
                budget_scale=setting.budget_scale,
                supply=setting.supply * np.minimum(share, 1.0),
            )
            self._unit = np.maximum(setting.supply, 1.0)
            self._epsilon = prices_of_money(self._compiled)
            self._alone = None
            self._system = self._new_system()
            self._owners = Owners(self._system)
        return float(fair_copies(self._compiled).sum())

    def _new_system(self) -> JointSystem:
        system = JointSystem(self._compiled, self._epsilon)
        system.weight[system.b_supply] = self._unit
        return system

    # States and directions

    def rough(self, mu: float, slot: int, primal: FloatArray, dual: FloatArray) -> None:
        """Make the state to begin with; rows stand as the driver says."""
        state = rough_state(self._system, mu)
        rows = self._system.b_supply
        state.primal[rows], state.dual[rows] = primal, dual
        self._held = {slot: state}

    def residual(self, state: int, mu: float, slot: int) -> tuple[FloatArray, float]:
        """Evaluate the linear equations; return what is sold, and the square of the agents' merit."""
        system, at = self._system, self._state(state)
        found = system.residual(at, mu)
        sold = self._compiled.supply - at.primal[system.b_supply] - found.supply
        self._held[slot] = found = replace(found, supply=np.zeros_like(sold))
        return sold, system.merit(found) ** 2

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def linearize(self, state: int, forget: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Eliminate the agents at a state; return their slopes, and the size of the diagonal's terms."""
        for slot in forget:
            self._held.pop(slot, None)
        self._steps = AgentSteps(self._system, self._state(state))
        return self._steps.slopes(), np.asarray(self._compiled.rows @ self._steps.terms)

    def offer_correction(self, residual: int) -> FloatArray:
        """Begin a Newton step that keeps all products; return the change of what is sold."""
        found = self._held[residual]
        if not isinstance(found, Residual):
            raise TypeError(residual)
        return self._offer(np.zeros_like(self._system.weight), found)

    def offer_tangent(self, mu: float) -> FloatArray:
        """Begin a step along the path; return the change of what is sold."""
        return self._offer(mu * self._system.weight, self._system.lending_rate(mu))

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _offer(self, products: FloatArray, residual: Residual) -> FloatArray:
        self._begun: tuple[Offer, FloatArray, Residual]
        offer = self._steps.offer(products, residual)
        self._begun = (offer, products, residual)
        return offer.sold

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def answer(self, d_q: FloatArray, slot: int) -> None:
        """Finish the step that was begun."""
        self._held[slot] = self._steps.answer(*self._begun, d_q)
        del self._begun

    @np.errstate(over="ignore", invalid="ignore")
    def plus(self, one: int, other: int, length: float, slot: int) -> None:
        """Add a multiple of another direction."""
        self._held[slot] = self._state(one).plus(self._state(other), length)

    @np.errstate(over="ignore", invalid="ignore")
    def project(self, state: int, step: int, length: float, mu: float, slot: int) -> None:
        """Take a step of some length and return to the products at μ."""
        self._held[slot] = self._system.project(self._state(state), self._state(step), length, mu)

    def mend(self, state: int, residual: int, mu: float, slot: int) -> bool:
        """Bring agents back whom a step threw far off; whether there were any."""
        at, found = self._state(state), self._held[residual]
        if not isinstance(found, Residual):
            raise TypeError(residual)
        mended = mend_outliers(self._system, self._owners, at, found, mu)
        self._held[slot] = at if mended is None else mended
        return mended is not None

    def relative_size(self, state: int, step: int) -> float:
        """Largest change of a variable relative to itself."""
        return self._system.relative_size(self._state(state), self._state(step))

    def _state(self, slot: int) -> State:
        state = self._held[slot]
        if not isinstance(state, State):
            raise TypeError(slot)
        return state

    # What outlives the worker

    def save(self, state: int) -> None:
        """Write a state to the scratch folder; its duals follow from the products."""
        at = self._state(state)
        draft = self._file.with_suffix(".draft")
        with draft.open("wb") as file:
            np.savez(file, primal=at.primal, free=at.free, epsilon=self._epsilon)
        draft.replace(self._file)

    def recall(self, mu: float, slot: int, primal: FloatArray, dual: FloatArray) -> None:
        """Read the state back, and forget all others; rows stand as the driver says."""
        with np.load(self._file) as file:
            self._epsilon = file["epsilon"]
            self._system = self._new_system()
            state = State(file["primal"], mu * self._system.weight / file["primal"], file["free"])
        rows = self._system.b_supply
        state.primal[rows], state.dual[rows] = primal, dual
        self._held = {slot: state}

    @property
    def _file(self) -> Path:
        if self._scratch is None:
            msg = "this part has no scratch folder"
            raise ValueError(msg)
        return self._scratch / f"part-{self.number}.npz"

    # The end of the path

    def point_of(self, state: int) -> None:
        """Read a state as a claim."""
        self._point: Point = self._system.point(self._state(state), finished=False, iterations=0)

    def hold_nothing(self) -> None:
        """Claim that nobody gets more than bounds force on her, at prices of 0."""
        c = self._compiled
        zero = np.zeros
        self._point = Point(zero(0), zero(len(c.supply)), zero(c.n_agents), zero(c.n_nodes), True, 0)

    def polish(self, method: str, *arguments: Any) -> Any:
        """Call a method of :class:`~fairlot.pseudomarket.sharded.polishing.PartPolish`."""
        if method == "start":
            self._polish = PartPolish(self._compiled, self._unit, self._point, self._epsilon)
        found = getattr(self._polish, method)(*arguments)
        if method == "finish":
            self._point = found
            del self._polish
            return None
        return found

    def lower_money(self) -> int:
        """Lower ε of agents whom it keeps from what they can afford; return how many there are."""
        deprived = deprived_agents(self._compiled, self._point, self._epsilon)
        if deprived.any():
            self._epsilon = np.where(deprived, LOWER_MONEY * self._epsilon, self._epsilon)
            self._system = self._new_system()
        return int(deprived.sum())

    def certify(self) -> tuple[FloatArray, FloatArray, PartFindings, int]:
        """Examine the claim; return full prices, row prices, findings and the number of the satiated."""
        prices, row_prices, shares = unscaled(self._compiled, self._point)
        self._prices, self._shares = prices, shares
        findings = examine_part(self.market, prices, shares, row_prices=row_prices)
        return prices, row_prices, findings, int(best_affordable(self.market, prices).satiated.sum())

    def keep(self, keep: Keep) -> Any:
        """Hand the claim to what is to be done with it."""
        return keep(self.number, self.market, self._prices, self._shares)
