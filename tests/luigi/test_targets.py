"""Luigi's targets, formats and mock files over the house's."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import levada as lv
import levada.luigi as luigi
from levada.errors import TargetExists
from levada.luigi import format as formats
from levada.luigi.local_target import LocalFileSystem, LocalTarget, atomic_file
from levada.luigi.mock import MockFileSystem, MockTarget
from levada.luigi.target import FileAlreadyExists, FileSystem, FileSystemTarget, MissingParentDirectory, NotADirectory


def test_a_local_target_is_the_houses_and_replaces_what_is_there(in_tmp: Path) -> None:
    assert luigi.LocalTarget is LocalTarget
    target = LocalTarget("a/b.txt")
    assert isinstance(target, lv.LocalTarget)
    assert isinstance(target, FileSystemTarget)
    for text in ("one", "two"):
        with target.open("w") as out:
            out.write(text)
            assert Path(out.tmp_path).parent == Path("a")
        assert not Path(out.tmp_path).exists()
    assert target.read_text() == "two"


def test_the_format_says_what_flows_and_not_the_mode(in_tmp: Path) -> None:
    with LocalTarget("a").open("wb") as out:
        out.write("text")
    with LocalTarget("a", format=formats.Nop).open("rt") as stream:
        assert stream.read() == b"text"
    with pytest.raises(ValueError, match="a\\+"):
        LocalTarget("a").open("a+")


def test_a_folder_can_be_removed_as_a_target(in_tmp: Path) -> None:
    Path("folder/deep").mkdir(parents=True)
    LocalTarget("folder").remove()
    assert not Path("folder").exists()


def test_file_systems_raise_what_old_programs_catch(in_tmp: Path) -> None:
    files = LocalFileSystem()
    Path("a").touch()
    Path("b").touch()
    assert FileAlreadyExists is TargetExists
    with pytest.raises(FileAlreadyExists):
        files.rename_dont_move("a", "b")
    with pytest.raises(MissingParentDirectory):
        files.mkdir("x/y", parents=False)
    with pytest.raises(NotADirectory):
        files.mkdir("a")
    files.mkdir("x/y")
    with pytest.raises(FileAlreadyExists):
        files.mkdir("x/y", raise_if_exists=True)
    files.copy("a", "x/y/c")
    assert list(files.listdir("x")) == ["x/y/c"]
    assert isinstance(FileAlreadyExists(), luigi.target.FileSystemException)


def test_a_file_system_of_a_programs_own_moves_a_temporary_path_into_place() -> None:
    done: list[tuple[Any, ...]] = []

    class Files(FileSystem):
        def exists(self, path: str) -> bool:
            return any(path == other for _, *paths in done for other in paths[1:])

        def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> None: ...

        def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
            done.append(("mkdir", path))

        def move(self, path: str, dest: str) -> None:
            done.append(("move", path, dest))

    class Far(FileSystemTarget):
        fs = Files()

        def open(self, mode: str = "r") -> Any:
            raise NotImplementedError

    with Far("/data/day/").temporary_path() as path:
        assert path.startswith("/data/day-luigi-tmp-")
        assert path.endswith("/")
    assert done == [("mkdir", "/data"), ("move", path, "/data/day/")]
    assert Far("/data/day/").exists()
    with pytest.raises(FileAlreadyExists), Far("/data/day/").temporary_path():
        pass
    with pytest.raises(ZeroDivisionError), Far("/data/other").temporary_path():
        raise ZeroDivisionError
    assert len(done) == 4  # two more folders, and nothing was moved


def test_an_atomic_file_is_there_when_it_is_closed_and_leaves_nothing_otherwise(in_tmp: Path) -> None:
    with atomic_file("a") as out:
        out.write(b"x")
        assert not Path("a").exists()
        assert Path(out.tmp_path).exists()
    assert os.listdir() == ["a"]
    forgotten = atomic_file("b")
    with pytest.warns(ResourceWarning):
        del forgotten
    assert os.listdir() == ["a"]


def test_streams_may_go_through_programs(in_tmp: Path) -> None:
    class Reversed(formats.Format):
        def pipe_reader(self, input_pipe: Any) -> Any:
            return formats.InputPipeProcessWrapper(["rev"], input_pipe)

        def pipe_writer(self, output_pipe: Any) -> Any:
            return formats.OutputPipeProcessWrapper(["rev"], output_pipe)

    for layout, stored in ((Reversed(), Path.read_bytes), (Reversed() >> formats.Gzip, lambda path: gzip.decompress(path.read_bytes()))):
        target = LocalTarget("a", format=layout)
        with target.open("w") as out:
            out.write(b"abc\n")
        assert stored(Path("a")) == b"cba\n"
        with target.open("r") as stream:
            assert list(stream) == [b"abc\n"]


def test_a_program_that_fails_leaves_no_file(in_tmp: Path) -> None:
    class Failing(formats.Format):
        def pipe_writer(self, output_pipe: Any) -> Any:
            return formats.OutputPipeProcessWrapper(["false"], output_pipe)

        def pipe_reader(self, input_pipe: Any) -> Any:
            return formats.InputPipeProcessWrapper(["false"], input_pipe)

    with pytest.raises(RuntimeError, match="exit status 1"), LocalTarget("a", format=Failing()).open("w"):
        pass
    assert os.listdir() == []
    Path("a").write_text("x")
    with pytest.raises(RuntimeError, match="exit status 1"), LocalTarget("a", format=Failing()).open("r") as stream:
        stream.read()


def test_line_ends_are_translated_and_text_among_bytes_is_encoded() -> None:
    stored = io.BytesIO()
    formats.NewlineFormat("\r\n").pipe_writer(stored).write(b"a\rb\nc\r\nd")
    assert stored.getvalue() == b"a\r\nb\r\nc\r\nd"
    assert formats.SysNewLine.pipe_reader(io.BytesIO(b"a\r\nb")).read() == b"a\nb"
    stored = io.BytesIO()
    formats.MixedUnicodeBytesFormat(encoding="utf-8").pipe_writer(stored).writelines(["é", b"x"])
    assert stored.getvalue() == "éx".encode()


def test_mock_files_are_seen_by_children_and_are_whole_or_absent() -> None:
    files = MockFileSystem()
    files.clear()

    def write() -> None:
        with MockTarget("/day/a").open("w") as out:
            out.write("from a child")

    child = multiprocessing.get_context("fork").Process(target=write)
    child.start()
    child.join()
    assert MockTarget("/day/a").open().read() == "from a child"
    assert files.get_data("/day/a") == b"from a child"

    with pytest.raises(ZeroDivisionError), MockTarget("/day/b").open("w") as out:
        out.write("half")
        raise ZeroDivisionError
    assert files.listdir("/day") == ["/day/a"]
    files.move("/day/a", "/days")
    files.remove("/day")
    assert list(files.get_all_data().items()) == [("/days", b"from a child")]
    with pytest.raises(FileAlreadyExists):
        files.copy("/days", "/days", raise_if_exists=True)
    files.clear()


def test_mock_files_can_show_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with MockTarget("shown", mirror_on_stderr=True).open("w") as out:
        out.write("one\ntwo\n")
    assert capsys.readouterr().err == "shown: one\nshown: two\n"
    MockTarget("shown").remove()


def test_mock_files_of_a_killed_process_go_when_the_next_one_makes_some() -> None:
    """And those of a process that lives stay."""
    code = (
        "import os, sys; from levada.luigi.mock import MockTarget\n"
        "with MockTarget('a').open('w') as out: out.write('x')\n"
        "print(os.environ['LEVADA_MOCK_FILES'], flush=True)\n"
        "sys.stdin.read()\n"
        "os._exit(0)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "LEVADA_MOCK_FILES"}
    run = partial(subprocess.Popen, [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    folders: list[str] = []
    with run() as first:
        folders.append(first.stdout.readline().strip())
        with run() as second:
            folders.append(second.stdout.readline().strip())
            assert list(map(os.path.isdir, folders)) == [True, True]
            second.communicate()
        first.communicate()
    with run() as third:
        folders.append(third.stdout.readline().strip())
        assert list(map(os.path.isdir, folders)) == [False, False, True]
        third.communicate()
