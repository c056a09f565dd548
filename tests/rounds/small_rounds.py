"""Small rounds of both kinds, brought as far as a test wants."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fairlot import rounds
from fairlot.rounds import choices
from fairlot.store import Account, Store

AGENTS = ("ann", "bob", "cyd", "dee")
MARKET = {
    "problem.toml": (
        b'format = 1\nkind = "pseudomarket"\ntitle = "Small"\n'
        b'[goods]\nfile = "goods.csv"\n[agents]\nfile = "agents.csv"\n'
        b'[values]\nfile = "values.csv"\nlayout = "long"\n'
        b'[[quota]]\nname = "load"\ngoods = "all"\nmax = 2\n'
    ),
    "goods.csv": b"good,capacity,title\nart,2,Art\nbio,2,Biology\nlaw,3,Law\n",
    "agents.csv": b"agent,email,name\nann,ann@example.edu,Ann\nbob,,Bob\ncyd,c@example.edu,\ndee,,\n",
}
TASKS = {
    "problem.toml": (
        b'format = 1\nkind = "reallocation"\ntitle = "Desk"\n'
        b'[tasks]\nfile = "tasks.csv"\n[agents]\nfile = "agents.csv"\n'
        b'[status_quo]\nfile = "status_quo.csv"\n[cost]\nfile = "cost.csv"\n'
        b'[preferences]\nfile = "preferences.csv"\n'
    ),
    "tasks.csv": b"task\ncalls\nvisits\n",
    "agents.csv": b"agent\nx\ny\nz\n",
    "status_quo.csv": (
        b"agent,task,amount\nx,calls,6\nx,visits,4\ny,calls,5\ny,visits,5\nz,calls,4\nz,visits,6\n"
    ),
    "cost.csv": (b"agent,task,cost\nx,calls,9\nx,visits,2\ny,calls,4\ny,visits,5\nz,calls,2\nz,visits,9\n"),
    "preferences.csv": b"agent,task,low,high,family\n*,*,0.5,1.5,uniform\n",
}
SEED = "20260901" * 8
RATINGS: dict[str, dict[str, int]] = {
    "ann": {"art": 5, "bio": 3},
    "bob": {"art": 5, "law": 2},
    "cyd": {"art": 4, "bio": 4, "law": 4},
}


def organiser(store: Store) -> Account:
    return rounds.add_account(store, "Ada", admin=True)


def open_market(store: Store, files: Any = None, **settings: Any) -> str:
    who = organiser(store)
    made = rounds.create_round(store, "Small", "pseudomarket", who, **settings)
    assert rounds.upload(store, made.id, MARKET if files is None else files, who) == ()
    assert rounds.check(store, made.id, who).passed
    rounds.open_round(store, made.id, store.clock() + timedelta(hours=1), who)
    return made.id


def solved_market(store: Store) -> str:
    who, round_id = organiser(store), open_market(store)
    for agent, ratings in RATINGS.items():
        rounds.submit(store, round_id, agent, {"ratings": ratings}, "k", 0)
    rounds.freeze(store, round_id, who)
    done(store, round_id, "solve")
    return round_id


def drawn_market(store: Store) -> str:
    who, round_id = organiser(store), solved_market(store)
    rounds.commit(store, round_id, who)
    rounds.draw(store, round_id, who, seed=SEED)
    return round_id


def designed_tasks(store: Store) -> str:
    who = organiser(store)
    made = rounds.create_round(store, "Desk", "reallocation", who)
    assert rounds.upload(store, made.id, TASKS, who) == ()
    assert rounds.check(store, made.id, who).passed
    done(store, made.id, "design", method="bilateral", draws=20)
    return made.id


def solved_tasks(store: Store) -> str:
    who, round_id = organiser(store), designed_tasks(store)
    rounds.open_round(store, round_id, store.clock() + timedelta(hours=1), who)
    files, menus = rounds.ballot_files(store, round_id)
    for agent in ("x", "z"):
        form = choices.ballot(files, menus, agent)
        rounds.submit(store, round_id, agent, {"pick": form.lines[0].name}, "k", 0)
    rounds.freeze(store, round_id, who)
    done(store, round_id, "reallocate")
    return round_id


def done(store: Store, round_id: str, what: str, **settings: Any) -> rounds.Job:
    asked = rounds.request_job(store, round_id, what, organiser(store), **settings)
    rounds.run_waiting(store)
    found = rounds.job(store, asked.id)
    assert found.state is rounds.JobState.DONE, found.messages
    return found
