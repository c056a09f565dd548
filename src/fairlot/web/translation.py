"""The words of the pages in the visitor's language: gettext catalogues read at start.

English is what stands in templates and code; every other language is a catalogue
``locale/LANGUAGE/LC_MESSAGES/fairlot.po``. Which one a visitor gets: what she chose last (``?language=``,
kept in a cookie), else what her browser asks for first among those there are, else English.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from typing import Any

from babel import Locale
from babel.dates import format_datetime
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_scientific
from litestar import Request

SOURCE = "en"
"""The language in which templates and code are written."""
COOKIE = "language"
DOMAIN = "fairlot"
_TINY = 1e-4


@dataclass(frozen=True, eq=False)
class Words:
    """One language: its messages, numbers and dates.

    Parameters
    ----------
    language : str
        Its code, as in ``lang=``.
    catalogue : gettext.NullTranslations
        Its messages.

    Examples
    --------
    >>> words_in("de").gettext("Save")
    'Speichern'
    >>> words_in("de").number(1234.5), words_in("en").number(1234.5)
    ('1.234,5', '1,234.5')
    """

    language: str
    catalogue: NullTranslations

    def gettext(self, message: str, /, **parts: Any) -> str:
        """Return the message in this language, with its ``%(name)s`` filled in."""
        text = self.catalogue.gettext(message)
        return text % parts if parts else text

    def ngettext(self, one: str, many: str, number: int, /, **parts: Any) -> str:
        """Return the message for a number of things, with ``%(num)s`` and other parts filled in."""
        return self.catalogue.ngettext(one, many, number) % {"num": self.number(number), **parts}

    def number(self, value: float, digits: int = 2) -> str:
        """Write a number as people who speak this language do; two digits that count where it is tiny."""
        if value == 0 or abs(value) >= 0.5 * 10.0**-digits:
            rounded = round(float(value), digits)
            return str(format_decimal(rounded + 0.0, f"#,##0.{'#' * digits}", locale=self.locale))
        if abs(value) < _TINY:
            return str(format_scientific(value, "0.#E0", locale=self.locale))
        return str(format_decimal(value, "@@", locale=self.locale))

    def percent(self, value: float) -> str:
        """Write a probability; never 0 or 100 per cent where it is neither."""
        shown = self.number(100 * value, 0)
        if 0 < value < 0.005:
            shown = f"< {self.number(0.5, 1)}"
        elif 0.995 < value < 1:
            shown = f"> {self.number(99.5, 1)}"
        return f"{shown} %"

    def date(self, moment: datetime.datetime) -> str:
        """Write a moment with its time zone."""
        shown = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return str(format_datetime(shown, "d MMMM y, HH:mm z", tzinfo=shown.tzinfo, locale=self.locale))

    def listed(self, parts: Sequence[str]) -> str:
        """List parts in a sentence."""
        return str(format_list(list(parts), locale=self.locale))

    @property
    def locale(self) -> Locale:
        """Return what Babel calls it."""
        return Locale.parse(self.language)

    @property
    def direction(self) -> str:
        """Return ``ltr`` or ``rtl``, as in ``dir=``."""
        return str(self.locale.text_direction)

    @property
    def own_name(self) -> str:
        """Return what those who speak it call it."""
        return str(self.locale.get_display_name(self.language)).capitalize()


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """List the languages there are, English first."""
    folders = (files("fairlot.web") / "locale").iterdir()
    found = sorted(one.name for one in folders if (one / "LC_MESSAGES" / f"{DOMAIN}.po").is_file())
    return (SOURCE, *found)


@lru_cache
def words_in(language: str) -> Words:
    """Read a language.

    Parameters
    ----------
    language : str
        One of :func:`languages`.
    """
    if language == SOURCE:
        return Words(language, NullTranslations())
    source = files("fairlot.web") / "locale" / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(source.read_bytes()), locale=language))
    compiled.seek(0)
    return Words(language, GNUTranslations(compiled))


def words(request: Request[Any, Any, Any]) -> Words:
    """Return the visitor's language."""
    return words_in(
        choose(asked(request), request.cookies.get(COOKIE), request.headers.get("accept-language", ""))
    )


def asked(request: Request[Any, Any, Any]) -> str | None:
    """Return the language that the visitor asks for by ``?language=``, if there is such a one."""
    wanted = request.query_params.get("language")
    return wanted if wanted in languages() else None


def choose(wanted: str | None, kept: str | None, accepted: str) -> str:
    """Choose among the languages there are.

    Parameters
    ----------
    wanted, kept : str or None
        What was chosen now, and before.
    accepted : str
        The header ``Accept-Language``.

    Examples
    --------
    >>> choose(None, None, "fr-CH, de-AT;q=0.8, en;q=0.5"), choose("en", "de", "de"), choose(None, "xx", "*")
    ('de', 'en', 'en')
    """
    for chosen in (wanted, kept):
        if chosen in languages():
            return chosen
    ranked = []
    for place, entry in enumerate(accepted.split(",")[:20]):
        tag, _, quality = entry.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if weight > 0:
            ranked.append((-weight, place, tag.strip().lower().split("-")[0]))
    for _, _, language in sorted(ranked):
        if language in languages():
            return language
    return SOURCE
