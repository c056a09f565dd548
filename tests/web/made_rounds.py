"""Small rounds, brought as far as a test needs them without the web."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fairlot.rounds import (
    Account,
    Kind,
    Round,
    RoundState,
    archive,
    check,
    commit,
    create_round,
    draw,
    freeze,
    open_round,
    publish,
    request_job,
    round_,
    run_waiting,
    upload,
)
from fairlot.store import Store

SEED = "5a" * 32
MARKET = {
    "problem.toml": b'format = 1\nkind = "pseudomarket"\ntitle = "Seats"\n[goods]\nfile = "goods.csv"\n'
    b'[agents]\nfile = "agents.csv"\n[values]\nfile = "values.csv"\nlayout = "long"\n'
    b'missing = "not acceptable"\n[[quota]]\nname = "one"\ngoods = "all"\nmax = 1\n',
    "goods.csv": b"good,capacity\nlogic,1\noptics,2\n",
    "agents.csv": b"agent,name,email\ns1,=cmd|' /C calc'!A0,s1@x.test\ns2,Bea,s2@x.test\ns3,Cal,s3@x.test\n",
    "values.csv": b"agent,good,value\ns1,logic,9\ns1,optics,3\ns2,logic,8\ns2,optics,4\ns3,optics,5\n",
}
TASKS = {
    "problem.toml": b'format = 1\nkind = "reallocation"\ntitle = "Cases"\n[tasks]\nfile = "tasks.csv"\n'
    b'[agents]\nfile = "agents.csv"\n[status_quo]\nfile = "status_quo.csv"\n[cost]\nfile = "cost.csv"\n'
    b'[preferences]\nfile = "preferences.csv"\n',
    "tasks.csv": b"task\nward\nclinic\n",
    "agents.csv": b"agent\nann\nbob\n",
    "status_quo.csv": b"agent,task,amount\nann,ward,6\nann,clinic,6\nbob,ward,6\nbob,clinic,6\n",
    "cost.csv": b"agent,task,cost\nann,ward,1\nann,clinic,3\nbob,ward,3\nbob,clinic,1\n",
    "preferences.csv": b"agent,task,low,high,family\n*,ward,1,2,uniform\n*,clinic,1,2,uniform\n",
}
FILES = {Kind.PSEUDOMARKET: MARKET, Kind.REALLOCATION: TASKS}


def made_round(store: Store, who: Account, kind: Kind, state: RoundState, title: str = "Round") -> Round:
    """Make a round and bring it to a state."""
    made = create_round(store, title, kind, who)
    upload(store, made.id, FILES[kind], who)
    for reached, step in _STEPS.items():
        if state.before(reached):
            break
        step(store, made.id, who)
    return round_(store, made.id)


def _check(store: Store, round_id: str, who: Account) -> None:
    assert check(store, round_id, who).passed


def _open(store: Store, round_id: str, who: Account) -> None:
    if round_(store, round_id).kind is Kind.REALLOCATION:
        request_job(store, round_id, "design", who, method="bilateral", draws=2)
        run_waiting(store)
    open_round(store, round_id, datetime.now(UTC) + timedelta(days=30), who)


def _solve(store: Store, round_id: str, who: Account) -> None:
    market = round_(store, round_id).kind is Kind.PSEUDOMARKET
    request_job(store, round_id, "solve" if market else "reallocate", who)
    run_waiting(store)


def _draw(store: Store, round_id: str, who: Account) -> None:
    commit(store, round_id, who)
    draw(store, round_id, who, seed=SEED)


_STEPS = {
    RoundState.CHECKED: _check,
    RoundState.OPEN: _open,
    RoundState.FROZEN: freeze,
    RoundState.SOLVED: _solve,
    RoundState.DRAWN: _draw,
    RoundState.PUBLISHED: publish,
    RoundState.ARCHIVED: archive,
}
