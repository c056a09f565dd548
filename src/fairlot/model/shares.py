"""Random allocations: expected shares of every agent in every good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import FloatArray


@dataclass(frozen=True, eq=False)
class RandomAllocation:
    r"""Expected copies :math:`x_{ij} = E[\text{copies of good } j \text{ that agent } i \text{ gets}]`.

    Parameters
    ----------
    agents, goods : tuple of str
        Names of rows and columns.
    matrix : scipy.sparse.csr_array, shape (n_agents, n_goods)
        Expected copies; only acceptable pairs may be stored.
    """

    agents: tuple[str, ...]
    goods: tuple[str, ...]
    matrix: sp.csr_array

    def __post_init__(self) -> None:
        matrix = sp.csr_array(self.matrix, dtype=np.float64, copy=True)
        if matrix.shape != (len(self.agents), len(self.goods)):
            msg = f"matrix has shape {matrix.shape}, expected {(len(self.agents), len(self.goods))}"
            raise ValueError(msg)
        matrix.sum_duplicates()
        for part in (matrix.data, matrix.indices, matrix.indptr):
            part.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    def of(self, agent: str) -> dict[str, float]:
        """Return the agent's positive expected copies by good."""
        row = self.agents.index(agent)
        span = slice(self.matrix.indptr[row], self.matrix.indptr[row + 1])
        return {
            self.goods[j]: float(x)
            for j, x in zip(self.matrix.indices[span], self.matrix.data[span], strict=True)
            if x > 0
        }

    def to_array(self) -> FloatArray:
        """Return a dense copy, shape (n_agents, n_goods)."""
        dense: FloatArray = self.matrix.toarray()
        return dense
