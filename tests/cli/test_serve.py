import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("litestar")

from typer.testing import CliRunner

from fairlot import rounds
from fairlot.cli import app
from fairlot.store import open_store

RUN = CliRunner()


def test_a_link_for_an_organiser_needs_no_server(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/rounds.db"
    told = RUN.invoke(
        app, ["serve", "--database-url", url, "--organiser", "Ada", "--base-url", "https://x.edu", "--json"]
    )
    assert told.exit_code == 0, told.output
    link = json.loads(told.stdout)["link"]
    assert link.startswith("https://x.edu/link/")
    store = open_store(url)
    target = rounds.redeem_look(store, link.rpartition("/")[2])
    assert target is not None
    assert target.account == "Ada"
    store.close()


def test_backup_and_restore(tmp_path: Path) -> None:
    url, copy = f"sqlite:///{tmp_path}/rounds.db", tmp_path / "copy.db"
    store = open_store(url)
    rounds.create_round(store, "Small", "pseudomarket", rounds.add_account(store, "Ada"))
    store.close()
    assert RUN.invoke(app, ["serve", "--database-url", url, "--backup", str(copy)]).exit_code == 0
    other = f"sqlite:///{tmp_path}/other.db"
    assert RUN.invoke(app, ["serve", "--database-url", other, "--restore", str(copy)]).exit_code == 0
    again = RUN.invoke(app, ["serve", "--database-url", other, "--restore", str(copy)])
    assert again.exit_code == 2
    assert "not empty" in again.output
    store = open_store(other)
    assert [one.title for one in rounds.rounds(store, rounds.accounts(store)[0])] == ["Small"]
    store.close()


@pytest.mark.parametrize(
    "options",
    [["--database-url", "mysql://x/y"], ["--database-url", "sqlite://"], ["--base-url", "nonsense"]],
)
def test_bad_addresses_are_told_in_a_line(tmp_path: Path, options: list[str]) -> None:
    base = ["--database-url", f"sqlite:///{tmp_path}/rounds.db"]
    told = RUN.invoke(app, ["serve", *base, *options])
    assert told.exit_code == 2
    assert "Traceback" not in told.output


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        url = f"sqlite:///{tmp_path}/rounds.db"
        told = RUN.invoke(app, ["serve", "--database-url", url, "--port", str(port)])
    assert told.exit_code == 2
    assert "cannot listen" in told.output


def test_it_serves_with_a_worker_that_ends_with_it(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "fairlot", "serve", "--port", str(port)],
        env={**os.environ, "FAIRLOT_DATABASE_URL": f"sqlite:///{tmp_path}/rounds.db"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(3)]
        (link,) = re.findall(r"http://\S+/link/\S+", "".join(lines))
        for _ in range(100):
            try:
                with urllib.request.urlopen(link, timeout=30) as answer:
                    assert answer.status == 200
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail("it does not answer")
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
        server.stdout.close()
