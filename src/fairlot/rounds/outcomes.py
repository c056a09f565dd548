"""What came out: for an agent, for an organiser who answers a complaint, for the public."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlot.rounds.records import AgentOutcome, PublicRound
from fairlot.store import Area, Store


def outcome(store: Store, round_id: str, agent: str) -> AgentOutcome:
    """Return what an agent got and why; before publication for organisers alone."""
    raise NotImplementedError


def summary(store: Store, round_id: str) -> Mapping[str, Any]:
    """Return ``summary.json`` of the result, or of the design where there is no result yet."""
    raise NotImplementedError


def result(store: Store, round_id: str, area: Area = Area.RESULT) -> Mapping[str, bytes]:
    """Return the files of the result folder (or the design), byte for byte."""
    raise NotImplementedError


def report_page(store: Store, round_id: str, *, private: bool = False) -> str:
    """Return the report, one HTML page; made anew unless a job made it."""
    raise NotImplementedError


def public_page(store: Store, round_id: str) -> PublicRound:
    """Return what outsiders see."""
    raise NotImplementedError


def enrolment_list(store: Store, round_id: str, format_: str, *, school: str = "") -> bytes:
    """Return who got what as ``csv``, ``xlsx``, ``canvas`` or ``oneroster``."""
    raise NotImplementedError
