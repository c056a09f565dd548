r"""One run of one mechanism in a process of its own: ``python -m fairlot.baselines.worker``.

A process of its own is what makes seconds and memory a mechanism's own, a time limit firm and a crash a
line in a table. The job comes pickled on standard input, answers go pickled to what was standard output;
whatever other people's software prints there goes nowhere. The first byte out says that imports and
compilation are over and the clock may start.
"""

from __future__ import annotations

import os
import pickle
import sys
import warnings
from io import BufferedWriter

import numpy as np

from fairlot.baselines.running import Job, work
from fairlot.model.beliefs import Beliefs
from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket
from fairlot.model.tasks import ReallocationProblem

READY = b"R"


def warm_up(job: Job) -> None:
    """Compile what the mechanism needs, on a problem of no size."""
    small: PseudoMarket | ReallocationProblem
    if isinstance(job.problem, PseudoMarket):
        small = PseudoMarket.from_arrays(np.eye(2) + 1.0, capacities=1, quotas=[Quota("one", max=1)])
        _ = small.families
    else:
        beliefs = Beliefs.uniform([0.5, 0.5], [1.5, 1.5])
        small = ReallocationProblem.from_arrays([[4, 4], [4, 4]], [[1, 3], [3, 1]], beliefs)
    # Through the same pipe as the job's, since arrays that may be written to are compiled for apart.
    work(Job(job.name, pickle.loads(pickle.dumps(small)), 2, 0, 1.0))


def _main(answers: BufferedWriter) -> None:
    warnings.simplefilter("ignore")
    job: Job = pickle.load(sys.stdin.buffer)
    warm_up(job)
    answers.write(READY)
    answers.flush()
    pickle.dump(work(job), answers)
    answers.flush()


if __name__ == "__main__":
    own = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _main(own)
