"""Wide data frames of pandas, polars and their like: a column ``agent``, then a column of numbers per id."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray


def read_wide_frame(name: str, frame: Any) -> tuple[FloatArray, list[str], list[str]]:
    """Read a wide frame.

    Parameters
    ----------
    name : str
        What the frame holds, for faults.
    frame : data frame
        Of any library that narwhals knows.

    Returns
    -------
    cells : FloatArray, shape (n_rows, n_columns)
        Numbers, NaN where missing.
    agents, columns : list of str
        Ids of rows and columns; a missing agent is the empty text.

    Raises
    ------
    InvalidProblemError
        If there is no column ``agent``, or a column without numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> cells, agents, columns = read_wide_frame("values", pd.DataFrame({"agent": [7], "art": [2]}))
    >>> float(cells[0, 0]), agents, columns
    (2.0, ['7'], ['art'])
    """
    import narwhals as nw

    table = nw.from_native(frame, eager_only=True)
    if "agent" not in table.columns:
        raise InvalidProblemError([Issue(name, found="no column 'agent'", expected="a column 'agent'")])
    columns = [column for column in table.columns if column != "agent"]
    cells, issues = [], []
    for column in columns:
        try:
            cells.append(table.select(nw.col(column).cast(nw.Float64)).to_numpy())
        except (TypeError, ValueError, nw.exceptions.NarwhalsError):
            issues.append(Issue(name, column=column, found=str(table[column].dtype), expected="numbers"))
    if issues:
        raise InvalidProblemError(issues)
    missing = table["agent"].is_null().to_list()
    ids = ["" if no else str(a) for a, no in zip(table["agent"].to_list(), missing, strict=True)]
    numbers = np.column_stack(cells) if cells else np.empty((len(ids), 0))
    return numbers.astype(np.float64), ids, columns
