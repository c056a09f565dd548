"""All rounds of an organiser, and the page of one: where it is, what is next, who did what."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from litestar import Response
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.tables import NON_NEGATIVE, numbers, read_table
from fairlot.io.template import template_files
from fairlot.rounds import (
    Kind,
    archive,
    create_round,
    draw_view,
    frozen,
    import_round,
    jobs,
    log,
    log_lines,
    participation,
    publish,
    result,
    round_,
    rounds,
    set_settings,
)
from fairlot.rounds.life import RETENTION_DAYS
from fairlot.store import Store
from fairlot.web.access import Access
from fairlot.web.organiser.frame import Asked, download, reached, round_page, who
from fairlot.web.pages import page
from fairlot.web.routing import FILE, RoundId, StoreIn, act, go, read
from fairlot.web.uploads import LARGEST_BODY, packed, received

KEEP = "keep"


@dataclass
class NewRound:
    """What a round begins with."""

    title: str
    kind: Kind


@dataclass
class Folder:
    """A problem or result folder, as an archive."""

    archive: UploadFile
    title: str = ""


@dataclass
class RoundSettings:
    """What its organiser decides of a round; ``preview`` is an earlier round, whose prices agents may see."""

    scale: str = ""
    preview: str = ""
    contact: str = ""
    retention_days: int = RETENTION_DAYS


@read("/o", Access.ORGANISER)
def list_rounds(request: Asked, store: StoreIn) -> Response[str]:
    """Show the rounds that the organiser has a role in."""
    found = rounds(store, who(request))
    roles = request.user.roles
    return page(
        request,
        "organiser/rounds.html.jinja",
        rounds=found,
        roles=roles,
        account=who(request),
        kinds=list(Kind),
    )


@act("/o/rounds", Access.ADMIN)
def begin_round(
    request: Asked,
    store: StoreIn,
    data: Annotated[NewRound, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Begin a round; whoever does owns it."""
    made = create_round(store, data.title.strip(), data.kind, who(request))
    return go(f"/o/{made.id}/files")


@act("/o/import", Access.ADMIN, request_max_body_size=LARGEST_BODY)
def import_folder(
    request: Asked,
    store: StoreIn,
    data: Annotated[Folder, Body(media_type=RequestEncodingType.MULTI_PART)],
) -> Redirect:
    """Make a round of a problem folder or a result folder."""
    files = received([data.archive])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "round"
        place.mkdir()
        for name, content in files.items():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        made = import_round(store, place, who(request), title=data.title.strip())
    return go(f"/o/{made.id}")


@read("/o/template/{kind:str}", Access.ORGANISER, media_type=FILE)
def template(kind: FromPath[Kind]) -> Response[bytes]:
    """Hand out a commented problem folder with example rows."""
    return download(packed(template_files(kind.value)), f"{kind.value}.zip")


@read("/o/{round_id:str}", Access.AUDITOR)
def show_round(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show where a round is and what is next."""
    found = round_(store, round_id)
    at = reached(found)
    earlier = [
        one
        for one in rounds(store, who(request))
        if one.kind is Kind.PSEUDOMARKET and one.id != round_id and reached(one)["published"]
    ]
    return round_page(
        request,
        store,
        round_id,
        "round",
        round=found,
        earlier=earlier,
        taking_part=participation(store, round_id) if at["open"] else None,
        work=jobs(store, round_id)[:5],
        frozen=frozen(store, round_id) if at["frozen"] else None,
        draw=draw_view(store, round_id) if at["solved"] else None,
    )


@act("/o/{round_id:str}/settings", Access.OPERATOR)
def change_settings(
    request: Asked,
    store: StoreIn,
    round_id: RoundId,
    data: Annotated[RoundSettings, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """Change how agents are asked, and how long personal data are kept."""
    found = round_(store, round_id)
    settings: dict[str, Any] = {"contact": data.contact.strip(), "retention_days": data.retention_days}
    if data.scale and data.scale != found.settings["scale"]:
        settings["scale"] = data.scale
    if data.preview != KEEP:
        settings["preview"] = _prices(request, store, data.preview)
    set_settings(store, round_id, who(request), **settings)
    return go(f"/o/{round_id}")


def _prices(request: Asked, store: Store, round_id: str) -> dict[str, Any] | None:
    """Return label and prices of an earlier round, for previews."""
    if not round_id:
        return None
    if round_id not in request.user.roles or not reached(round_(store, round_id))["published"]:
        expected = "a round of yours that is published"
        raise InvalidProblemError([Issue("preview", found=round_id, expected=expected)])
    issues: list[Issue] = []
    table = read_table(result(store, round_id).__getitem__, "prices.csv", issues)
    if table is None or not table.require(("good", "price"), issues):
        raise InvalidProblemError(issues)
    prices = numbers(table, "price", NON_NEGATIVE, issues)
    pairs = zip(table["good"], prices.tolist(), strict=True)
    return {"label": round_(store, round_id).title, "prices": dict(pairs)}


@act("/o/{round_id:str}/publish", Access.OPERATOR)
def publish_round(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect:
    """Show everybody her outcome."""
    publish(store, round_id, who(request))
    return go(f"/o/{round_id}")


@act("/o/{round_id:str}/archive", Access.OWNER)
def archive_round(request: Asked, store: StoreIn, round_id: RoundId) -> Redirect:
    """End a round."""
    archive(store, round_id, who(request))
    return go(f"/o/{round_id}")


@read("/o/{round_id:str}/log", Access.AUDITOR)
def show_log(request: Asked, store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show who did what, and when."""
    entries = log(store, round_id)
    return round_page(request, store, round_id, "log", entries=entries[::-1])


@read("/o/{round_id:str}/log.jsonl", Access.AUDITOR, media_type=FILE)
def log_file(store: StoreIn, round_id: RoundId) -> Response[bytes]:
    """Hand out the log, an entry a line."""
    return download(log_lines(log(store, round_id)), "log.jsonl")


round_routes = [
    list_rounds,
    begin_round,
    import_folder,
    template,
    show_round,
    change_settings,
    publish_round,
    archive_round,
    show_log,
    log_file,
]
