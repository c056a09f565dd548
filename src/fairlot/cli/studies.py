"""The studies of ``simulate``: run one, and say in a table and a sentence what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlot.cli.output import Output
from fairlot.cli.reallocation import reporter_for

if TYPE_CHECKING:
    from fairlot.model.market import PseudoMarket
    from fairlot.simulation.misreports import Gain
    from fairlot.simulation.playing import Mechanism

MECHANISMS = (
    "equilibrium",
    "serial-dictatorship",
    "probabilistic-serial",
    "round-robin",
    "bidirectional-draft",
    "utilitarian",
    "maximin",
    "top-trading-cycles",
)
"""Those of :mod:`fairlot.baselines` that are cheap enough to play many times."""
_DRAWS = 200


class Study(StrEnum):
    """What may be asked of a pseudo-market."""

    MISREPORTS = "misreports"
    PREFERENCES = "preferences"
    BUDGETS = "budgets"
    WITHDRAWAL = "withdrawal"


@dataclass(frozen=True)
class Options:
    """What the user asked for; None and empty lists where the study has its own default."""

    folder: Path
    draws: int | None
    replicas: list[int]
    lies: list[str] | None
    mechanism: str
    agents: list[str] | int
    goods: list[str] | int
    shares: list[float]
    spreads: list[float]
    ratios: list[float]
    column: str | None
    time_limit: float | None
    seed: int
    n_jobs: int


@dataclass(frozen=True)
class Found:
    """What a study found: how the run as reported ended, the observations, and their sums for --json."""

    truth: str
    records: Sequence[Mapping[str, Any]]
    left_out: int
    document: dict[str, Any]


def numbers(option: str, text: str | None, *, whole: bool = False) -> list[float]:
    """Read numbers with commas between them."""
    from fairlot.errors import InvalidProblemError, Issue

    read, issues = [], []
    for part in [] if text is None else text.split(","):
        try:
            read.append(float(int(part)) if whole else float(part))
        except ValueError:
            expected = f"{'whole ' if whole else ''}numbers with commas between them"
            issues.append(Issue(option, found=part, expected=expected))
    if issues:
        raise InvalidProblemError(issues)
    return read


def _mechanism(market: PseudoMarket, options: Options) -> Mechanism:
    from fairlot.baselines.mechanisms import BASELINES
    from fairlot.errors import InvalidProblemError, Issue
    from fairlot.simulation.playing import Drawing, Equilibrating

    if options.mechanism not in MECHANISMS:
        expected = ", ".join(MECHANISMS)
        raise InvalidProblemError([Issue("--mechanism", found=options.mechanism, expected=expected)])
    if options.mechanism == "equilibrium":
        return Equilibrating(options.seed, options.time_limit)
    baseline = next(baseline for baseline in BASELINES if baseline.name == options.mechanism)
    objection = baseline.objection(market)
    if objection:
        raise InvalidProblemError([Issue(f"{baseline.name} does not apply: {objection}")])
    return Drawing(baseline.name, baseline.run, _DRAWS, options.seed, options.time_limit)


def _misreports(output: Output, market: PseudoMarket, options: Options) -> Found:
    from fairlot.simulation.misreports import BEST, simulate_misreports

    with reporter_for(output) as reporter:
        study = simulate_misreports(
            market,
            lies=options.lies,
            agents=options.agents,
            shares=options.shares,
            share_draws=options.draws or 5,
            replicas=options.replicas,
            mechanism=_mechanism(market, options),
            seed=options.seed,
            n_jobs=options.n_jobs,
            reporter=reporter,
        )
    gains = study.gains()
    output.say(
        f"{'copies':>6} {'liars':>7} {'lie':14}{'runs':>5}{'gain %':>9}{'±':>7}{'largest':>9}"
        f"{'gaining %':>10}{'others %':>9}"
    )
    for gain in gains:
        output.say(
            f"{gain.replicas:>6} {_liars(gain):>7} {gain.lie:14}{gain.runs:>5}{_percent(gain.mean, 9)}"
            f"{_percent(1.96 * gain.standard_error, 7)}{_percent(gain.largest, 9)}"
            f"{_percent(gain.gaining, 10, 0)}{_percent(gain.others, 9, 3)}"
        )
    output.say()
    output.say("gain: true expected utility beyond that of the truth, in % of what the")
    output.say("  agent would get with everything at hand; mean, 95% margin, and largest")
    output.say("others: mean change for all who tell the truth")
    summed = [gain for gain in gains if gain.lie == BEST]
    for gain in summed or [gain for gain in gains if gain.share == 0][:1]:
        whom = "the best of these lies" if gain.lie == BEST else f"the lie {gain.lie}"
        output.tell(
            f"With {gain.replicas} of everybody and everything {whom} gains its teller "
            f"{_percent(gain.mean, 0)}% on average, and {_percent(gain.gaining, 0, 0)}% gain at all."
        )
    if any(run.sampling_error for run in study.runs):
        worst = max(run.sampling_error for run in study.runs)
        output.tell(
            f"Figures rest on {_DRAWS} draws of {study.mechanism}, the same for truth and lie; standard "
            f"error of a single gain up to {100 * worst:.2f}%. The best of noisy figures flatters lies."
        )
    left_out = sum(not run.counts for run in study.runs)
    document = {"mechanism": study.mechanism, "truths": study.truths, "gains": [asdict(g) for g in gains]}
    return Found(_worst(study.truths), study.records(), left_out, document)


def _liars(gain: Gain) -> str:
    return "one" if gain.share == 0 else f"{100 * gain.share:.4g}%"


def _preferences(output: Output, market: PseudoMarket, options: Options) -> Found:
    from fairlot.simulation.preferences import simulate_preferences

    with reporter_for(output) as reporter:
        study = simulate_preferences(
            market,
            spreads=options.spreads or (0.1, 0.3),
            draws=options.draws or 20,
            mechanism=_mechanism(market, options),
            seed=options.seed,
            n_jobs=options.n_jobs,
            reporter=reporter,
        )
    tastes = study.tastes()
    output.say(f"{'':6}{'':6}{'mean % of their best':^32}{'worst-off %':^15}{'better %':>9}")
    output.say(
        f"{'spread':6}{'draws':>6}{'kept':>8}{'±':>7}{'again':>9}{'±':>7} {'kept':>7}{'again':>8}{'again':>9}"
    )
    for row in tastes:
        output.say(
            f"{row.spread:<6g}{row.draws:>6}{_percent(row.kept, 8)}{_percent(1.96 * row.kept_error, 7)}"
            f"{_percent(row.again, 9)}{_percent(1.96 * row.again_error, 7)} {_percent(row.worst_kept, 7, 1)}"
            f"{_percent(row.worst_again, 8, 1)}{_percent(row.better_again, 9, 0)}"
        )
    output.say()
    output.say("kept: the outcome of the reports, worth by values redrawn around them")
    output.say("again: the outcome if the redrawn values had been reported")
    output.tell(
        f"As reported: {_percent(study.welfare, 0)}% on average, worst-off {_percent(study.worst, 0)}%."
    )
    for row in tastes:
        output.tell(
            f"If values are off by about {100 * row.spread:.4g}%, reports that noisy cost people "
            f"{_percent(row.again - row.kept, 0)}% of their best on average."
        )
    left_out = sum(not draw.counts for draw in study.draws)
    document = {
        "mechanism": study.mechanism,
        "welfare": study.welfare,
        "worst": study.worst,
        "spreads": [asdict(row) for row in tastes],
    }
    return Found(study.truth, study.records(), left_out, document)


def _budgets(output: Output, market: PseudoMarket, options: Options) -> Found:
    from fairlot.simulation.budgets import simulate_budgets

    seniority = None if options.column is None else _column(options.folder, options.column)
    ratios: Sequence[float] = options.ratios or (1.0, 1.5, 2.0, 4.0)
    with reporter_for(output) as reporter:
        study = simulate_budgets(
            market,
            ratios=ratios,
            seniority=seniority,
            draws=options.draws or 5,
            seed=options.seed,
            time_limit=options.time_limit,
            n_jobs=options.n_jobs,
            reporter=reporter,
        )
    classes = study.classes()
    output.say(f"{'':5} {'':16}{'':8}{'share %':^21}{'of best':>9}{'gain':>8}{'':7}")
    output.say(
        f"{'ratio':>5} {'class':16}{'budget':>8}{'people':>7}{'money':>6}{'utility':>8}"
        f"{'%':>9}{'%':>8}{'±':>7}"
    )
    for row in classes:
        output.say(
            f"{row.ratio:>5g} {row.tier[:16]:16}{row.budget:>8.3g}{_percent(row.people_share, 7, 0)}"
            f"{_percent(row.money_share, 6, 0)}{_percent(row.utility_share, 8, 1)}{_percent(row.utility, 9)}"
            f"{_percent(row.gain, 8)}{_percent(1.96 * row.gain_error, 7)}"
        )
    output.say()
    output.say("of best: mean utility, of what each would get with everything at hand")
    output.say("gain: beyond equal budgets; ±: 95% margin over deals into classes")
    top, low = classes[-1], next(row for row in classes if row.ratio == classes[-1].ratio)
    output.tell(
        f"With {top.ratio:g} times the money, the most senior class gets {_percent(top.gain, 0)}% of its "
        f"best more than at equal budgets, and the least senior class {_percent(low.gain, 0)}%."
    )
    left_out = sum(not row.counts for row in study.rows)
    return Found(study.truth, study.records(), left_out, {"classes": [asdict(row) for row in classes]})


def _column(folder: Path, column: str) -> list[float]:
    """Read a numeric column of the table of agents."""
    from fairlot.errors import InvalidProblemError, Issue
    from fairlot.io.problem import read_problem_files
    from fairlot.io.tables import FINITE, numbers, read_table

    files = read_problem_files(folder).files
    issues: list[Issue] = []
    table = read_table(lambda name: files[name], "agents.csv", issues)
    if table is None or not table.require((column,), issues):
        raise InvalidProblemError(issues)
    read = numbers(table, column, FINITE, issues)
    if issues:
        raise InvalidProblemError(issues)
    return [float(number) for number in read]


def _withdrawal(output: Output, market: PseudoMarket, options: Options) -> Found:
    import numpy as np

    from fairlot.simulation.withdrawal import simulate_withdrawals

    with reporter_for(output) as reporter:
        study = simulate_withdrawals(
            market,
            agents=options.agents,
            goods=options.goods,
            seed=options.seed,
            time_limit=options.time_limit,
            n_jobs=options.n_jobs,
            reporter=reporter,
        )
    output.say(f"{'':27}{'who':>9}{'':4}{'change of utility %':>24}  largest change")
    output.say(f"{'withdrawn':27}{'gains':>7}{'loses':>6}{'mean':>8}{'worst':>8}{'best':>8}  of a price")
    rows = []
    for gone in study.withdrawals:
        change, price = gone.utility_change, gone.price_change
        some, moved = change[~np.isnan(change)], np.nan_to_num(price)
        worst, best = (float(some.min()), float(some.max())) if len(some) else (np.nan, np.nan)
        most = int(np.argmax(np.abs(moved))) if len(moved) else 0
        label = f"{gone.kind} {gone.id}"[:26]
        if not gone.counts:
            output.say(f"{label:27}not counted: {gone.status}")
        else:
            figures = _percent(gone.mean, 8, 3) + _percent(worst, 8, 1) + _percent(best, 8, 1)
            price_words = f"{moved[most]:+.3g} {market.goods[most]}"
            output.say(f"{label:27}{gone.winners:>7}{gone.losers:>6}{figures}  {price_words[:14]}")
        rows.append(
            {
                "kind": gone.kind,
                "id": gone.id,
                "winners": gone.winners,
                "losers": gone.losers,
                "mean": gone.mean,
                "worst": worst,
                "best": best,
                "price_change": float(moved[most]),
                "price_good": market.goods[most],
                "status": gone.status,
                "counts": gone.counts,
            }
        )
    output.say()
    output.say("utility: of what each would get with everything at hand; prices in money")
    for kind in ("agent", "good"):
        counted = [gone for gone in study.withdrawals if gone.kind == kind and gone.counts]
        if counted:
            mean = float(np.mean([gone.mean for gone in counted]))
            won = float(np.mean([gone.winners for gone in counted]))
            lost = float(np.mean([gone.losers for gone in counted]))
            name = "an agent who leaves" if kind == "agent" else "a good withdrawn"
            output.tell(
                f"On average {name} makes {won:.3g} people better off and {lost:.3g} worse off, and changes "
                f"everybody else's utility by {100 * mean:+.3g}%."
            )
    left_out = sum(not gone.counts for gone in study.withdrawals)
    return Found(study.truth, study.records(), left_out, {"withdrawals": rows})


def _worst(statuses: Sequence[str]) -> str:
    sound = ("certified", "stated", "drawn")
    return next((status for status in statuses if status not in sound), statuses[0])


def _percent(number: float, width: int, digits: int = 2) -> str:
    if math.isnan(number):
        return f"{'-':>{width}}"
    text = f"{100 * number:.{digits}f}"
    return f"{text.removeprefix('-') if float(text) == 0 else text:>{width}}"


@dataclass(frozen=True)
class _Entry:
    """How a study is run, and which options it understands."""

    run: Callable[[Output, PseudoMarket, Options], Found]
    options: frozenset[str]


STUDIES: Mapping[Study, _Entry] = {
    Study.MISREPORTS: _Entry(
        _misreports, frozenset(("lie", "mechanism", "agent", "agents", "share", "replicas", "draws"))
    ),
    Study.PREFERENCES: _Entry(_preferences, frozenset(("mechanism", "spread", "draws"))),
    Study.BUDGETS: _Entry(_budgets, frozenset(("ratio", "column", "draws"))),
    Study.WITHDRAWAL: _Entry(_withdrawal, frozenset(("agent", "agents", "good", "goods"))),
}
