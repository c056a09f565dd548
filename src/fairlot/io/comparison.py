"""Comparisons as tidy tables: one row per mechanism, one column per measure, CSV or Parquet."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from fairlot.baselines.comparison import Comparison, Row
from fairlot.baselines.exchanges import Saved
from fairlot.baselines.measures import Measures
from fairlot.baselines.mechanisms import Baseline
from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.folders import write_file
from fairlot.model.tasks import ReallocationProblem

_RANKS = 10
"""Columns for a best good, a second best, ...; what is ranked lower counts in the last one."""


def comparison_records(comparison: Comparison) -> list[dict[str, Any]]:
    """Make the rows of the table; what was not measured is None.

    Parameters
    ----------
    comparison : Comparison
        From :func:`fairlot.baselines.comparison.compare_mechanisms`.
    """
    return [_record(comparison, row) for row in comparison.rows]


def _record(comparison: Comparison, row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {
        "mechanism": row.mechanism.name,
        "title": row.mechanism.title,
        "seconds": row.seconds,
        "memory_mb": row.memory_mb,
        "draws": row.n_draws,
        "seed": comparison.seed,
        "note": row.note,
    }
    if isinstance(row.mechanism, Baseline):
        incentives = row.mechanism.incentives
        record |= {
            "truth": incentives.truth,
            "obviously_strategy_proof": incentives.truth == "obvious",
            "witness": str(incentives.witness),
            "source": incentives.source,
            **_measured(row.measures),
        }
    elif isinstance(comparison.problem, ReallocationProblem):
        record |= _saved(row.measures, comparison.problem.status_quo_cost)
    return {key: _plain(value) for key, value in record.items()}


def _measured(measures: Measures | Saved | None) -> dict[str, Any]:
    names = [field.name for field in fields(Measures) if field.name not in ("utility", "ranks")]
    if not isinstance(measures, Measures):
        return dict.fromkeys([*names, *(f"rank_{r + 1}" for r in range(_RANKS))])
    ranks = [float(share) for share in measures.ranks[: _RANKS - 1]]
    ranks += [0.0] * (_RANKS - 1 - len(ranks)) + [float(measures.ranks[_RANKS - 1 :].sum())]
    return {name: getattr(measures, name) for name in names} | {
        f"rank_{r + 1}": share for r, share in enumerate(ranks)
    }


def _saved(saved: Measures | Saved | None, total: float) -> dict[str, Any]:
    if not isinstance(saved, Saved):
        names = ["obviously_strategy_proof", "witness", "saving", "saving_low", "saving_high"]
        return dict.fromkeys([*names, "saving_share", "least_saving", "load_change"])
    margin = 1.96 * saved.standard_error
    return {
        "obviously_strategy_proof": saved.obvious,
        "witness": saved.witness,
        "saving": saved.mean,
        "saving_low": saved.mean - margin,
        "saving_high": saved.mean + margin,
        "saving_share": saved.mean / abs(total) if total else None,
        "least_saving": saved.least,
        "load_change": saved.load_change,
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def refuse_table(path: str | Path) -> None:
    """Refuse a name under which no table can be written.

    Raises
    ------
    InvalidProblemError
        For an ending that is not ``.csv`` or ``.parquet``, or where there is no such folder.
    """
    target = Path(path)
    issues = []
    if target.suffix not in (".csv", ".parquet"):
        issues.append(Issue("table", found=target.name, expected="a name that ends in .csv or .parquet"))
    if not target.parent.is_dir():
        issues.append(Issue("table", found=str(target.parent), expected="a folder that exists"))
    if issues:
        raise InvalidProblemError(issues)


def write_table(path: str | Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records as a table in one step: complete or not there.

    Parameters
    ----------
    path : str or Path
        Not one to :func:`refuse_table`; an existing file is replaced.
    records : sequence of mapping
        Rows with the same keys.
    """
    import polars as pl

    refuse_table(path)
    target = Path(path)
    table = pl.DataFrame([dict(record) for record in records], infer_schema_length=None)
    out = io.BytesIO()
    if target.suffix == ".csv":
        table.write_csv(out)
    else:
        table.write_parquet(out)
    write_file(target, out.getvalue())
