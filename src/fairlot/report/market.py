"""What the page says of a pseudo-market."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairlot.io.assignment import drawn_copies
from fairlot.io.equilibrium import PublishedEquilibrium, read_equilibrium
from fairlot.model.lotteries import Lottery
from fairlot.plot import plot_lottery, plot_prices, plot_shares, plot_supply
from fairlot.plot.markets import wanted_for_free
from fairlot.pseudomarket.explanation import demand_at, explain_agent
from fairlot.report.pictures import Picture, draw_svg


def number(value: float) -> str:
    """Write a number as people read it; what is rounding is 0."""
    return f"{round(float(value), 9) + 0.0:.4g}"


def market_facts(files: Mapping[str, bytes], summary: Mapping[str, Any]) -> list[str]:
    """Say in a few sentences what was decided."""
    found = read_equilibrium(files)
    market = found.market
    seats, given = int(market.capacities.sum()), float(found.shares.matrix.sum())
    priced = int((found.prices > 0).sum())
    facts = [
        f"{market.n_agents:,} agents share {seats:,} copies of {market.n_goods:,} goods; "
        f"{given:,.6g} copies are given in expectation.",
        f"{priced} goods have a price; the dearest costs {number(found.prices.max(initial=0.0))}, "
        f"where the mean budget is {number(market.budgets.mean())}. Money is worth nothing outside.",
    ]
    satiated = summary.get("satiated")
    if satiated is not None:
        facts.append(f"{satiated:,} agents can afford the best they may have.")
    return facts


def market_pictures(files: Mapping[str, bytes], *, private: bool) -> list[Picture]:
    """Draw the equilibrium; with ``private`` nothing that tells what one agent holds."""
    found = read_equilibrium(files)
    market = found.market
    wanted, given = wanted_for_free(market), np.asarray(found.shares.matrix.sum(axis=0)).ravel()
    table = [
        (good, number(found.prices[j]), f"{market.capacities[j]}", number(given[j]), f"{wanted[j]}")
        for j, good in enumerate(market.goods)
    ]
    header = ("good", "price", "copies there are", "copies given", "wanted for free")
    pictures = [
        Picture(
            "Prices and popularity",
            "Each dot is a good: the further right, the more copies people would take if everything were "
            "free, per copy there is; the higher, the dearer.",
            draw_svg("Prices and popularity", lambda ax: plot_prices(found, ax)),
            header,
            table,
        ),
        Picture(
            "Supply, demand and what was given",
            "For each good, dearest first: copies there are (outline), copies given (filled), and copies "
            "people would take if everything were free (dash).",
            draw_svg("Supply, demand and what was given", lambda ax: plot_supply(found, ax)),
            header,
            table,
        ),
    ]
    if not private:
        pictures.append(_shares(found))
    if "lottery.json" in files:
        lottery = Lottery.from_json(files["lottery.json"])
        chance = lottery.fraction[lottery.fraction > 0] / lottery.denominator
        counts, edges = np.histogram(chance, bins=10, range=(0.0, 1.0))
        pictures.append(
            Picture(
                "What is left to chance",
                "How many pairs of an agent and a good get their last copy by lottery, by its probability.",
                draw_svg("What is left to chance", lambda ax: plot_lottery(lottery, ax)),
                ("probability", "pairs"),
                [(f"{edges[k]:.1f} to {edges[k + 1]:.1f}", f"{counts[k]}") for k in range(10)],
            )
        )
    return pictures


def _shares(found: PublishedEquilibrium) -> Picture:
    matrix = found.shares.matrix
    largest = np.argsort(-matrix.data, kind="stable")[:200]
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return Picture(
        "Expected copies",
        "Agents down, goods across, dearest first: the lighter a cell, the more of a copy the agent gets in "
        "expectation.",
        draw_svg("Expected copies", lambda ax: plot_shares(found, ax)),
        ("agent", "good", "expected copies"),
        [
            (found.market.agents[rows[k]], found.market.goods[matrix.indices[k]], number(matrix.data[k]))
            for k in largest
        ],
    )


def market_lookup(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Explain every agent's outcome, by id: paragraphs, then a table."""
    found = read_equilibrium(files)
    demand = demand_at(found.market, found.prices)
    drawn = drawn_copies(files, "good", "copies")
    entries = {}
    for agent in found.market.agents:
        got = None if drawn is None else drawn.get(agent, {})
        why = explain_agent(found.market, found.prices, found.shares, agent, assignment=got, demand=demand)
        lines = [
            [
                line.good,
                number(line.value),
                number(line.price),
                number(line.share),
                f"{line.reason.value} ({line.quota})" if line.quota else line.reason.value,
            ]
            for line in why.lines
        ]
        entries[agent] = {"text": why.sentences(), "rows": lines}
    return {"header": ["good", "your points", "price", "expected copies", "why"], "agents": entries}
