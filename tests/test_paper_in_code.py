"""The page that shows the paper in code runs, and says what comes out."""

from __future__ import annotations

import doctest
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_paper_in_code_runs() -> None:
    text = (DOCS / "paper-in-code.md").read_text(encoding="utf-8")
    example = doctest.DocTestParser().get_doctest(text, {}, "paper-in-code.md", "paper-in-code.md", 0)
    told: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(example, out=told.append)
    assert runner.failures == 0, "".join(told)
    assert runner.tries > 20
