"""The HTML page as text: what is in it, and that nothing of the application gets out of its data. No browser."""

import builtins
import io
import json
import os
import re
import sys
from dataclasses import replace
from typing import Any

import pytest
from big_snapshots import HOSTILE, VERDICT, big_snapshot, hostile_snapshot

from manhole._snapshot import _html
from manhole._snapshot._html import format_html
from manhole._snapshot._model import Frame, Snapshot

# Where the data is, as a browser sees it: up to the first thing that ends a script element.
DATA = re.compile(r'<script type="application/json" id="snapshot">(.*?)</script', re.DOTALL | re.IGNORECASE)


def page_of(snapshot: Snapshot) -> str:
    return "".join(format_html(snapshot, VERDICT))


def data_of(page: str) -> dict[str, Any]:
    (found,) = DATA.findall(page)
    return json.loads(found)


def test_the_data_is_all_there():
    snapshot = big_snapshot(1_000, stacks=30)
    data = data_of(page_of(snapshot))
    assert data["verdict"] == list(VERDICT)
    assert data["process"]["pid"] == snapshot.process.pid
    assert data["deadlocks"] == [list(ring.units) for ring in snapshot.deadlocks]
    strings = data["strings"]
    rows = {(row[0], strings[row[1]]): row for row in data["units"]}
    units = list(snapshot.units)
    assert len(rows) == len(units)
    for unit in units:
        row = rows[unit.ident, unit.kind]
        assert (strings[row[2]], strings[row[3]], strings[row[4]]) == (unit.type, unit.name, unit.state)
        assert tuple(row[5:9]) == (unit.thread, unit.hub, unit.parent, unit.spawner)
        for number, stack in ((row[9], unit.spawning_stack), (row[11], unit.frames)):
            frames = [data["frames"][each] for each in data["stacks"][number]]
            assert [(strings[file], line, strings[function]) for file, line, function, _ in frames] == [
                (frame.file, frame.line, frame.function) for frame in stack
            ]
        if unit.wait is None:
            assert row[12] is None
        else:
            assert strings[row[12][0]] == unit.wait.kind
            assert row[12][2:5] == [unit.wait.ident, list(unit.wait.owners), unit.wait.descriptor]


def test_equal_strings_frames_and_stacks_are_there_once():
    snapshot = big_snapshot(1_000, stacks=30)
    # Equal and not the same: no page depends on how the snapshot was made.
    apart = [replace(unit, frames=tuple([replace(frame) for frame in unit.frames])) for unit in snapshot.greenlets]
    data = data_of(page_of(replace(snapshot, greenlets=tuple(apart))))
    assert len(set(data["strings"])) == len(data["strings"])
    for table in (data["frames"], data["stacks"]):
        assert len(set(map(tuple, table))) == len(table)


def test_the_lines_of_the_source_are_there():
    snapshot = big_snapshot(1, stacks=1)
    (thread, _) = snapshot.threads
    here = replace(thread, frames=(Frame(_html.__file__, 1, "here"),))
    data = data_of(page_of(replace(snapshot, threads=(here,))))
    with open(_html.__file__) as file:
        assert file.readline().strip() in data["strings"]


def test_no_hostile_name_ends_the_data_and_all_come_back_unchanged():
    page = page_of(hostile_snapshot())
    (data,) = DATA.findall(page)
    assert not set("<>&") & set(data)
    strings = json.loads(data)["strings"]
    assert set(HOSTILE.values()) <= set(strings)


def test_names_change_nothing_around_the_data():
    """But for the nonce, a page of hostile names is the page of harmless ones."""
    outside = [
        re.sub("[0-9a-f]{32}", "", DATA.sub("", page_of(snapshot)))
        for snapshot in (hostile_snapshot(), big_snapshot(10, stacks=2))
    ]
    assert outside[0] == outside[1]
    assert "{{" not in outside[0]


@pytest.mark.parametrize("make_snapshot", [big_snapshot, hostile_snapshot])
def test_the_page_is_ascii(make_snapshot):
    assert page_of(make_snapshot()).isascii()


def test_the_page_refers_to_nothing_but_itself():
    outside = DATA.sub("", page_of(big_snapshot(10, stacks=2)))
    for reference in (
        r"\bsrc\s*=",
        r"\bhref\s*=",
        r"url\(",
        r"@import",
        r"\bfetch\b",
        "https?:",
        "//[a-z]+[.]",
        "<link",
    ):
        assert not re.search(reference, outside), reference


def test_the_scripts_write_no_markup():
    outside = DATA.sub("", page_of(big_snapshot(10, stacks=2)))
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "Function("):
        assert way not in outside, way


def test_only_what_has_this_pages_nonce_may_run():
    first, second = (page_of(big_snapshot(1, stacks=1)) for _ in range(2))
    nonces = []
    for page in (first, second):
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
        nonce = re.fullmatch(
            r"default-src 'none'; style-src 'nonce-([0-9a-f]{32})'; script-src 'nonce-\1'; "
            r"base-uri 'none'; form-action 'none'",
            policy,
        )
        assert nonce
        nonces.append(nonce[1])
    assert nonces[0] != nonces[1]


def test_10_000_greenlets_fit_into_2_megabytes_and_come_in_small_pieces():
    pieces = list(format_html(big_snapshot(10_000), VERDICT))
    assert sum(map(len, pieces)) < 2_000_000
    assert max(map(len, pieces)) < 100_000


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy's posix.urandom calls that of os")
def test_no_patched_function_is_called(monkeypatch):
    def patched(*_arguments: object, **_more: object) -> None:
        raise AssertionError("called")

    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "read"), (os, "urandom")):
        monkeypatch.setattr(module, name, patched)
    pieces = list(format_html(big_snapshot(10, stacks=2), VERDICT))
    monkeypatch.undo()
    assert pieces[-1].rstrip().endswith("</html>")


def test_files_that_cannot_be_read_are_told_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(_html, "_FOLDER", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        next(format_html(big_snapshot(1, stacks=1), VERDICT))
