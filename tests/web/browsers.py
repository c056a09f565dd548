"""A service, and browsers without scripts: they keep cookies and send forms back with their token."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from litestar import Litestar
from litestar.testing import TestClient

from fairlot.rounds import Account, add_account, sign_in_link
from fairlot.store import Store, open_store
from fairlot.web.app import create_app
from fairlot.web.settings import Rates, Settings

BASE = "http://lots.test"
FAR = f"{datetime.now(UTC) + timedelta(days=300):%Y-%m-%dT%H:%M}"
"""A deadline, as a browser sends it."""
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Service:
    """An application on a store of its own."""

    app: Litestar
    store: Store
    client: TestClient[Litestar]

    def browser(self) -> Browser:
        """Start a browser that has been nowhere yet."""
        return Browser(httpx.Client(transport=self.client._transport, base_url=BASE))

    def account(self, name: str, *, admin: bool = False) -> Account:
        """Make an organiser's account."""
        return add_account(self.store, name, admin=admin)

    def organiser(self, name: str = "Ann", *, admin: bool = True) -> Browser:
        """Start a browser in which an organiser is signed in."""
        browser = self.browser()
        browser.follow_link(sign_in_link(self.store, self.account(name, admin=admin)))
        return browser


class Browser:
    """Gets pages and sends forms, with the token of the last page of its kind."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=headers, follow_redirects=False)

    def token(self, page: str) -> str:
        found = _TOKEN.search(self.get(page).text)
        assert found is not None, page
        return found.group(1)

    def post(
        self, path: str, fields: Mapping[str, Any] | None = None, files: Any = None, *, page: str = "/o"
    ) -> httpx.Response:
        """Send a form whose token stands on a page."""
        data = {"csrf": self.token(page), **(fields or {})}
        return self.http.post(path, data=data, files=files, follow_redirects=False)

    def follow_link(self, secret: str) -> httpx.Response:
        """Open a link and press its button."""
        answer = self.post("/sign-in", {"secret": secret}, page=f"/link/{secret}")
        assert answer.status_code == 303, answer.text
        return answer


@contextmanager
def serve(url: str, rates: Rates | None = None, base_url: str = BASE) -> Iterator[Service]:
    """Run a service on a database."""
    store = open_store(url)
    app = create_app(Settings(url, base_url, rates=Rates() if rates is None else rates), store)
    with TestClient(app, base_url=base_url) as client:
        yield Service(app, store, client)
    store.close()


def links(answer: httpx.Response) -> dict[str, dict[str, str]]:
    """Read the table of links that was handed out, by agent."""
    rows = csv.DictReader(io.StringIO(answer.content.decode()))
    return {row["agent"]: {**row, "secret": row["link"].rpartition("/")[2]} for row in rows}
