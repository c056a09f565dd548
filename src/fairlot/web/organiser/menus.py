"""Reallocation before anybody picks: value of choice, caps, menus in words; and the period after."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response
from litestar.concurrency import sync_to_thread
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromQuery
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.keys import SETTINGS, write_toml
from fairlot.io.menus import MENUS, PICKS
from fairlot.io.problem import parse_reallocation_files, problem_files
from fairlot.io.reallocation_results import read_offer
from fairlot.io.tables import COUNT, NON_NEGATIVE, parse_numbers, write_csv
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.letters import amounts_words, ray_words
from fairlot.rounds import (
    Area,
    Kind,
    RefusedError,
    create_round,
    jobs,
    read_back,
    request_job,
    result,
    round_,
    upload,
)
from fairlot.store import Store
from fairlot.web.access import Access
from fairlot.web.organiser.facts import facts
from fairlot.web.organiser.frame import Asked, reached, round_page, who
from fairlot.web.organiser.work import minutes
from fairlot.web.routing import RoundId, StoreIn, act, go, read

FORBIDDEN = "forbidden.csv"
PAST_MENUS = "past-menus.csv"
PAST_PICKS = "past-picks.csv"
METHODS = ("menus", "bilateral", "two-price", "robust", "past-picks")
_SHOWN = 30
"""Menus on one page."""
Form = RequestEncodingType.URL_ENCODED


@dataclass
class Caps:
    """How much anybody's load, and her amount of any task, may grow (0.2 is a fifth); who may not do what."""

    load_growth: str = ""
    task_growth: str = ""
    forbidden: str = ""


@dataclass
class Wanted:
    """What is asked of the menus; blank is free."""

    method: str = "menus"
    max_lines: str = ""
    round_rates: str = ""
    min_exchange: str = ""
    minutes: str = ""


@dataclass(frozen=True)
class MenuInWords:
    """One agent's menu as she will read it."""

    agent: str
    has: str
    lines: tuple[tuple[str, str], ...]


@read("/o/{round_id:str}/menus", Access.AUDITOR)
def show_menus(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    agent: FromQuery[str] = "",
    first: FromQuery[int] = 0,
) -> Response[str]:
    """Show what choice is worth, the caps, and each menu in words, before anybody else sees them."""
    problem = _problem(store, round_id)
    design = result(store, round_id, Area.DESIGN)
    offers: tuple[MenuInWords, ...] = ()
    n_offers = 0
    if MENUS in design:
        offers, n_offers = _in_words(design, agent.strip(), max(first, 0))
    done = [job for job in jobs(store, round_id) if job.what in ("value", "design")]
    return round_page(
        request,
        store,
        round_id,
        "menus",
        problem=problem,
        caps=None if problem is None else problem.caps,
        forbidden="" if problem is None else _forbidden(problem),
        offers=offers,
        n_offers=n_offers,
        first=max(first, 0),
        shown=_SHOWN,
        agent=agent,
        facts=facts(design),
        jobs=done,
        value=next((job for job in done if job.what == "value" and job.ended), None),
        methods=METHODS if PAST_PICKS in read_back(store, round_id) else METHODS[:-1],
    )


@act("/o/{round_id:str}/menus/value", Access.OPERATOR)
def ask_value(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect:
    """Ask whether letting people choose is worth it."""
    return go(f"/o/{round_id}/work/{request_job(store, round_id, 'value', who(request)).id}")


@act("/o/{round_id:str}/menus/design", Access.OPERATOR)
def ask_design(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Wanted, Body(media_type=Form)],
) -> Redirect:
    """Ask for menus."""
    issues: list[Issue] = []
    if data.method not in METHODS:
        issues.append(Issue("method", found=data.method, expected=" or ".join(METHODS)))
    settings: dict[str, Any] = {"method": data.method}
    for name in ("max_lines", "round_rates"):
        text = getattr(data, name).strip()
        if text and (not text.isdecimal() or not 0 < int(text[:9]) < 1000 or len(text) > 9):
            issues.append(Issue(name, found=text, expected="a whole number from 1 to 999, or nothing"))
        elif text:
            settings[name] = int(text)
    least = _growth("min_exchange", data.min_exchange, issues)
    if least is not None:
        settings["min_exchange"] = least
    limit = minutes(data.minutes)
    if limit is not None:
        settings["time_limit"] = limit
    if issues:
        raise InvalidProblemError(issues)
    return go(f"/o/{round_id}/work/{request_job(store, round_id, 'design', who(request), **settings).id}")


@act("/o/{round_id:str}/menus/caps", Access.OPERATOR)
def change_caps(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[Caps, Body(media_type=Form)],
) -> Redirect:
    """Change the caps; menus have to be designed again afterwards."""
    issues: list[Issue] = []
    given = {name: _growth(name, getattr(data, name), issues) for name in ("load_growth", "task_growth")}
    pairs = [
        tuple(part.strip() for part in line.split(",", 1))
        for line in data.forbidden.splitlines()
        if line.strip()
    ]
    issues += [
        Issue("forbidden", found=", ".join(pair), expected="agent, task") for pair in pairs if len(pair) != 2
    ]
    if issues:
        raise InvalidProblemError(issues)
    files = read_back(store, round_id)
    settings = _settings(files)
    settings["cap"] = {name: value for name, value in given.items() if value is not None}
    if not settings["cap"]:
        del settings["cap"]
    settings.pop("forbidden", None)
    written = {SETTINGS: write_toml(settings)}
    if pairs:
        written[FORBIDDEN] = write_csv(("agent", "task"), pairs)
    changed = {**{name: data for name, data in files.items() if name != FORBIDDEN}, **written}
    parse_reallocation_files(changed)  # before it is saved, not after
    upload(store, round_id, changed, who(request))
    return go(f"/o/{round_id}/check")


