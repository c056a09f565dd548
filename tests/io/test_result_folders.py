"""Result folders are complete or absent, sealed, and never replaced by accident."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairlot.io import folders
from fairlot.io.results import (
    MANIFEST,
    ResultFolderError,
    add_to_result,
    manifest_faults,
    read_result,
    write_result,
)

FILES = {"summary.json": b"{}\n", "input/goods.csv": b"good\n", "draws/001/a.csv": b"\xff\x00"}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_result(tmp_path / "r", FILES)
    found = read_result(tmp_path / "r")
    assert {name: data for name, data in found.items() if name != MANIFEST} == FILES
    assert json.loads(found[MANIFEST]).keys() == {"format", "files"}
    assert manifest_faults(found) == []
    assert os.listdir(tmp_path) == ["r"]


def test_same_files_same_bytes(tmp_path: Path) -> None:
    write_result(tmp_path / "a", FILES)
    write_result(tmp_path / "b", dict(reversed(FILES.items())))
    assert read_result(tmp_path / "a") == read_result(tmp_path / "b")


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    write_result(tmp_path / "r", FILES)
    with pytest.raises(ResultFolderError, match="exists already"):
        write_result(tmp_path / "r", {})
    assert len(read_result(tmp_path / "r")) == len(FILES) + 1


def test_force_replaces_results_and_nothing_else(tmp_path: Path) -> None:
    write_result(tmp_path / "r", FILES)
    write_result(tmp_path / "r", {"new.txt": b"new"}, force=True)
    assert read_result(tmp_path / "r").keys() == {"new.txt", MANIFEST}
    assert os.listdir(tmp_path) == ["r"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "r")
    for name in ("thesis", "file", "link"):
        with pytest.raises(ResultFolderError, match="is no result folder"):
            write_result(tmp_path / name, FILES, force=True)


@pytest.mark.parametrize("exchange", [True, False])
def test_replacing_without_an_exchange(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        monkeypatch.setattr(folders.sys, "platform", "another")
    write_result(tmp_path / "r", FILES)
    write_result(tmp_path / "r", {"new.txt": b"new"}, force=True)
    assert read_result(tmp_path / "r").keys() == {"new.txt", MANIFEST}
    assert os.listdir(tmp_path) == ["r"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_result(tmp_path / "r", {"a": b"", "b": "text"})  # type: ignore[dict-item]
    assert os.listdir(tmp_path) == []


def test_no_parent_no_result(tmp_path: Path) -> None:
    with pytest.raises(ResultFolderError, match="no such folder to write 'r' in"):
        write_result(tmp_path / "x" / "r", FILES)
    with pytest.raises(ResultFolderError, match="no result folder"):
        read_result(tmp_path)


def test_adding_and_removing(tmp_path: Path) -> None:
    write_result(tmp_path / "r", FILES)
    add_to_result(tmp_path / "r", {"summary.json": b"[]\n", "z": b"z"}, remove=["draws/001/a.csv"])
    found = read_result(tmp_path / "r")
    assert found.keys() == {"summary.json", "input/goods.csv", "z", MANIFEST}
    assert manifest_faults(found) == []
    assert not (tmp_path / "r" / "draws").exists()


def test_a_change_worked_out_from_an_older_state_is_refused(tmp_path: Path) -> None:
    write_result(tmp_path / "r", FILES)
    since = read_result(tmp_path / "r")
    add_to_result(tmp_path / "r", {"a": b"first"}, since=since)
    with pytest.raises(ResultFolderError, match="another command has changed it meanwhile"):
        add_to_result(tmp_path / "r", {"a": b"second"}, since=since)
    assert read_result(tmp_path / "r")["a"] == b"first"


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda r: (r / "input" / "goods.csv").write_bytes(b"evil\n"), "input/goods.csv has changed"),
        (lambda r: (r / "summary.json").unlink(), "summary.json is missing"),
        (lambda r: (r / "extra").write_bytes(b""), "extra is not in manifest.json"),
        (lambda r: (r / MANIFEST).write_bytes(b"[]"), "manifest.json cannot be read"),
        (lambda r: (r / MANIFEST).write_bytes(b'{"files": 3}'), "manifest.json cannot be read"),
    ],
)
def test_a_change_by_hand_shows_and_gets_no_fresh_seal(tmp_path: Path, damage: object, fault: str) -> None:
    write_result(tmp_path / "r", FILES)
    damage(tmp_path / "r")  # type: ignore[operator]
    (found,) = manifest_faults(read_result(tmp_path / "r"))
    assert found.startswith(fault)
    with pytest.raises(ResultFolderError, match=fault):
        add_to_result(tmp_path / "r", {"z": b""})


def test_litter_of_desktops_is_passed_over(tmp_path: Path) -> None:
    write_result(tmp_path / "r", FILES)
    (tmp_path / "r" / ".DS_Store").write_bytes(b"litter")
    (tmp_path / "r" / "input" / "~$goods.xlsx").write_bytes(b"litter")
    assert manifest_faults(read_result(tmp_path / "r")) == []


WRITER = """
import sys
from fairlot.io.results import write_result
print("ready", flush=True)
for k in range(10**6):
    files = {f"part{i:03}.txt": f"{k}".encode() * 2000 for i in range(30)}
    write_result(sys.argv[1], files, force=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 on this system")
def test_kill_9_leaves_a_complete_folder_or_none(tmp_path: Path) -> None:
    """Sixteen writers, killed at odd moments, the first few before the first folder is there."""
    target = tmp_path / "r"
    seen = set()
    for k in range(16):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.0015 * k * k)
            writer.kill()
        seen.add(target.exists())
        if target.exists():
            found = read_result(target)
            assert len(found) == 31
            assert manifest_faults(found) == []
            assert len({data for name, data in found.items() if name != MANIFEST}) == 1
        if k < 5 and target.exists():
            shutil.rmtree(target)
    assert True in seen
