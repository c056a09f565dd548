"""What everybody sees of a round: where it is, its log, what was committed to, the draw and its check."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

from litestar import Request, Response
from litestar.params import FromPath

from fairlot.rounds import PublicRound, RoundState, UnknownError, log, log_lines, public_page
from fairlot.web.access import Access
from fairlot.web.pages import page
from fairlot.web.routing import FILE, RoundId, StoreIn, read
from fairlot.web.translation import Words, words

_AT_DAWN = (1980, 1, 1, 0, 0, 0)
"""The time that files of an archive bear: the same files are the same archive."""


@read("/", Access.PUBLIC)
def show_start(request: Request[Any, Any, Any]) -> Response[str]:
    """Say what this is, and where to come in."""
    return page(request, "public/start.html.jinja")


@read("/r/{round_id:str}", Access.PUBLIC)
def show_round(request: Request[Any, Any, Any], store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show what everybody may see of a round."""
    found, spoken = public_page(store, round_id), words(request)
    return page(
        request,
        "public/round.html.jinja",
        round=found,
        log_head=found.head,
        steps=_steps(found, spoken),
        facts=_facts(found, spoken),
        size=spoken.number(sum(map(len, found.files.values())) / 1e6),
    )


@read("/r/{round_id:str}/public/log", Access.PUBLIC)
def show_log(request: Request[Any, Any, Any], store: StoreIn, round_id: RoundId) -> Response[str]:
    """Show the log of a round, latest entry first."""
    found = public_page(store, round_id)
    entries = log(store, round_id)
    shown = [*reversed(entries)][:_SHOWN]
    return page(
        request,
        "public/log.html.jinja",
        round=found,
        log_head=found.head,
        entries=shown,
        more=len(entries) - len(shown),
    )


_SHOWN = 500


@read("/r/{round_id:str}/public/log.jsonl", Access.PUBLIC, media_type="application/jsonl")
def download_log(store: StoreIn, round_id: RoundId) -> Response[bytes]:
    """Hand out the log, an entry a line, as it is hashed."""
    return _file(log_lines(log(store, round_id)), "application/jsonl", "log.jsonl")


@read("/r/{round_id:str}/public/files.json", Access.PUBLIC, media_type="application/json")
def send_files(store: StoreIn, round_id: RoundId) -> Response[dict[str, str]]:
    """Send the published files as base64 by name, for the check in the browser."""
    files = _published(public_page(store, round_id))
    return Response({name: base64.b64encode(data).decode("ascii") for name, data in sorted(files.items())})


@read("/r/{round_id:str}/public/result.zip", Access.PUBLIC, media_type="application/zip")
def download_result(store: StoreIn, round_id: RoundId) -> Response[bytes]:
    """Hand out the published result folder."""
    files = _published(public_page(store, round_id))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(f"result/{name}", _AT_DAWN), data, zipfile.ZIP_DEFLATED)
    return _file(packed.getvalue(), "application/zip", "result.zip")


@read("/r/{round_id:str}/public/file/{name:path}", Access.PUBLIC, media_type=FILE)
def download_file(store: StoreIn, round_id: RoundId, name: FromPath[str]) -> Response[bytes]:
    """Hand out one published file."""
    path = str(name).removeprefix("/")
    files = _published(public_page(store, round_id))
    if path not in files:
        raise UnknownError(f"There is no file {path} among those published.")
    return _file(files[path], FILE, path.rsplit("/", 1)[-1])


def _published(found: PublicRound) -> dict[str, bytes]:
    if not found.files:
        raise UnknownError("Nothing of this round is published yet.")
    return dict(found.files)


def _file(data: bytes, media_type: str, name: str) -> Response[bytes]:
    plain = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name
    )
    named = {"content-disposition": f'attachment; filename="{plain}"'}
    return Response(data, media_type=media_type, headers=named)


def _steps(found: PublicRound, words: Words) -> list[dict[str, Any]]:
    """List the steps of a round, with which is done and which is now."""
    names = {
        RoundState.DRAFT: words.gettext("The office prepares it"),
        RoundState.CHECKED: words.gettext("Prepared and checked"),
        RoundState.OPEN: words.gettext("Open: everybody chooses"),
        RoundState.FROZEN: words.gettext("Frozen: all that counts is sealed by a public hash"),
        RoundState.SOLVED: words.gettext("Solved: the chances are computed"),
        RoundState.DRAWN: words.gettext("Drawn: a public seed has decided"),
        RoundState.PUBLISHED: words.gettext("Published: everybody can see and check it"),
        RoundState.ARCHIVED: words.gettext("Archived"),
    }
    return [
        {"name": name, "done": state.before(found.state), "now": state is found.state}
        for state, name in names.items()
    ]


def _facts(found: PublicRound, words: Words) -> list[tuple[str, str]]:
    """Name the numbers of the summary that outsiders ask for."""
    named = {
        "status": words.gettext("Status"),
        "utility_gap": words.gettext("Largest loss of anybody against the best she could afford"),
        "envy": words.gettext("Largest envy between equal budgets"),
        "status_quo_cost": words.gettext("Cost before"),
        "cost": words.gettext("Cost now"),
        "saving": words.gettext("Saving"),
        "moved": words.gettext("Instances that move"),
        "version": words.gettext("Version of fairlot"),
    }
    facts = []
    for key, name in named.items():
        value = found.facts.get(key)
        if isinstance(value, str):
            facts.append((name, words.gettext("certified") if value == "certified" else value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            facts.append((name, words.number(value)))
    return facts


public_routes = [
    show_start,
    show_round,
    show_log,
    download_log,
    send_files,
    download_result,
    download_file,
]
