r"""Constrained Kelso–Crawford economies: quasilinear agents who have only so much money.

**Lemma 1.** Every such economy has a Walrasian equilibrium: there are :math:`\lambda_i \in [0, 1]` such that
in an equilibrium of the economy without budgets of :math:`\hat U_i(A, p) = \lambda_i u_i(A) - p(A)` every
agent spends at most :math:`b_i` on average, and exactly :math:`b_i` where :math:`\lambda_i < 1`; its
lotteries are implementable because any efficient assignment goes with any of its prices.

With :math:`\alpha_i = 1 / \lambda_i \ge 1`, what a unit of utility costs her, this is the system of an
equilibrium with fiat money whose multipliers are bounded below by the worth of money. The joint road
follows its solutions on bundle columns; the bundles found optimal then say which equations hold, and these
are solved to rounding. A simple rational solution nearby is taken in its place if it is an exact one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fairlot.certificate import Certificate, Check, Stats, Status
from fairlot.errors import NotSupportedError
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy, QuasilinearEconomy
from fairlot.model.valuations.base import MOST_ENUMERATED
from fairlot.model.valuations.expressions import INFINITY, Number
from fairlot.progress import Reporter
from fairlot.pseudomarket.bundles.columns import Columns
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.joint import solve_joint
from fairlot.pseudomarket.quasilinear.claims import Claim, claims
from fairlot.pseudomarket.quasilinear.walrasian import walrasian_prices
from fairlot.verify.quasilinear import verify_kelso_crawford

_ATTEMPTS = 4


@dataclass(frozen=True)
class KelsoCrawfordEquilibrium:
    r"""An equilibrium of a quasilinear economy.

    Parameters
    ----------
    economy : QuasilinearEconomy
        The economy.
    prices : tuple of numbers, shape (n_goods,), or None
        p, in money; None where no path arrived.
    lottery : BundleLottery or None
        Who gets what.
    multipliers : tuple of numbers, shape (n_agents,), or None
        :math:`\lambda_i \in (0, 1]`: of a unit of money's worth, how much she gets for one more unit of
        money; 1 where she is not short of it.
    status : Status
        What the certificate says.
    certificate : Certificate
        By :func:`~fairlot.verify.quasilinear.verify_kelso_crawford`.
    stats : Stats
        ``parameters['exact']`` says whether every condition holds without any rounding.
    """

    economy: QuasilinearEconomy
    prices: tuple[Number, ...] | None
    lottery: BundleLottery | None
    multipliers: tuple[Number, ...] | None
    status: Status
    certificate: Certificate
    stats: Stats

    @property
    def spending(self) -> tuple[Number, ...]:
        """Expected cost of every agent's random consumption, shape (n_agents,)."""
        if self.prices is None or self.lottery is None:
            return ()
        shares = self.lottery.shares(self.economy.n_goods)
        return tuple(sum(s * p for s, p in zip(row, self.prices, strict=True)) for row in shares)

    @property
    def utilities(self) -> tuple[Number, ...]:
        """Expected :math:`u_i`, money aside, shape (n_agents,)."""
        if self.lottery is None:
            return ()
        return tuple(
            sum(weight * u.value(bundle) for bundle, weight in self.lottery.consumption(i).items())
            for i, u in enumerate(self.economy.valuations)
        )


