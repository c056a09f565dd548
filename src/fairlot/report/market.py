"""What the page says of a pseudo-market."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairlot.io.assignment import drawn_copies
from fairlot.io.equilibrium import PublishedEquilibrium, read_equilibrium
from fairlot.model.lotteries import Lottery
from fairlot.plot import plot_lottery, plot_prices, plot_shares, plot_supply
from fairlot.plot.envy import draw_envy, envy_table
from fairlot.plot.markets import wanted_for_free
from fairlot.pseudomarket.explanation import counted, demand_at, explain_agent, number_words
from fairlot.report.pictures import Picture, Row, picture


def market_facts(files: Mapping[str, bytes], summary: Mapping[str, Any]) -> list[str]:
    """Say in a few sentences what was decided."""
    found = read_equilibrium(files)
    market = found.market
    seats, given = int(market.capacities.sum()), float(found.shares.matrix.sum())
    priced = int((found.prices > 0).sum())
    facts = [
        f"{market.n_agents:,} agents share {seats:,} copies of {market.n_goods:,} goods; "
        f"{given:,.6g} copies are given on average.",
        f"{priced:,} goods have a price; the dearest costs "
        f"{counted(found.prices.max(initial=0.0), 'unit')} of money, where people had "
        f"{counted(market.budgets.mean(), 'unit')} of money on average. Money is worth nothing outside.",
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
    table: list[Row] = [
        (good, float(found.prices[j]), int(market.capacities[j]), float(given[j]), int(wanted[j]))
        for j, good in enumerate(market.goods)
    ]
    header = (
        "good",
        "price of a copy (units of money)",
        "copies there are",
        "copies given on average",
        "copies wanted if all were free",
    )
    pictures = [
        picture(
            "Prices and popularity",
            "Each dot is a good: the further right, the more copies people would take if everything were "
            "free, per copy there is; the higher, the dearer.",
            lambda ax: plot_prices(found, ax),
            header,
            table,
        ),
        picture(
            "Supply, demand and what was given",
            "For each good, dearest first: copies there are (outline), copies given (filled), and copies "
            "people would take if everything were free (dash).",
            lambda ax: plot_supply(found, ax),
            header,
            table,
        ),
    ]
    lottery = Lottery.from_json(files["lottery.json"]) if "lottery.json" in files else None
    if not private:
        pictures.append(_shares(found))
        if not market.crossings or (lottery is not None and lottery.terms is not None):
            pictures.append(_envy(found, lottery))
    if lottery is not None:
        pictures.append(_chance(lottery))
    return pictures


def _shares(found: PublishedEquilibrium) -> Picture:
    matrix = found.shares.matrix
    agents, goods = found.market.agents, found.market.goods
    owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return picture(
        "Expected copies",
        "Agents down, goods across, dearest first: the lighter a cell, the more of a copy the agent gets on "
        "average.",
        lambda ax: plot_shares(found, ax),
        ("agent", "good", "copies on average"),
        [
            (agents[i], goods[j], float(share))
            for i, j, share in zip(owner.tolist(), matrix.indices.tolist(), matrix.data, strict=True)
        ],
    )


def _envy(found: PublishedEquilibrium, lottery: Lottery | None) -> Picture:
    chosen, ratio = envy_table(found, lottery=lottery)
    names = [found.market.agents[i] for i in chosen]
    some = (
        "" if len(names) == found.market.n_agents else f" {len(names)} agents, evenly chosen, stand for all."
    )
    return picture(
        "Who would envy whom",
        "Each row is an agent: how much the lottery of each other one would be worth to her, where her own "
        f"counts 1. Above 1 she would envy somebody; empty where it would break her quotas.{some}",
        lambda ax: draw_envy(found.market, chosen, ratio, ax),
        ("agent", "the other", "worth of the other's lottery, where her own counts 1"),
        [
            (mine, other, float(ratio[i, k]))
            for i, mine in enumerate(names)
            for k, other in enumerate(names)
            if np.isfinite(ratio[i, k])
        ],
    )


def _chance(lottery: Lottery) -> Picture:
    chance = lottery.fraction[lottery.fraction > 0] / lottery.denominator
    counts, edges = np.histogram(chance, bins=20, range=(0.0, 1.0))
    return picture(
        "What is left to chance",
        "How many pairs of an agent and a good get their last copy by lottery, by its probability.",
        lambda ax: plot_lottery(lottery, ax),
        ("probability, from (%)", "to (%)", "pairs of an agent and a good"),
        [(round(100 * edges[k]), round(100 * edges[k + 1]), int(counts[k])) for k in range(len(counts))],
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
                number_words(line.value),
                number_words(line.price),
                number_words(line.share),
                f"{line.reason.value} ({line.quota})" if line.quota else line.reason.value,
            ]
            for line in why.lines
        ]
        entries[agent] = {"text": why.sentences(), "rows": lines}
    return {
        "header": ["good", "worth to you (points)", "price (units of money)", "copies on average", "why"],
        "agents": entries,
    }
