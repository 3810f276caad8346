"""Source lines in other encodings than UTF-8, of which none is imported for a dump."""

import sys
from pathlib import Path

import pytest

from manhole._snapshot._source import SourceLines


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"# coding: latin-1\nu = '\xfc'\n", "u = 'ü'"),
        (b"#!/usr/bin/python\n# -*- coding: iso-8859-1 -*-\nu = '\xfc'\n", "u = 'ü'"),
        (b"# coding: utf-8\nu = '\xc3\xbc'\n", "u = 'ü'"),
        (b"\xef\xbb\xbfu = '\xc3\xbc'\n", "u = 'ü'"),
        (b"u = '\xc3\xbc'\n# coding: latin-1\n", "u = 'ü'"),
        (b"# coding: nonsense\nu = '\xfc'\n", "u = '\ufffd'"),
        (b"# coding: aliases\nu = 1\n", ""),  # a module among the codecs, and none of them
    ],
)
def test_encodings(tmp_path: Path, source: bytes, line: str) -> None:
    (tmp_path / "source.py").write_bytes(source)
    number = 1 + next(at for at, text in enumerate(source.split(b"\n")) if b"u = " in text)
    assert SourceLines().line(str(tmp_path / "source.py"), number) == line


def test_a_codec_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_bytes(b"# coding: cp1006\nu = '\xfc'\n")
    assert SourceLines().line(str(tmp_path / "source.py"), 2) == "u = '\ufffd'"
    assert "encodings.cp1006" not in sys.modules
