"""An equilibrium as the files of a result folder, and back."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.problem import parse_problem_files
from fairlot.io.tables import FINITE, Table, numbers, read_table, write_csv
from fairlot.io.timetable import timetable_files, timetable_summary
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation

if TYPE_CHECKING:
    from fairlot.model.lotteries import Lottery
    from fairlot.pseudomarket.equilibrium import Equilibrium

INPUT = "input/"
"""Where a result folder keeps what was read."""


@dataclass(frozen=True, eq=False)
class PublishedEquilibrium:
    """What a result folder publishes of an equilibrium.

    Parameters
    ----------
    market : PseudoMarket
        The market, read from ``input/``.
    prices : FloatArray, shape (n_goods,)
        Full prices.
    row_prices : FloatArray, shape (n_goods + n_limits,)
        Capacity prices, then limit prices.
    shares : RandomAllocation
        Expected copies.
    """

    market: PseudoMarket
    prices: FloatArray
    row_prices: FloatArray
    shares: RandomAllocation


def equilibrium_files(
    equilibrium: Equilibrium, lottery: Lottery | None, inputs: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Write an equilibrium as the files of a result folder.

    Parameters
    ----------
    equilibrium : Equilibrium
        As solved; certified or not.
    lottery : Lottery or None
        Its lottery; None where there are no shares.
    inputs : mapping
        The problem folder that was read, canonical (see ``read_problem_files``, ``problem_files``).

    Returns
    -------
    dict of str to bytes
        Contents by name, for ``write_result``.
    """
    market = equilibrium.market
    files = {f"{INPUT}{name}": data for name, data in inputs.items()}
    prices, row_prices, shares = equilibrium.prices, equilibrium.row_prices, equilibrium.shares
    if prices is not None and row_prices is not None and shares is not None:
        files |= price_files(market, prices, row_prices)
        files["shares.csv"] = shares_csv(shares, "good")
    if lottery is not None:
        files["lottery.json"] = lottery.to_json()
    files |= timetable_files(equilibrium)
    files["certificate.json"] = json_bytes(equilibrium.certificate.to_dict())
    files["summary.json"] = json_bytes(equilibrium_summary(equilibrium))
    return files


def equilibrium_summary(equilibrium: Equilibrium) -> dict[str, Any]:
    """Return what ``summary.json`` says of an equilibrium."""
    from fairlot import __version__

    market, prices = equilibrium.market, equilibrium.prices
    summary: dict[str, Any] = {
        "kind": "pseudomarket",
        "status": str(equilibrium.status),
        "method": equilibrium.stats.method,
        "seconds": round(equilibrium.stats.seconds, 3),
        "peak_memory_mb": peak_memory_mb(),
        "version": __version__,
        "title": market.title,
        "n_agents": market.n_agents,
        "n_goods": market.n_goods,
    }
    if prices is None:
        return {**summary, "infeasibility": str(equilibrium.infeasibility)}
    return {
        **summary,
        "utility_gap": _finite(max(0.0, float(np.max(equilibrium.utility_loss)))),
        "envy": _finite(equilibrium.envy),
        "budget_gap": _finite(equilibrium.budget_gap),
        "clearing": _finite(equilibrium.clearing),
        "satiated": int(equilibrium.satiated.sum()),
        "max_price": _finite(float(np.max(prices))),
        **timetable_summary(equilibrium),
    }


def shares_csv(shares: RandomAllocation, noun: str) -> bytes:
    """Write positive expected copies, 17 significant digits."""
    entries = shares.matrix.tocoo()
    records = [
        (shares.agents[i], shares.goods[j], f"{x:.17g}")
        for i, j, x in zip(entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), strict=True)
        if x > 0
    ]
    return write_csv(("agent", noun, "share"), records)


