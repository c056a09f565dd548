"""Two rounds to look at, one of each kind, open, with some choices made. All of it is invented."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import timedelta

from fairlot.io.demo import demo_pseudomarket
from fairlot.io.hospital import demo_reallocation
from fairlot.rounds import choices
from fairlot.rounds.choose import ballot_files, submit
from fairlot.rounds.jobs import request_job, run_waiting
from fairlot.rounds.life import check, create_round, open_round, upload
from fairlot.rounds.lines import MenuForm
from fairlot.rounds.people import add_account, invite, sign_in_link
from fairlot.store import Kind, Store

_CHOOSING = 60
_PICKING = 7
_POINTS_OF_A_STAR = 20


@dataclass(frozen=True)
class Seeded:
    """What the demonstration's first page needs.

    Parameters
    ----------
    organiser, agent : str
        Secrets of their links.
    rounds : tuple of str
        Ids of the pseudo-market and of the reallocation.
    """

    organiser: str
    agent: str
    rounds: tuple[str, str]


def seed_demo(store: Store) -> Seeded:
    """Make the two rounds in an empty database.

    Parameters
    ----------
    store : Store
        The database.
    """
    who = add_account(store, "Demo organiser", admin=True)
    deadline = store.clock() + timedelta(days=7)
    courses = create_round(store, "Electives at an invented university", Kind.PSEUDOMARKET, who)
    upload(store, courses.id, demo_pseudomarket(), who)
    check(store, courses.id, who)
    open_round(store, courses.id, deadline, who)
    for agent, ratings in list(_ratings().items())[1 : 1 + _CHOOSING]:
        submit(store, courses.id, agent, {"ratings": ratings}, f"demo {agent}", 0)
    cases = create_round(store, "Emergency department of an invented hospital", Kind.REALLOCATION, who)
    upload(store, cases.id, demo_reallocation(), who)
    check(store, cases.id, who)
    request_job(store, cases.id, "design", who, method="bilateral")  # the quickest
    run_waiting(store)
    open_round(store, cases.id, deadline, who)
    files, menus = ballot_files(store, cases.id)
    for number in range(1, 1 + _PICKING):
        agent = f"dr{number:02}"
        form = choices.ballot(files, menus, agent)
        if isinstance(form, MenuForm) and form.lines:
            submit(store, cases.id, agent, {"pick": form.lines[-1].name}, f"demo {agent}", 0)
    invitations = {one.agent: one.secret for one in invite(store, courses.id, who)}
    return Seeded(sign_in_link(store, who), invitations["s001"], (courses.id, cases.id))


def _ratings() -> dict[str, dict[str, int]]:
    """Turn the example's points into stars."""
    table = csv.DictReader(io.StringIO(demo_pseudomarket()["values.csv"].decode(), newline=""))
    ratings: dict[str, dict[str, int]] = {}
    for row in table:
        stars = min(5, max(1, round(int(row["value"]) / _POINTS_OF_A_STAR)))
        ratings.setdefault(row["agent"], {})[row["good"]] = stars
    return ratings
