"""Writes ``command-reference.md`` from the command line itself: run it after changing a verb or an option.

A test compares the page with what this makes, so that the page cannot fall behind.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from typer.models import ArgumentInfo, OptionInfo

from fairlot.cli import app

PAGE = Path(__file__).with_name("command-reference.md")
_HEAD = """\
# Command reference

Every verb, argument and option; [commands](commands.md) says what they are for. This page is made from the
command line itself by `python docs/command_reference.py`.

"""
_KINDS = {str: "TEXT", int: "N", float: "NUMBER", Path: "PATH"}


def reference() -> str:
    """Return the page."""
    return _HEAD + "\n".join(
        _section(command.name or command.callback.__name__, command.callback)
        for command in app.registered_commands
        if command.callback is not None
    )


def _section(verb: str, callback: Callable[..., Any]) -> str:
    parameters = inspect.signature(callback, eval_str=True).parameters.values()
    described = [(_info(parameter), parameter) for parameter in parameters]
    arguments = [info.metavar or p.name.upper() for info, p in described if isinstance(info, ArgumentInfo)]
    usage = " ".join(["fairlot", verb, *arguments, "[OPTIONS]"])
    rows = ["| | takes | default | |", "|---|---|---|---|", *(_row(info, p) for info, p in described)]
    said = inspect.getdoc(callback) or ""
    return "\n".join([f"## fairlot {verb}", "", f"`{usage}`", "", said, "", *rows, ""])


def _info(parameter: inspect.Parameter) -> Any:
    return next(
        entry for entry in get_args(parameter.annotation) if isinstance(entry, ArgumentInfo | OptionInfo)
    )


def _row(info: Any, parameter: inspect.Parameter) -> str:
    kind, several = _type(get_args(parameter.annotation)[0])
    default = parameter.default
    if isinstance(info, ArgumentInfo):
        name = (info.metavar or parameter.name.upper()).strip("[]")
        name = f"`{parameter.name.upper() if '|' in name else name}`"
    else:
        declared = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
        name = ", ".join(f"`{text}`" for text in declared) or f"`--{parameter.name.replace('_', '-')}`"
    takes = "" if kind is bool else _takes(info, kind) + (", may be repeated" if several else "")
    if default is inspect.Parameter.empty:
        shown = "required"
    elif default is None or default is False or default == "":
        shown = ""
    else:
        shown = f"`{default.value if isinstance(default, Enum) else default}`"
    return f"| {name} | {takes} | {shown} | {_escaped(' '.join((info.help or '').split()))} |"


def _type(annotation: Any) -> tuple[Any, bool]:
    """Take optional and list apart: the type of one value, and whether there may be several."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is list:
        return get_args(annotation)[0], True
    return annotation, False


def _takes(info: Any, kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _escaped(" or ".join(f"`{member.value}`" for member in kind))
    word = f"`{info.metavar}`" if info.metavar else _KINDS.get(kind, "TEXT")
    sides = (("at least", info.min), ("at most", info.max))
    return _escaped(", ".join([word, *(f"{side} {bound:g}" for side, bound in sides if bound is not None)]))


def _escaped(text: str) -> str:
    """Escape what Markdown would read as something else within a table."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
