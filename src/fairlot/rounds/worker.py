"""The worker: a process that does background work, one job after the other.

``python -m fairlot.rounds.worker --database-url URL``. ``fairlot serve`` starts one, and starts it again
should it die. It goes on when the web process ends: a job under way is finished, and then it ends too.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import suppress

from fairlot.rounds.jobs import Watch, run
from fairlot.store import Store, open_store
from fairlot.store.database import StoreError

PATIENCE = 15.0
"""Seconds without a beat after which a job's worker counts as dead."""
_PAUSE = 0.3


def work(store: Store, *, patience: float = PATIENCE, beside: int | None = None) -> None:
    """Do what there is to do; once whoever started this process is gone, only what has begun.

    Parameters
    ----------
    store : Store
        The database.
    patience : float
        Seconds without a beat after which a job is begun again.
    beside : int, optional
        The process that started this one, by its id; without one, go on for ever.
    """
    watch = Watch(patience)
    while True:
        found = None
        with suppress(StoreError):  # what is wrong with the database now may be right again soon
            found = watch.next_job(store)
            if found is not None:
                run(store, found)
        if found is None:
            if beside is not None and os.getppid() != beside:
                return
            time.sleep(_PAUSE)


def main() -> None:
    """Run a worker."""
    parser = argparse.ArgumentParser(prog="python -m fairlot.rounds.worker", description=__doc__)
    parser.add_argument("--database-url", default=os.environ.get("FAIRLOT_DATABASE_URL"))
    parser.add_argument("--patience", type=float, default=PATIENCE)
    parser.add_argument("--beside", type=int, metavar="PID", help="end after this process, which started it")
    options = parser.parse_args()
    if options.database_url is None:
        parser.error("which database? --database-url, or FAIRLOT_DATABASE_URL")
    try:
        store = open_store(options.database_url)
    except StoreError as error:
        sys.exit(str(error))
    work(store, patience=options.patience, beside=options.beside)


if __name__ == "__main__":
    main()