def json_bytes(document: Any) -> bytes:
    """Write JSON for people: indented, UTF-8, LF."""
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def peak_memory_mb() -> float:
    """Return the most memory that this process has held, in MB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def published_market(files: Mapping[str, bytes]) -> PseudoMarket:
    """Read the market that a result folder keeps under ``input/``.

    Raises
    ------
    InvalidProblemError
        If it cannot be read.
    """
    inputs = {name.removeprefix(INPUT): data for name, data in files.items() if name.startswith(INPUT)}
    return parse_problem_files(inputs).problem


def read_equilibrium(files: Mapping[str, bytes]) -> PublishedEquilibrium:
    """Read the equilibrium that a result folder publishes.

    Parameters
    ----------
    files : mapping
        Contents by name, as ``read_result`` gives them.

    Raises
    ------
    InvalidProblemError
        Listing what cannot be read.
    """
    market = published_market(files)
    issues: list[Issue] = []
    prices, row_prices = read_prices(files, market, issues)
    matrix = sp.csr_array((market.n_agents, market.n_goods))
    table = _table(files, "shares.csv", ("agent", "good", "share"), issues)
    if table is not None:
        rows = _positions(table, "agent", market.agents, issues)
        columns = _positions(table, "good", market.goods, issues)
        shares = numbers(table, "share", FINITE, issues)
        if len(set(zip(rows.tolist(), columns.tolist(), strict=True))) < len(shares):
            issues.append(Issue("a pair is there twice", "shares.csv"))
        matrix = sp.csr_array((shares, (rows, columns)), shape=matrix.shape)
    if issues:
        raise InvalidProblemError(issues)
    return PublishedEquilibrium(
        market, prices, row_prices, RandomAllocation(market.agents, market.goods, matrix)
    )


def read_prices(
    files: Mapping[str, bytes], market: PseudoMarket, issues: list[Issue]
) -> tuple[FloatArray, FloatArray]:
    """Read the prices of goods, and of capacities and limits; what cannot be read goes to ``issues``.

    Raises
    ------
    InvalidProblemError
        If there are no prices.
    """
    if "prices.csv" not in files:
        expected = "a solved market (summary.json says what this is)"
        raise InvalidProblemError([Issue("no prices in this result", "prices.csv", expected=expected)])
    prices = np.zeros(market.n_goods)
    row_prices = np.zeros(market.n_goods + len(market.limits))
    table = _table(files, "prices.csv", ("good", "price", "capacity_price"), issues)
    if table is not None:
        at = _positions(table, "good", market.goods, issues, complete=True)
        prices[at] = numbers(table, "price", FINITE, issues)
        row_prices[at] = numbers(table, "capacity_price", FINITE, issues)
    table = _table(files, "limits.csv", ("limit", "price"), issues)
    if table is not None:
        if list(table["limit"]) == _limit_names(market):
            row_prices[market.n_goods :] = numbers(table, "price", FINITE, issues)
        else:
            issues.append(Issue("not the limits of the input, in their order", table.file))
    return prices, row_prices


def price_files(market: PseudoMarket, prices: FloatArray, row_prices: FloatArray) -> dict[str, bytes]:
    """Write the prices of goods and of limits."""
    of_goods = zip(market.goods, prices.tolist(), row_prices[: market.n_goods].tolist(), strict=True)
    of_limits = zip(_limit_names(market), row_prices[market.n_goods :].tolist(), strict=True)
    return {
        "prices.csv": write_csv(
            ("good", "price", "capacity_price"), ((good, f"{p:.17g}", f"{q:.17g}") for good, p, q in of_goods)
        ),
        "limits.csv": write_csv(("limit", "price"), ((limit, f"{r:.17g}") for limit, r in of_limits)),
    }


def _limit_names(market: PseudoMarket) -> list[str]:
    return [f"{limit.name} [{limit.group}]" if limit.group else limit.name for limit in market.limits]


def _finite(number: float) -> float | None:
    """Return the number; None where JSON has none such."""
    return float(number) if np.isfinite(number) else None


def _table(
    files: Mapping[str, bytes], name: str, columns: tuple[str, ...], issues: list[Issue]
) -> Table | None:
    def read(file: str) -> bytes:
        if file not in files:
            raise FileNotFoundError(file)
        return files[file]

    table = read_table(read, name, issues)
    return table if table is not None and table.require(columns, issues) else None


def _positions(
    table: Table, column: str, ids: tuple[str, ...], issues: list[Issue], complete: bool = False
) -> IntArray:
    """Look ids up; with ``complete``, each must be there exactly once."""
    at = {identifier: k for k, identifier in enumerate(ids)}
    for row, text in zip(table.rows, table[column], strict=True):
        if text not in at:
            issues.append(
                Issue(f"unknown {column}", table.file, row, column, text, f"a {column} of the input")
            )
    if complete and sorted(table[column]) != sorted(ids):
        issues.append(Issue(f"not every {column} once", table.file))
    return np.array([at.get(text, 0) for text in table[column]], dtype=np.int64)
