"""Workers that own parts: answers in order, errors as raised, parts anew when a worker is lost."""

import contextlib
import os
import signal
import sys

import pytest

from fairlot.crew import Crew, PartsRebuilt, WorkerLostError
from fairlot.errors import MissingExtraError


class Node:
    def __init__(self, number):
        self.number, self.asked = number, 0

    def times(self, factor):
        self.asked += 1
        return self.number * factor, self.asked

    def refuse(self):
        if self.number > 1:
            raise ValueError(self.number)


def test_a_crew_answers_in_order_and_forgets_with_a_lost_worker():
    with Crew(Node, range(5), engine="joblib", n_jobs=2) as crew:
        assert crew.ask("times", 10) == [(10 * k, 1) for k in range(5)]
        with pytest.raises(ValueError, match="2"):
            crew.ask("refuse")
        first, second = crew.processes
        assert os.getpid() not in (first, second)
        os.kill(second, signal.SIGKILL)
        with pytest.raises(PartsRebuilt) as caught:
            crew.ask("times", 1)
        assert caught.value.positions == (1, 3)
        assert [asked for _, asked in crew.ask("times", 1)] == [3, 1, 3, 1, 3]
        assert crew.losses == 1


def test_a_crew_gives_up_on_workers_that_always_die(monkeypatch):
    monkeypatch.setattr("fairlot.crew._MOST_LOSSES", 2)
    with Crew(Mortal, [0, 1], n_jobs=2) as crew, pytest.raises(WorkerLostError, match="run out of memory"):
        ask_to_the_end(crew)


def ask_to_the_end(crew):
    while True:
        with contextlib.suppress(PartsRebuilt):
            crew.ask("die")


class Mortal:
    def __init__(self, number):
        self.number = number

    def die(self):
        os._exit(1)


@pytest.mark.parametrize(("engine", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch, engine, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'fairlot\[{engine}\]'"):
        Crew(Node, [1, 2], engine=engine)
