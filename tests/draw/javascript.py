"""The JavaScript twin, asked from Python; tests that need it skip where there is no node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import fairlot.verify

TWIN = Path(fairlot.verify.__file__).parent / "static" / "draw.js"
RUNNER = Path(__file__).parent / "twin_runner.js"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed: the JavaScript twin is not run")


def ask(requests: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Return the twin's answers to [what, request] pairs; bytes go as hexadecimal."""
    done = subprocess.run(
        [str(NODE), str(RUNNER), str(TWIN)],
        input=json.dumps(requests).encode(),
        capture_output=True,
        check=True,
        timeout=120,
    )
    answers: list[Any] = json.loads(done.stdout)
    return answers