def solve_kelso_crawford(
    economy: QuasilinearEconomy,
    *,
    tol: float = 1e-9,
    time_limit: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> KelsoCrawfordEquilibrium:
    """Find a Walrasian equilibrium of a quasilinear economy, with or without budgets.

    Without budgets it is an efficient assignment at its smallest prices, exact where values are. With
    budgets it is in general a lottery.

    Parameters
    ----------
    economy : QuasilinearEconomy
        With M♮-concave valuations; with budgets, of few goods: all bundles are listed.
    tol : float
        Largest residual that passes.
    time_limit : float, optional
        Seconds.
    seed : int
        Of the weights of the paths.
    reporter : Reporter, optional
        Told the barrier weight.

    Raises
    ------
    NotSupportedError
        If there are budgets and more goods than of which all bundles are listed, or a valuation is found
        not to be M♮-concave.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> economy = QuasilinearEconomy([UnitDemand([6, 2]), UnitDemand([6, 2])], budgets=1)
    >>> found = solve_kelso_crawford(economy)
    >>> found.status, [str(price) for price in found.prices], [str(x) for x in found.multipliers]
    (<Status.CERTIFIED: 'certified'>, ['2', '0'], ['1/2', '1/2'])
    """
    if economy.budgets is None:
        return _unconstrained(economy, tol)
    return next(_along([economy], tol=tol, time_limit=time_limit, seed=seed, reporter=reporter))


def _along(
    economies: list[QuasilinearEconomy],
    *,
    tol: float,
    time_limit: float | None,
    seed: int,
    reporter: Reporter | None,
) -> Iterator[KelsoCrawfordEquilibrium]:
    """Solve economies with budgets one after the other, each starting near the equilibrium before."""
    before: KelsoCrawfordEquilibrium | None = None
    for economy in economies:
        if economy.n_goods > MOST_ENUMERATED:
            msg = f"budgets and {economy.n_goods} goods; at most {MOST_ENUMERATED} goods are supported"
            raise NotSupportedError(msg)
        begun = time.monotonic()
        deadline = None if time_limit is None else begun + time_limit
        if any(u.value(()) == -INFINITY for u in economy.valuations):
            free = _unconstrained(QuasilinearEconomy(economy.valuations), tol)
            if free.status is Status.INFEASIBLE:
                yield replace(free, economy=economy)
                continue
        needed = QuasilinearEconomy(economy.valuations, _needed(economy))
        columns = Columns(FiatEconomy(needed.valuations, needed.budgets or ()))
        columns.add_all()
        compiled, masks = columns.compile()
        money = compiled.budget_scale / compiled.value_scale
        best: KelsoCrawfordEquilibrium | None = None
        spent = 0
        for attempt in range(_ATTEMPTS):
            fresh = attempt == 0 and compiled.n_pairs > 0
            point = solve_joint(
                compiled,
                start=_start(compiled, masks, economy, before) if before and fresh else None,
                seed=seed + 97 * attempt,
                deadline=deadline,
                reporter=reporter,
                money=money,
            )
            spent += point.iterations
            for claim in claims(needed, columns.read(compiled, masks, point)):
                judged = _judge(economy, claim, tol)
                if best is None or judged.certificate.worst < best.certificate.worst:
                    best = judged
                # A guess in fractions that is wrong by rounding is no better than what it was guessed from.
                exact = judged.stats.parameters["exact"]
                if judged.status is Status.CERTIFIED and (exact or not claim.guess):
                    break
            late = deadline is not None and time.monotonic() > deadline
            if late or (best is not None and best.status is Status.CERTIFIED):
                break
        found = _finished(economy, best, spent, time.monotonic() - begun, seed)
        before = found if found.status is Status.CERTIFIED else before
        yield found


def _needed(economy: QuasilinearEconomy) -> tuple[Number, ...]:
    """Cut budgets to what their owners could spend: nobody pays more than bundles are worth to her."""
    budgets = []
    for u, b in zip(economy.valuations, economy.budgets or (), strict=True):
        most = max(u.table()) - u.value(())
        budgets.append(min(b, 2 * most) if 0 < most < INFINITY else b)
    return tuple(budgets)


def _start(
    compiled: CompiledMarket, masks: list[int], economy: QuasilinearEconomy, before: KelsoCrawfordEquilibrium
) -> Point:
    """Translate the equilibrium of an economy whose values differ by factors."""
    prices = np.array([float(p) for p in before.prices or ()])
    alpha = np.empty(economy.n_agents)
    pairs = zip(economy.valuations, before.economy.valuations, before.multipliers or (), strict=True)
    for i, (u, old, scale) in enumerate(pairs):
        # Multipliers below 1 fall as values rise; who is not short of money stays so.
        top = float(max(old.table()))
        growth = float(max(u.table())) / top if top else 1.0
        alpha[i] = 1.0 if scale == 1 else max(1.0, growth / float(scale))
    consumptions = [before.lottery.consumption(i) for i in range(economy.n_agents)] if before.lottery else []
    held = [{sum(1 << j for j in A): float(w) for A, w in mine.items()} for mine in consumptions]
    x = np.array([held[i].get(masks[k], 0.0) for i, k in zip(compiled.agent, compiled.good, strict=True)])
    q = np.concatenate([np.zeros(len(masks)), prices]) / compiled.budget_scale
    alpha *= compiled.budget_scale / compiled.value_scale
    gain = compiled.value - alpha[compiled.agent] * (compiled.rows.T @ q)[compiled.good]
    y = np.zeros(compiled.n_nodes)
    for node in compiled.chain.T:  # of those who have one column only there is none
        np.maximum.at(y, node[node >= 0], gain[node >= 0])
    return Point(x=x, q=q, alpha=alpha, y=y, finished=False, iterations=0)


def _finished(
    economy: QuasilinearEconomy,
    best: KelsoCrawfordEquilibrium | None,
    iterations: int,
    seconds: float,
    seed: int,
) -> KelsoCrawfordEquilibrium:
    if best is None:
        check = Check("path", INFINITY, 0.0, "no path arrived at an equilibrium")
        none = Certificate(("path",), (check,))
        stats = Stats("joint", iterations, seconds, {"seed": seed, "exact": False})
        return KelsoCrawfordEquilibrium(economy, None, None, None, Status.UNCERTIFIED, none, stats)
    stats = Stats("joint", iterations, seconds, {"seed": seed, **best.stats.parameters})
    return KelsoCrawfordEquilibrium(
        economy, best.prices, best.lottery, best.multipliers, best.status, best.certificate, stats
    )


def _unconstrained(economy: QuasilinearEconomy, tol: float) -> KelsoCrawfordEquilibrium:
    begun = time.monotonic()
    found = walrasian_prices(economy, tol=tol)
    if found.bundles is None or found.smallest is None:
        stats = Stats("exchange", economy.n_goods, time.monotonic() - begun, {"exact": True})
        return KelsoCrawfordEquilibrium(economy, None, None, None, found.status, found.certificate, stats)
    lottery = BundleLottery((1,), (tuple(tuple(bundle) for bundle in found.bundles),))
    claim = Claim(found.smallest, (1,) * economy.n_agents, lottery)
    judged = _judge(economy, claim, tol)
    stats = Stats("exchange", economy.n_goods, time.monotonic() - begun, judged.stats.parameters)
    return KelsoCrawfordEquilibrium(
        economy, claim.prices, lottery, claim.multipliers, judged.status, judged.certificate, stats
    )


def _judge(economy: QuasilinearEconomy, claim: Claim, tol: float) -> KelsoCrawfordEquilibrium:
    given = (economy, claim.prices, claim.lottery, claim.multipliers)
    certificate = verify_kelso_crawford(*given)
    exact = certificate.passed
    if not exact:
        certificate = verify_kelso_crawford(*given, tol=tol)
    status = Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED
    stats = Stats("", parameters={"exact": exact})
    return KelsoCrawfordEquilibrium(
        economy, claim.prices, claim.lottery, claim.multipliers, status, certificate, stats
    )
