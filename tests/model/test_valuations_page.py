"""The page on valuations runs, and says what comes out."""

import ast
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "valuations.md"


def test_the_page_runs_and_its_comments_are_true() -> None:
    names: dict[str, object] = {}
    compared = 0
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        lines = block.splitlines()
        for node in ast.parse(block).body:
            source = ast.get_source_segment(block, node) or ""
            if not isinstance(node, ast.Expr) or source.startswith("print"):
                exec(source, names)
                continue
            told = repr(eval(source, names))
            comment = lines[(node.end_lineno or 1) - 1].partition("# ")[2]
            if comment[:1] in "(f1T" and comment[:4] not in ("the ", "all "):
                assert comment.startswith(told), (source, told)
                compared += 1
    assert compared >= 5
