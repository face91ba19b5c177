"""What can be said of HDFS without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from levada._model.ports import Store
from levada.contrib.hdfs import HdfsFlagTarget, HdfsTarget, client
from levada.contrib.hdfs.store import HdfsStore
from levada.errors import TargetError, TargetUnreachable
from levada.targets import FileTarget, MemoryStore, aside, open_store, register_scheme, set_root


def test_a_url_leads_to_the_store_of_its_authority() -> None:
    store, path = open_store("hdfs://namenode:8020/a b/ü%20")
    assert isinstance(store, HdfsStore)
    assert (store.authority, path) == ("namenode:8020", "/a b/ü%20")
    assert store.url(path) == "hdfs://namenode:8020/a b/ü%20"
    checked: Store = store
    assert checked.promise.create_if_absent


def test_without_the_client_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    for act in (FileTarget("hdfs://namenode:8020/a").exists, lambda: HdfsTarget("hdfs://namenode:8020/a").write_text("x")):
        with pytest.raises(TargetError) as caught:
            act()
        assert 'pip install "levada[hdfs]"' in str(caught.value)


def test_an_address_that_answers_nothing_is_unreachable_and_the_next_question_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hdfs_native", reason="hdfs-native is not installed (levada[hdfs])")
    target = FileTarget("hdfs://127.0.0.1:1/a")
    with pytest.raises(TargetUnreachable, match="no connection to HDFS") as caught:
        target.exists()
    assert "Are the name node and the data nodes up" in str(caught.value)
    monkeypatch.setattr(client, "ask", None)  # asked no more
    with pytest.raises(TargetUnreachable, match="no connection to HDFS"):
        target.exists()


def test_the_setting_names_the_name_node_of_paths_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hdfs_native", reason="hdfs-native is not installed (levada[hdfs])")
    monkeypatch.setattr(client, "_configured", lambda: "127.0.0.1:1")
    with pytest.raises(TargetUnreachable, match="no connection to HDFS"):
        HdfsTarget("/a").exists()


def test_a_flag_target_is_about_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ends with a slash"):
        HdfsFlagTarget("/out")
    set_root("hdfs", str(tmp_path))
    try:
        target = HdfsFlagTarget("/out/")
        assert target.flag == "_SUCCESS"
        (tmp_path / "out").mkdir()
        assert not target.exists()
        (tmp_path / "out" / "_SUCCESS").touch()
        assert target.exists()
        target.remove()
        assert not (tmp_path / "out").exists()
    finally:
        set_root("hdfs", None)


def test_a_target_in_another_kind_of_store_says_so() -> None:
    from levada.targets import stores

    before = dict(stores._factories)
    register_scheme("hdfs", lambda authority: MemoryStore())
    try:
        with pytest.raises(TargetError, match="another kind of store"):
            HdfsTarget("/a").move("/b")
    finally:
        stores._factories.clear()
        stores._factories.update(before)
        stores._drop("hdfs")


@pytest.mark.parametrize(
    ("java", "text", "kind", "said"),
    [
        ("hdfs.server.namenode.SafeModeException", "Cannot create\\n\\tat a.b(C.java:1)", "SafeModeException", "Cannot create"),
        ("hdfs.protocol.FSLimitException$PathComponentTooLongException", 'the \\"limit\\"', "PathComponentTooLongException", 'the "limit"'),
        ("security.AccessControlException", "no", "AccessControlException", "no"),
    ],
)
def test_what_a_name_node_says_is_read(java: str, text: str, kind: str, said: str) -> None:
    for form in ("RPCError", "FatalRPCError"):
        cause = RuntimeError(f'{form}("org.apache.hadoop.{java}", "{text}")')
        assert client.read_failure(cause) == client.Failure(kind, said)


def test_what_the_client_says_by_itself_is_read() -> None:
    assert client.read_failure(RuntimeError('InvalidArgument("No NameNode hosts found")')) == ("client", "No NameNode hosts found")
    assert client.read_failure(RuntimeError("something new")) == ("client", "something new")
    assert client.read_failure(OSError("Connection refused (os error 111)")) == ("io", "Connection refused (os error 111)")


def test_a_path_without_a_slash_is_one_of_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "ana")
    set_root("hdfs", str(tmp_path))
    try:
        HdfsTarget("data/a.txt").write_text("a")
        assert HdfsTarget("/user/ana/data/a.txt").exists()
        assert HdfsTarget("data/a.txt").full_url == "hdfs:///user/ana/data/a.txt"
        assert HdfsTarget("data/a.txt").is_writable()
        assert [*HdfsTarget("data/a.txt").fs.listdir("data")] == ["data/a.txt"]
        assert HdfsTarget("data").glob_exists(1)
    finally:
        set_root("hdfs", None)


def test_a_folder_that_a_job_left_is_read_as_its_files_one_after_the_other(tmp_path: Path) -> None:
    set_root("hdfs", str(tmp_path))
    try:
        for name, text in (("part-1", "b\n"), ("part-0", "a\n"), ("_SUCCESS", "no"), (".part-2", "no"), ("part-3", "")):
            HdfsTarget(f"/joined/{name}").write_text(text)
        assert HdfsTarget("/joined").read_text() == "a\nb\n"
        assert list(HdfsTarget("/joined").lines()) == ["a", "b"]
        with HdfsTarget("/joined").open("rb") as stream:
            assert (stream.read(1), stream.read(2)) == (b"a", b"\nb"), "an end of a file is no end of what is read"
    finally:
        set_root("hdfs", None)


def test_a_folder_with_a_flag_is_moved_aside_as_a_whole(tmp_path: Path) -> None:
    set_root("hdfs", str(tmp_path))
    try:
        HdfsTarget("/joined/day/part-0").write_text("1")
        HdfsTarget("/joined/day/_SUCCESS").write_text("")
        (move,) = aside.planned([HdfsFlagTarget("/joined/day/")], 1)
        assert aside.carry_out(move)
    finally:
        set_root("hdfs", None)
    assert sorted(path.name for path in (tmp_path / "joined" / "day.invalidated-1").iterdir()) == ["_SUCCESS", "part-0"]
    assert not (tmp_path / "joined" / "day").exists()
