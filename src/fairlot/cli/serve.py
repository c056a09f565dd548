"""``serve``: the web application, with its worker."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairlot.cli.output import JsonOption, Output, QuietOption, verb
from fairlot.errors import FairlotError, InvalidProblemError, Issue, MissingExtraError

if TYPE_CHECKING:
    from fairlot.store import Store

DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database-url",
        metavar="URL",
        envvar="FAIRLOT_DATABASE_URL",
        help="sqlite:///FILE or postgresql://USER@HOST/NAME.",
    ),
]
HostOption = Annotated[str, typer.Option("--host", help="Address to listen at.")]
PortOption = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen at.")]
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--base-url", metavar="URL", help="How browsers reach it, such as https://lots.example.edu."
    ),
]
DemoOption = Annotated[bool, typer.Option("--demo", help="Begin with a made-up round of each kind.")]
OrganiserOption = Annotated[
    str | None,
    typer.Option("--organiser", metavar="NAME", help="Only print a one-time link for NAME; made if new."),
]
BackupOption = Annotated[
    Path | None, typer.Option("--backup", metavar="FILE", help="Only write a backup, while others serve.")
]
RestoreOption = Annotated[
    Path | None, typer.Option("--restore", metavar="FILE", help="Only put a backup into an empty database.")
]

_SWEEP_SECONDS = 3600.0
_RESTART_SECONDS = 1.0


def serve(
    database_url: DatabaseOption = "sqlite:///fairlot.db",
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    base_url: BaseOption = None,
    demo: DemoOption = False,
    organiser: OrganiserOption = None,
    backup: BackupOption = None,
    restore: RestoreOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Serve the web application: rounds for organisers and agents."""
    with verb(as_json, quiet) as output, ExitStack() as stack:
        _need_extra()
        from fairlot.rounds import add_account, sign_in_link
        from fairlot.rounds import backup as write_backup
        from fairlot.rounds import restore as read_backup
        from fairlot.store import open_store

        if restore is not None:
            read_backup(restore, database_url).close()
            output.say(f"Restored {restore}; every log in it is whole")
            output.data({"restored": str(restore)})
            return
        if demo and database_url == "sqlite:///fairlot.db":
            place = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="fairlot-demo-", ignore_cleanup_errors=True)
            )
            database_url = f"sqlite:///{place}/demo.db"
        store = open_store(database_url)
        stack.callback(store.close)
        if backup is not None:
            write_backup(store, backup)
            output.say(f"Wrote {backup}: keep it where only you can read it")
            output.data({"backup": str(backup)})
            return
        address = base_url or f"http://{'127.0.0.1' if host == 'localhost' else host}:{port}"
        if organiser is not None:
            secret = sign_in_link(store, add_account(store, organiser, admin=True))
            output.say(f"{address.rstrip('/')}/link/{secret}")
            output.data({"organiser": organiser, "link": f"{address.rstrip('/')}/link/{secret}"})
            return
        links: dict[str, str] = {}
        with store.reading() as tx:
            empty = not tx.accounts()
        if demo and empty:
            from fairlot.rounds.demo import seed_demo

            output.say("Making two rounds; all in them is invented ...")
            seeded = seed_demo(store)
            links = {"organiser": seeded.organiser, "agent": seeded.agent}
        elif empty:
            who = add_account(store, "organiser", admin=True)
            links = {"organiser": sign_in_link(store, who)}
        links = {name: f"{address.rstrip('/')}/link/{secret}" for name, secret in links.items()}
        _run(output, store, address, host, port, links)


def _need_extra() -> None:
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("litestar", "uvicorn", "sqlalchemy", "alembic", "babel")):
        raise MissingExtraError("fairlot serve", "web")


def _run(output: Output, store: Store, address: str, host: str, port: int, links: dict[str, str]) -> None:
    """Serve until interrupted; a worker runs beside."""
    import uvicorn

    from fairlot.rounds import sweep
    from fairlot.web.app import create_app
    from fairlot.web.settings import Settings

    app = create_app(Settings(store.url, address), store)
    _refuse_taken(host, port)
    output.say(f"Serving at {address}; stop with Ctrl-C")
    for name, link in links.items():
        output.say(f"  {name + ':':<11}{link}")
    if links:
        output.say("Each link works once: it signs the browser in that opens it.")
    output.data({"address": address, "links": links})
    sys.stdout.flush()
    ended = threading.Event()
    threading.Thread(target=_supervise, args=(store.url, ended), daemon=True).start()

    def clean() -> None:
        while True:
            with suppress(FairlotError):  # what is wrong with the database now may be right in an hour
                sweep(store)
            if ended.wait(_SWEEP_SECONDS):
                return

    threading.Thread(target=clean, daemon=True).start()
    with suppress(KeyboardInterrupt):
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,  # links stand in paths
            server_header=False,
            timeout_graceful_shutdown=15,
            proxy_headers=True,
            forwarded_allow_ips="127.0.0.1",
        )
    ended.set()


def _supervise(database_url: str, ended: threading.Event) -> None:
    """Keep a worker running. It is in a session of its own, and finishes its job when this process ends."""
    environment = {**os.environ, "FAIRLOT_DATABASE_URL": database_url}  # no password among the arguments
    while not ended.is_set():
        worker = subprocess.Popen(
            [sys.executable, "-m", "fairlot.rounds.worker", "--beside", str(os.getpid())],
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        while worker.poll() is None and not ended.wait(_RESTART_SECONDS):
            pass


def _refuse_taken(host: str, port: int) -> None:
    """Say in words that the port is in use, before the worker starts."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            found = f"{host}:{port}: {error.strerror}"
            issue = Issue("cannot listen", found=found, expected="another --host or --port")
            raise InvalidProblemError([issue]) from None
