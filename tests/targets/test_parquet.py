"""Tables in Parquet: whole or absent like every target, and read back as they were, in every store."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from levada.errors import TargetError, TargetExists, TargetWriteError
from levada.targets import FileTarget, LocalTarget, MemoryStore, MemoryTarget, formats, glob
from levada.targets.formats import Format, Parquet, ParquetFormat

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (levada[parquet])")
pq = pytest.importorskip("pyarrow.parquet")

TABLE = pa.table({"shop": ["Ålesund", "日本", None], "cents": [1, 2, 3]})


def test_a_table_comes_back_as_it_was_and_other_programs_read_it(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a.parquet", Parquet)
    with target.open("w") as out:
        out.write(TABLE)
        assert not target.exists()
    with target.open() as rows:
        assert rows.read() == TABLE
        assert rows.read(["cents"]).column_names == ["cents"]
        assert rows.schema == TABLE.schema
        assert rows.rows == 3
    assert pq.read_table(target.path) == TABLE
    assert target.read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
def test_batches_are_written_and_read_one_by_one(compression: str) -> None:
    def made() -> Iterator[object]:
        for start in range(0, 100_000, 10_000):
            yield pa.record_batch({"number": list(range(start, start + 10_000))})

    target = MemoryTarget("a", store=MemoryStore(), format=ParquetFormat(compression))
    with target.open("w") as out:
        out.write(made())
        out.write(pa.record_batch({"number": [-1]}))
    with target.open() as rows:
        assert sum(batch.num_rows for batch in rows) == 100_001
        assert [batch.num_rows for batch in rows.batches(["number"], rows=60_000)] == [60_000, 40_001]


def test_short_forms(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a", Parquet)
    target.write_table(TABLE)
    assert target.read_table() == TABLE
    assert target.read_table(["cents"]).column_names == ["cents"]
    text = LocalTarget(tmp_path / "b")
    for act in (text.read_table, lambda: text.write_table(TABLE)):
        with pytest.raises(TargetError, match="not of tables"):
            act()


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with LocalTarget(tmp_path / name, Parquet).open("w") as out:
            out.write(TABLE)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a", Parquet)
    with pytest.raises(KeyError), target.open("w") as out:
        out.write(TABLE)
        raise KeyError("the user's own")
    with pytest.raises(ValueError, match="schema"), target.open("w") as out:
        out.write(TABLE)
        out.write(pa.table({"other": [1]}))
    with pytest.raises(TypeError, match="got int"), target.open("w") as out:
        out.write(7)
    assert os.listdir(tmp_path) == []


def test_a_writer_that_nobody_closed_commits_nothing(tmp_path: Path) -> None:
    out = LocalTarget(tmp_path / "a", Parquet).open("w")
    out.write(TABLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del out
    assert os.listdir(tmp_path) == []


def test_a_table_is_written_once(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a", Parquet)
    for word in ("first", "second"):
        try:
            with target.open("w") as out:
                out.write(pa.table({"word": [word]}))
        except TargetExists:
            assert word == "second"
    with target.open() as rows:
        assert rows.read().to_pydict() == {"word": ["first"]}


def test_no_rows_are_a_table_and_no_columns_are_none(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a", Parquet)
    with target.open("w") as out:
        out.write(TABLE.slice(0, 0))
    with target.open() as rows:
        assert rows.read() == TABLE.slice(0, 0)
    with pytest.raises(TargetWriteError, match="no columns"), LocalTarget(tmp_path / "b", Parquet).open("w") as out:
        out.write(iter(()))
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("content", [b"", b"id;name\n1;a\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(TargetError, match="no Parquet file"):
        LocalTarget(tmp_path / "a", Parquet).open()
    with pytest.raises(FileNotFoundError):
        LocalTarget(tmp_path / "b", Parquet).open()


def test_without_pyarrow_the_hint_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(TargetError, match=r"levada\[parquet\]"):
        LocalTarget(tmp_path / "a", Parquet).open("w")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("inner", "outer"), [(Parquet, formats.Gzip), (formats.Gzip, Parquet)])
def test_a_table_is_not_compressed_twice(inner: Format, outer: Format) -> None:
    with pytest.raises(TargetError, match="compressed inside"):
        inner >> outer


def test_an_unknown_compression_is_told() -> None:
    with pytest.raises(ValueError, match="got 'rar'"):
        ParquetFormat("rar")
    assert repr(ParquetFormat("zstd")) == "Parquet(zstd)"
    assert ParquetFormat("snappy") == Parquet


def test_tables_are_found_by_a_pattern(in_tmp: Path) -> None:
    for day in (1, 2):
        with FileTarget(f"day={day}/part.parquet", Parquet).open("w") as out:
            out.write(pa.table({"day": [day]}))
    found = [target.open() for target in glob("day=*/*.parquet", Parquet)]
    assert [rows.read().to_pydict() for rows in found] == [{"day": [1]}, {"day": [2]}]
    for rows in found:
        rows.close()


@pytest.mark.parametrize(
    "act",
    [
        lambda target: target.write_text("a"),
        lambda target: target.read_text(),
        lambda target: list(target.lines()),
        lambda target: target.open("wt"),
        lambda target: target.open("rt"),
    ],
)
def test_a_table_is_no_text_and_nothing_is_written(in_tmp: Path, act: Callable[[LocalTarget], object]) -> None:
    with pytest.raises(TargetError, match=r"a.parquet: its format is Parquet, which holds a table and no text\n  Use write_table"):
        act(LocalTarget("a.parquet", Parquet))
    assert os.listdir(in_tmp) == []


def test_the_bytes_of_a_table_can_be_copied(in_tmp: Path) -> None:
    first, second = LocalTarget("a", Parquet), LocalTarget("b", Parquet)
    first.write_table(pa.table({"day": [1]}))
    second.write_bytes(first.read_bytes())
    assert second.read_table().to_pydict() == {"day": [1]}
