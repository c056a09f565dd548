"""How one installation of the service runs; nothing else is configured."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fairlot.errors import InvalidProblemError, Issue


@dataclass(frozen=True)
class Rates:
    """How many requests a minute are answered, and to whom.

    A campus shares one address: what an address may do is generous, what one account may do is not, and
    secrets that were wrong are counted by themselves.

    Parameters
    ----------
    address, account, guesses : int
        Requests of one network address, requests of one account, wrong secrets of one address.
    """

    address: int = 60_000
    account: int = 300
    guesses: int = 60


@dataclass(frozen=True)
class Settings:
    """What ``fairlot serve`` was told.

    Parameters
    ----------
    database_url : str
        Of SQLAlchemy.
    base_url : str
        Where browsers reach the service; requests under any other name are refused, links begin with it, and
        where it is ``https`` cookies are sent over nothing else.
    rates : Rates
        Limits.

    Examples
    --------
    >>> settings = Settings("sqlite://", "https://lots.example.edu")
    >>> settings.host, settings.https, settings.cookie("organiser")
    ('lots.example.edu', True, '__Host-fairlot_organiser')
    """

    database_url: str
    base_url: str = "http://127.0.0.1:8000"
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.netloc or url.path.strip("/") or url.query:
            expected = "http:// or https:// and a name, such as https://lots.example.edu"
            raise InvalidProblemError([Issue("--base-url", found=self.base_url, expected=expected)])

    @property
    def https(self) -> bool:
        """Whether browsers reach the service over TLS."""
        return urlsplit(self.base_url).scheme == "https"

    @property
    def host(self) -> str:
        """The one ``Host`` that is answered."""
        return urlsplit(self.base_url).netloc.casefold()

    @property
    def origin(self) -> str:
        """Scheme and host as browsers send them in ``Origin``."""
        url = urlsplit(self.base_url)
        return f"{url.scheme}://{url.netloc.casefold()}"

    def cookie(self, name: str) -> str:
        """Name a cookie; behind TLS in the way that binds it to this host and to TLS."""
        return f"{'__Host-' if self.https else ''}fairlot_{name}"

    def link(self, path: str) -> str:
        """Write an absolute address, from the settings and never from a request."""
        return self.origin + path
