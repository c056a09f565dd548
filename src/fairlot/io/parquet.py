"""Parquet files from anywhere: their size is known before they are read, and damage is told in a line.

A few bytes of Parquet can stand for a thousand million equal rows. And on some damaged files the reader of
polars panics: an exception that is no ``Exception``, and a stack of its own on the process's standard error.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fairlot.io.tables import MOST_CELLS

if TYPE_CHECKING:
    import polars as pl


def read_parquet(data: bytes) -> pl.DataFrame:
    """Read a Parquet file.

    Parameters
    ----------
    data : bytes
        Its contents.

    Raises
    ------
    ValueError
        If it is no Parquet file, is damaged, or has more than :data:`~fairlot.io.tables.MOST_CELLS` cells.
    """
    import polars as pl

    try:
        with _panics_unheard():
            file = pl.scan_parquet(io.BytesIO(data))
            columns = len(file.collect_schema())
            rows = int(file.select(pl.len()).collect().item())
            if rows * columns > MOST_CELLS:
                raise ValueError(f"{rows} rows and {columns} columns, more than {MOST_CELLS} cells")
            return file.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(str(error)) from None
    except pl.exceptions.PanicException:
        raise ValueError("damaged") from None


@contextmanager
def _panics_unheard() -> Iterator[None]:
    """Hold back what is written to the process's standard error; let go of it after a panic only."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):  # there is no standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        panicked = False
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            raise
        except BaseException:
            panicked = True
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            if not panicked and (written := held.read()):
                os.write(2, written)
