"""Thousands of agents save their choices within a minute: how long each waits, and whether any is lost.

``python -m benchmarks.service [--agents 5000] [--seconds 60] [--goods 40] [--database-url URL]`` starts
``fairlot serve`` with an open round, and sends every agent's choice over a connection of her own, at moments
drawn uniformly from the window whether or not earlier ones were answered. A wait counts from the moment she
pressed, so a server that falls behind cannot hide it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from fairlot.io.tables import write_csv
from fairlot.rounds import (
    add_account,
    check,
    create_round,
    log,
    open_round,
    participation,
    submission,
    upload,
    verify_log,
)
from fairlot.store import Store, open_store
from fairlot.store.records import Pass
from fairlot.web.csrf import FIELD, form_token
from fairlot.web.settings import Settings
from fairlot.web.walls import agent_cookie

_SETTINGS = """\
format = 1
kind = "pseudomarket"
title = "Load"
[goods]
file = "goods.csv"
[agents]
file = "agents.csv"
[values]
file = "values.csv"
[[quota]]
name = "load"
goods = "all"
max = 5
"""


def make_round(store: Store, n_agents: int, n_goods: int) -> tuple[str, dict[str, str]]:
    """Open a round; return its id, and everybody's session."""
    who = add_account(store, "Load", admin=True)
    made = create_round(store, "Load", "pseudomarket", who)
    agents = [f"s{k:05}" for k in range(n_agents)]
    files = {
        "problem.toml": _SETTINGS.encode(),
        "goods.csv": write_csv(("good", "capacity"), [(f"c{k:03}", "200") for k in range(n_goods)]),
        "agents.csv": write_csv(("agent",), [(agent,) for agent in agents]),
    }
    upload(store, made.id, files, who)
    check(store, made.id, who)
    open_round(store, made.id, store.clock() + timedelta(days=1), who)
    sessions = {agent: secrets.token_urlsafe(32) for agent in agents}
    with store.writing() as tx:
        expires = tx.now() + timedelta(days=1)
        for agent, secret in sessions.items():
            digest = hashlib.sha256(secret.encode()).hexdigest()
            tx.add_session(digest, Pass(made.id, agent, None, expires))
    return made.id, sessions


async def press(
    port: int, settings: Settings, round_id: str, session: str, ratings: dict[str, int]
) -> tuple[int, float]:
    """Send a choice as a browser does; return the status and the wait."""
    began = time.perf_counter()
    fields = {FIELD: form_token(session), "key": secrets.token_urlsafe(16), "seen": "0"}
    body = urlencode({**fields, **{f"rate:{good}": str(stars) for good, stars in ratings.items()}})
    request = (
        f"POST /r/{round_id}/me HTTP/1.1\r\nHost: {settings.host}\r\nOrigin: {settings.origin}\r\n"
        f"Cookie: {agent_cookie(settings, round_id)}={session}\r\nHX-Request: true\r\nConnection: close\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        status = int(answer.split(b" ", 2)[1])
    except (OSError, ValueError, IndexError, TimeoutError):
        status = 0
    return status, time.perf_counter() - began


async def rush(
    port: int, settings: Settings, round_id: str, sessions: dict[str, str], n_goods: int, seconds: float
) -> dict[str, tuple[int, float]]:
    """Let everybody press at a moment of her own."""
    chance = random.Random(0)
    loop = asyncio.get_running_loop()
    start = loop.time() + 0.5

    async def one(session: str, at: float) -> tuple[int, float]:
        await asyncio.sleep(max(0.0, start + at - loop.time()))
        late = max(0.0, loop.time() - start - at)
        ratings = {f"c{k:03}": chance.randint(1, 5) for k in chance.sample(range(n_goods), 8)}
        status, wait = await press(port, settings, round_id, session, ratings)
        return status, wait + late

    waiting = [one(session, chance.uniform(0, seconds)) for session in sessions.values()]
    return dict(zip(sessions, await asyncio.gather(*waiting), strict=True))


def serve(url: str, port: int) -> subprocess.Popen[bytes]:
    """Start the service, and wait until it listens."""
    command = [
        sys.executable,
        "-m",
        "fairlot",
        "serve",
        "--database-url",
        url,
        "--port",
        str(port),
        "--quiet",
    ]
    server = subprocess.Popen(command)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.1)
    server.kill()
    msg = "the service did not start"
    raise TimeoutError(msg)


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process so far; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=5000)
    parser.add_argument("--goods", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        url = options.database_url or f"sqlite:///{Path(place) / 'load.db'}"
        settings = Settings(url, f"http://127.0.0.1:{port}")
        store = open_store(url)
        round_id, sessions = make_round(store, options.agents, options.goods)
        server = serve(url, port)
        try:
            warm = asyncio.run(press(port, settings, round_id, next(iter(sessions.values())), {"c000": 1}))
            if warm[0] != 200:
                sys.exit(f"the first choice was answered with {warm[0]}")
            sessions.pop(next(iter(sessions)))
            before = processor_seconds(server.pid)
            began = time.perf_counter()
            told = asyncio.run(rush(port, settings, round_id, sessions, options.goods, options.seconds))
            took = time.perf_counter() - began
            used = processor_seconds(server.pid) - before
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(120)
        saved = sum(status == 200 for status, _ in told.values())
        lost = sum(
            status == 200 and submission(store, round_id, agent) is None
            for agent, (status, _) in told.items()
        )
        faults = verify_log(log(store, round_id))
        chosen = participation(store, round_id).chosen
        store.close()
    waits = np.array([wait for _, wait in told.values()])
    p50, p95, p99 = np.quantile(waits, [0.5, 0.95, 0.99])
    print(
        f"{options.agents} agents, {options.goods} goods, window {options.seconds:g} s, {url.split(':')[0]}"
    )
    print(f"answers              {dict(Counter(status for status, _ in told.values()))}")
    print(f"saved, lost          {saved}, {lost}; chosen in the database {chosen}; log faults {len(faults)}")
    print(f"wait p50 p95 p99 max {p50:.3f} {p95:.3f} {p99:.3f} {waits.max():.3f} s")
    print(f"rate                 {saved / took:.0f} per s over {took:.1f} s")
    print(f"processor, service   {used:.1f} s, {1000 * used / len(told):.1f} ms per choice")


if __name__ == "__main__":
    main()
