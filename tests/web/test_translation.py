"""Every message has a translation, with the same parts; languages are chosen as visitors ask."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from fairlot.rounds import JobState, Kind, Role, RoundState
from fairlot.web.told import NAMES
from fairlot.web.translation import choose, languages, words_in

METHODS = [("**.py", "python"), ("**.jinja", "jinja2")]
OPTIONS = {"**.jinja": {"trimmed": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "counted": (1, 2), "marked": None}
OTHERS = [language for language in languages() if language != "en"]


@cache
def messages() -> frozenset[str | tuple[str, ...]]:
    folder = str(files("fairlot.web"))
    found = extract_from_dir(folder, METHODS, OPTIONS, KEYWORDS)
    return frozenset(message for _, _, message, _, _ in found)


def catalogue(language: str) -> Catalog:
    path = Path(str(files("fairlot.web"))) / "locale" / language / "LC_MESSAGES" / "fairlot.po"
    return read_po(BytesIO(path.read_bytes()), locale=language)


def test_there_is_another_language() -> None:
    assert languages()[0] == "en"
    assert "de" in languages()


@pytest.mark.parametrize("language", OTHERS)
def test_no_message_lacks_a_translation(language: str) -> None:
    found = catalogue(language)
    lacking = []
    for message in messages():
        entry = found.get(message if isinstance(message, str) else message[0])
        texts = () if entry is None else entry.string if isinstance(entry.string, tuple) else (entry.string,)
        if not texts or not all(texts) or (entry is not None and entry.fuzzy):
            lacking.append(message)
    assert lacking == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_left_over(language: str) -> None:
    known = {message if isinstance(message, str) else message[0] for message in messages()}
    stored = [
        entry.id if isinstance(entry.id, str) else entry.id[0] for entry in catalogue(language) if entry.id
    ]
    assert [message for message in stored if message not in known] == []


@pytest.mark.parametrize("language", OTHERS)
def test_translations_have_the_parts_of_their_messages(language: str) -> None:
    for entry in catalogue(language):
        if entry.id:
            ids = entry.id if isinstance(entry.id, tuple) else (entry.id,)
            texts = entry.string if isinstance(entry.string, tuple) else (entry.string,)
            parts = {part for text in ids for part in re.findall(r"%\(\w+\)s", text)}
            for text in texts:
                assert set(re.findall(r"%\(\w+\)s", text)) <= parts, entry.id
            assert parts <= set(re.findall(r"%\(\w+\)s", " ".join(texts))), entry.id


def test_names_made_elsewhere_are_named() -> None:
    for kind in (RoundState, Kind, Role, JobState):
        assert [name.value for name in kind if name.value not in NAMES] == []


@given(st.text(max_size=80))
def test_any_header_gives_a_language(header: str) -> None:
    assert choose(None, None, header) in languages()


def test_numbers_are_written_as_people_do() -> None:
    german, english = words_in("de"), words_in("en")
    assert english.number(1234567.891) == "1,234,567.89"
    assert german.number(1234567.891) == "1.234.567,89"
    small = [english.number(x) for x in (0, -0.0, 3.0, 0.00123, 2.2e-16)]
    assert small == ["0", "0", "3", "0.0012", "2.2E-16"]
    chances = [english.percent(x) for x in (0, 0.001, 0.5, 0.999, 1)]
    assert chances == ["0 %", "< 0.5 %", "50 %", "> 99.5 %", "100 %"]
    assert german.ngettext("%(num)s star", "%(num)s stars", 2) == "2 Sterne"
    assert german.direction == "ltr"
