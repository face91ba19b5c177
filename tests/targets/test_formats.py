"""What is written in a format is read back, and the same content gives the same bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada.errors import TargetError
from levada.targets import LocalTarget, MemoryStore, MemoryTarget, formats
from levada.targets.formats import Bzip2, Format, Gzip, Nop, Text, TextFormat, Xz

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]))
LAYOUTS = [Text, Text >> Gzip, Text >> Bzip2, Text >> Xz, TextFormat("utf-16") >> Gzip >> Xz, Nop, Gzip]


@pytest.mark.parametrize("layout", LAYOUTS, ids=repr)
@given(text=TEXTS)
def test_text_comes_back_as_it_was(layout: Format, text: str) -> None:
    target = MemoryTarget("a", store=MemoryStore(), format=layout)
    target.write_text(text)
    assert target.read_text() == text
    assert b"".join(_pieces(target)) == text.encode(layout.encoding or "utf-8")


def _pieces(target: MemoryTarget) -> list[bytes]:
    with target.open("rb") as stream:
        return list(iter(lambda: stream.read(7), b""))


@given(text=TEXTS)
def test_what_a_text_stream_writes_a_text_stream_reads(text: str) -> None:
    target = MemoryTarget("a", store=MemoryStore(), format=Text >> Gzip)
    with target.open("w") as out:
        out.write(text)
    with target.open("r") as back:
        assert back.read() == text.replace("\r\n", "\n").replace("\r", "\n")  # as open() reads


def test_other_programs_read_what_we_compress(tmp_path: Path) -> None:
    for layout, module in ((Text >> Gzip, gzip), (Text >> Bzip2, bz2), (Text >> Xz, lzma)):
        target = LocalTarget(tmp_path / repr(layout), layout)
        target.write_text("eins\nzwei\n" * 10_000)
        with module.open(target.path, "rt") as stream:
            assert stream.read() == "eins\nzwei\n" * 10_000


def test_a_gzip_file_carries_neither_time_nor_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = LocalTarget(tmp_path / "one", Gzip), LocalTarget(tmp_path / "two", Gzip)
    one.write_bytes(b"same")
    monkeypatch.setattr(time, "time", lambda: 1e9)
    two.write_bytes(b"same")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_letter_of_the_mode_decides_before_the_format() -> None:
    target = MemoryTarget("a", store=MemoryStore(), format=Gzip)
    with target.open("wt") as out:
        out.write("ä")
    with target.open("rt") as text, target.open("rb") as raw, target.open("r") as plain:
        assert (text.read(), raw.read(), plain.read()) == ("ä", "ä".encode(), "ä".encode())


def test_text_is_not_translated_in_writing() -> None:
    target = MemoryTarget("a", store=MemoryStore())
    with target.open("w") as out:
        out.write("a\r\nb\n")
    assert target.read_bytes() == b"a\r\nb\n"
    windows = MemoryTarget("b", store=MemoryStore(), format=TextFormat(newline="\r\n"))
    with windows.open("w") as out:
        out.write("a\nb\n")
    assert windows.read_bytes() == b"a\r\nb\r\n"


def test_text_that_the_encoding_lacks_leaves_nothing(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a", TextFormat("latin-1"))
    with pytest.raises(UnicodeEncodeError), target.open("w") as out:
        out.write("日本")
    assert list(tmp_path.iterdir()) == []


def test_formats_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(TargetError, match="text must come first"):
        Gzip >> Text
    assert Text >> Gzip == TextFormat() >> Gzip
    assert Text >> Gzip != Text >> Xz


def test_missing_zstd_names_the_extra_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    target = LocalTarget(tmp_path / "a", Text >> formats.Zstd)
    with pytest.raises(TargetError, match=r"levada\[zstd\]"):
        target.write_text("x")
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(TargetError, match=r"levada\[zstd\]"):
        LocalTarget(tmp_path / "b", Text >> formats.Zstd).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_zstd_round_trip_where_it_is_there(tmp_path: Path) -> None:
    if sys.version_info < (3, 14):
        pytest.importorskip("backports.zstd", reason="by design: zstd is an extra before Python 3.14")
    target = LocalTarget(tmp_path / "a", Text >> formats.Zstd)
    target.write_text("ä" * 1000)
    assert target.read_text() == "ä" * 1000


class Upper(Format):
    """What is written is kept in capitals, and read in small letters."""

    def pipe_writer(self, output_pipe: Any) -> Any:
        class Writer:
            def write(self, content: bytes) -> None:
                output_pipe.write(content.upper())

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *error: object) -> Any:
                return output_pipe.__exit__(*error)

        return Writer()

    def pipe_reader(self, input_pipe: Any) -> Any:
        with input_pipe:
            return io.BytesIO(input_pipe.read().lower())


def test_a_format_of_ones_own_wraps_the_stream_and_may_stand_in_a_chain(tmp_path: Path) -> None:
    for layout in (Upper(), Upper() >> Gzip):
        target = LocalTarget(tmp_path / repr(layout), format=layout)
        with target.open("w") as out:
            out.write(b"hello")
        stored = Path(target.path).read_bytes()
        assert (gzip.decompress(stored) if "Gzip" in repr(layout) else stored) == b"HELLO"
        with target.open("r") as stream:
            assert stream.read() == b"hello"


def test_a_block_that_fails_leaves_nothing_of_a_format_of_ones_own(tmp_path: Path) -> None:
    for layout in (Upper(), Upper() >> Gzip):
        target = LocalTarget(tmp_path / "a", format=layout)
        with pytest.raises(ZeroDivisionError), target.open("w") as out:
            out.write(b"hello")
            raise ZeroDivisionError
        assert list(tmp_path.iterdir()) == []


def test_a_stream_through_codecs_has_no_number_that_a_program_could_pass_them_by_with(tmp_path: Path) -> None:
    plain, packed = LocalTarget(tmp_path / "a", format=Nop), LocalTarget(tmp_path / "b", format=Gzip)
    with plain.open("w") as out:
        assert out.fileno() > 2
    with packed.open("w") as out, pytest.raises(io.UnsupportedOperation):
        out.fileno()
    with packed.open("r") as stream, pytest.raises(io.UnsupportedOperation):
        stream.fileno()