@read("/o/{round_id:str}/next", Access.AUDITOR)
def show_next(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Ask for last period's counts, from which the next period's round is made."""
    problem = _problem(store, round_id)
    counts = [] if problem is None else list(zip(problem.tasks, problem.counts.tolist(), strict=True))
    return round_page(request, store, round_id, "next", counts=counts, admin=who(request).admin)


@act("/o/{round_id:str}/next", Access.OPERATOR)
async def begin_next(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect:
    """Make the next period's round: the same people and shares, as many instances as were counted.

    Fields are named ``title`` and ``count-`` with the task.
    """
    form = await request.form()
    if not who(request).admin:
        raise RefusedError("Only an administrator begins rounds.")
    counts = {str(k).removeprefix("count-"): str(form[k]).strip() for k in form if k.startswith("count-")}
    return await sync_to_thread(_begin_next, request, store, round_id, str(form.get("title", "")), counts)


def _begin_next(
    request: Asked, store: Store, round_id: str, title: str, counts: Mapping[str, str]
) -> Redirect:
    before = round_(store, round_id)
    problem = _problem(store, round_id)
    if problem is None:
        raise RefusedError("The files of this round cannot be read; correct them first.")
    issues: list[Issue] = []
    texts = [counts.get(task, "") for task in problem.tasks]
    parse_numbers(texts, range(1, len(texts) + 1), Issue("", None, None, "count"), COUNT, issues)
    name = title.strip()
    if not name:
        issues.append(Issue("title", found="", expected="a name for the next period"))
    if issues:
        raise InvalidProblemError(issues)
    files = dict(read_back(store, round_id))
    made = create_round(store, name, Kind.REALLOCATION, who(request), **before.settings)
    upload(store, made.id, {**_counted(files, problem, texts), **_past(store, round_id)}, who(request))
    return go(f"/o/{made.id}/check")


def _counted(files: Mapping[str, bytes], problem: ReallocationProblem, counts: list[str]) -> dict[str, bytes]:
    """Write the problem with other counts; files that are no tables of it stay away."""
    written = problem_files(problem)
    settings = tomllib.loads(written[SETTINGS].decode())
    name = settings.get("tasks", {}).get("file", "tasks.csv")
    written[name] = write_csv(("task", "count"), list(zip(problem.tasks, counts, strict=True)))
    return written


def _past(store: Store, round_id: str) -> dict[str, bytes]:
    """Return what was offered and picked in the period before, from which beliefs may be estimated."""
    if not reached(round_(store, round_id))["solved"]:
        return {}
    files = result(store, round_id)
    picks = files.get(PICKS, files.get(f"input/{PICKS}"))
    return {PAST_MENUS: files[MENUS], PAST_PICKS: picks} if MENUS in files and picks else {}


def _problem(store: Store, round_id: str) -> ReallocationProblem | None:
    """Read the problem; None while its files have faults."""
    if round_(store, round_id).kind is not Kind.REALLOCATION:
        raise RefusedError("Menus belong to reallocations; this round is a pseudo-market.")
    try:
        return parse_reallocation_files(read_back(store, round_id)).problem
    except InvalidProblemError:
        return None


def _settings(files: Mapping[str, bytes]) -> dict[str, Any]:
    parse_reallocation_files(files)  # its faults are told, with their places
    return tomllib.loads(files[SETTINGS].decode("utf-8-sig"))


def _growth(name: str, text: str, issues: list[Issue]) -> float | None:
    if not text.strip():
        return None
    found = parse_numbers([text.strip()], [1], Issue("", None, None, name), NON_NEGATIVE, issues)
    return float(found[0])


def _forbidden(problem: ReallocationProblem) -> str:
    rows, columns = problem.forbidden.nonzero()
    return "\n".join(
        f"{problem.agents[i]},{problem.tasks[k]}"
        for i, k in zip(rows.tolist(), columns.tolist(), strict=True)
    )


def _in_words(design: Mapping[str, bytes], agent: str, first: int) -> tuple[tuple[MenuInWords, ...], int]:
    """Write some of the menus in words: hers who is named, or so many of all that offer something."""
    problem, menus = read_offer(design)
    places = {name: j for j, name in enumerate(problem.agents)}
    offered = [problem.agents[j] for j in sorted(set(menus.ray_agents.tolist()))]
    names = [agent] if agent in places else [] if agent else offered[first : first + _SHOWN]
    found = tuple(
        MenuInWords(
            name,
            _plain(amounts_words(problem.tasks, problem.endowment[places[name]], problem.transfer)),
            tuple((ray.name, _plain(ray_words(problem.tasks, ray))) for ray in menus[name].rays),
        )
        for name in names
    )
    return found, len(offered)


def _plain(markdown: str) -> str:
    return markdown.replace("*", "")


menu_routes = [show_menus, ask_value, ask_design, change_caps, show_next, begin_next]
