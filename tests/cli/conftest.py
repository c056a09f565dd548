"""Run the command line in this process, or in one of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlot.cli import app


@dataclass(frozen=True)
class Run:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def fairlot() -> Callable[..., Run]:
    """Run ``fairlot`` with arguments; an unexpected error is raised."""

    def run(*arguments: object) -> Run:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Run(result.exit_code, result.stdout, result.stderr)

    return run
