"""What every store, file target and marker must keep to; outsiders run these for theirs too.

Each class is a set of methods named ``test_...`` that raise AssertionError: inherit in a test module of
pytest (or call `run_all`), and say how a new, empty store or target is made.

    class TestMyStore(StoreConformance):
        def make_store(self) -> Store:
            return MyStore("bucket-for-tests")
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import TYPE_CHECKING

from levada.errors import TargetError, TargetExists

if TYPE_CHECKING:
    from typing import Any, Protocol

    from levada._model.ports import Store
    from levada.targets.base import FileLike

    class Marked(Protocol):
        """A target that exists by a marker."""

        exists_many: Any  # many targets of the class -> an answer for each

        def exists(self) -> bool: ...

        def remove(self) -> None: ...


HOSTILE_NAMES = (
    "with space",
    "ümläut-日本語-🌊",
    "quote'\"`$;&|",
    "trailing.",
    ".hidden",
    "%20",
    "a?b*c[d]",
    "new\nline",
    "-rf",
    "ä" * 127,
)


def must(truth: object, law: str) -> None:
    """Raise AssertionError, naming the law that was broken."""
    if not truth:
        raise AssertionError(law)


def must_raise(kind: type[BaseException], act: Callable[[], object], law: str) -> None:
    """Raise AssertionError unless the act raises this kind of error."""
    try:
        act()
    except kind:
        return
    raise AssertionError(f"{law}: expected {kind.__name__}")


def run_all(suite: object) -> list[str]:
    """Run each ``test_...`` of a suite; the names of those that ran."""
    names = sorted(name for name in dir(suite) if name.startswith("test_"))
    for name in names:
        getattr(suite, name)()
    return names


class StoreConformance:
    """The laws of `levada._model.ports.Store`, as far as its ``promise`` goes: where it does not judge who was first, several may win.

    folder: a path in the store that the checks may fill. refused: hostile names that the store does not take; it must say so.
    """

    folder = "conformance"
    refused: tuple[str, ...] = ()

    def make_store(self) -> Store:
        """A store in which ``folder`` is absent or empty."""
        raise NotImplementedError

    def _write(self, store: Store, name: str, content: bytes, *, replace: bool = False) -> None:
        pending = store.put(f"{self.folder}/{name}", replace=replace, durable=True, tag="0badcafe.1.1")
        pending.stream.write(content)
        pending.commit()

    def _names(self, store: Store, folder: str = "") -> set[str]:
        return {entry.name for entry in store.list(self.folder + folder)}

    def test_a_committed_file_reads_back(self) -> None:
        store = self.make_store()
        self._write(store, "deep/er/a", b"\x00\xff\r\n" * 50_000)
        must(store.exists(f"{self.folder}/deep/er/a"), "a committed file exists")
        with store.open(f"{self.folder}/deep/er/a") as stream:
            must(stream.read() == b"\x00\xff\r\n" * 50_000, "bytes come back as they were written")

    def test_an_empty_file_exists(self) -> None:
        store = self.make_store()
        self._write(store, "empty", b"")
        must(store.exists(f"{self.folder}/empty"), "an empty file is a file")

    def test_absent_is_an_answer(self) -> None:
        store = self.make_store()
        must(store.exists(f"{self.folder}/nothing") is False, "what is absent is told to be absent")
        must(not store.exists(f"{self.folder}/no/such/folder"), "a missing folder is an absent file")
        must(not self._names(store, "/no/such/folder"), "a folder that is absent has no entries")
        must_raise(FileNotFoundError, lambda: store.open(f"{self.folder}/nothing").read(), "opening what is absent")
        must_raise(FileNotFoundError, lambda: store.remove(f"{self.folder}/nothing"), "removing what is absent")

    def test_nothing_is_visible_before_the_commit(self) -> None:
        store = self.make_store()
        pending = store.put(f"{self.folder}/a", replace=False, durable=True, tag="0badcafe.1.1")
        pending.stream.write(b"x" * 100_000)
        must(not store.exists(f"{self.folder}/a"), "what is not committed does not exist")
        pending.commit()
        must(store.exists(f"{self.folder}/a"), "what is committed exists")

    def test_an_aborted_write_leaves_nothing(self) -> None:
        store = self.make_store()
        self._write(store, "other", b"")
        pending = store.put(f"{self.folder}/a", replace=False, durable=True, tag="0badcafe.1.1")
        pending.stream.write(b"x" * 100_000)
        pending.abort()
        pending.abort()
        must(self._names(store) == {"other"}, "an aborted write leaves no name behind")

    def test_write_once_keeps_the_first(self) -> None:
        store = self.make_store()
        first = store.put(f"{self.folder}/a", replace=False, durable=True, tag="0badcafe.1.1")
        second = store.put(f"{self.folder}/a", replace=False, durable=True, tag="0badcafe.1.2")
        first.stream.write(b"first")
        second.stream.write(b"second")
        first.commit()
        must_raise(TargetExists, second.commit, "a second commit of a write-once file")
        with store.open(f"{self.folder}/a") as stream:
            must(stream.read() == b"first", "the first commit stays")
        must(self._names(store) == {"a"}, "the loser leaves nothing")

    def test_replace_takes_the_last(self) -> None:
        store = self.make_store()
        self._write(store, "a", b"first and longer", replace=True)
        self._write(store, "a", b"second", replace=True)
        with store.open(f"{self.folder}/a") as stream:
            must(stream.read() == b"second", "a replacing commit replaces all of it")

    def test_of_many_writers_at_once_one_wins(self) -> None:
        store, writers = self.make_store(), 8
        won: list[int] = []
        lost: list[int] = []
        start = Barrier(writers)

        def write(number: int) -> None:
            pending = store.put(f"{self.folder}/a", replace=False, durable=False, tag=f"0badcafe.1.{number}")
            pending.stream.write(b"%d" % number * 10_000)
            start.wait()
            try:
                pending.commit()
                won.append(number)
            except TargetExists:
                lost.append(number)

        threads = [Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        must(len(won) + len(lost) == writers and won, f"each writer is told how it went, got {won}, lost {lost}")
        if store.promise.create_if_absent:
            must(len(won) == 1, f"one writer wins, got {won}")
        with store.open(f"{self.folder}/a") as stream:
            content = stream.read()
        must(content in [b"%d" % number * 10_000 for number in won], "the bytes of a winner are there, whole")

    def test_a_listing_says_what_questions_say(self) -> None:
        store = self.make_store()
        for number in range(25):
            self._write(store, f"f{number}", b"")
        self._write(store, "sub/inner", b"")
        must(self._names(store) == {f"f{number}" for number in range(25)} | {"sub"}, "a listing names files and folders of one level")
        folders = {entry.name for entry in store.list(self.folder) if entry.is_folder}
        must(folders == {"sub"}, "folders are told from files")

    def test_a_removed_file_is_absent(self) -> None:
        store = self.make_store()
        self._write(store, "a", b"")
        self._write(store, "sub/b", b"")
        store.remove(f"{self.folder}/a")
        must(not store.exists(f"{self.folder}/a"), "a removed file is absent")
        store.remove(f"{self.folder}/sub", recursive=True)
        must(not store.exists(f"{self.folder}/sub/b"), "a folder is removed with what is in it")

    def test_names_are_taken_as_they_are(self) -> None:
        store, names = self.make_store(), set(HOSTILE_NAMES).difference(self.refused)
        for name in names:
            self._write(store, name, name.encode())
        must(self._names(store) == names, "a listing gives names as they were written")
        for name in names:
            must(store.exists(f"{self.folder}/{name}"), f"{name!r} exists")
            with store.open(f"{self.folder}/{name}") as stream:
                must(stream.read() == name.encode(), f"{name!r} is its own file")

    def test_a_name_that_is_not_taken_is_refused_in_words(self) -> None:
        store = self.make_store()
        for name in self.refused:
            must_raise(TargetError, lambda name=name: store.exists(f"{self.folder}/{name}"), f"{name!r} is refused")  # type: ignore[misc]  # a default, not an argument
            must_raise(TargetError, lambda name=name: self._write(store, name, b""), f"{name!r} is not written")  # type: ignore[misc]  # the same


class FileTargetConformance:
    """The laws of targets that hold one file. ``make_target(name, mode)``: equal names are the same file."""

    def make_target(self, name: str, mode: str) -> FileLike:
        """A target of this name and mode ("once", "replace")."""
        raise NotImplementedError

    def exists(self, target: FileLike) -> bool:
        """What the target answers."""
        return bool(target.exists())  # type: ignore[attr-defined]  # each target has it

    def test_it_exists_when_its_block_ended_well(self) -> None:
        target = self.make_target("well", "once")
        must(not self.exists(target), "it is absent at first")
        with target.open("w") as stream:
            stream.write("eins\nzwei\n")
            stream.flush()
            must(not self.exists(target), "it is absent while it is written")
        must(self.exists(target), "it exists when it was written")
        must(list(target.lines()) == ["eins", "zwei"], "its lines come back")

    def test_a_block_that_raises_leaves_nothing(self) -> None:
        target = self.make_target("raises", "once")

        def write_half() -> None:
            with target.open("w") as stream:
                stream.write("half" * 50_000)
                raise KeyError("the user's own")

        must_raise(KeyError, write_half, "the block's own error comes out")
        must(not self.exists(target), "half a file is no file")

    def test_an_unclosed_writer_leaves_nothing(self) -> None:
        import warnings

        target = self.make_target("unclosed", "once")
        stream = target.open("w")
        stream.write("half")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del stream
        must(not self.exists(target), "a writer that nobody closed commits nothing")

    def test_modes_once_and_replace(self) -> None:
        target = self.make_target("once", "once")
        target.write_text("first")
        must_raise(TargetExists, lambda: target.write_text("second"), "a write-once target is written once")
        must(target.read_text() == "first", "the first stays")
        again = self.make_target("again", "replace")
        again.write_text("first")
        again.write_text("second")
        must(again.read_text() == "second", "the last of replacing writes stays")

    def test_text_and_bytes_come_back_exactly(self) -> None:
        target = self.make_target("exact", "replace")
        for text in ("", "a\r\nb\rc\n", "\ufeffBOM", "日本語 🌊\x00\x1a"):
            target.write_text(text)
            must(target.read_text() == text, f"{text!r} comes back")
        target.write_bytes(bytes(range(256)))
        must(target.read_bytes() == bytes(range(256)), "bytes come back")

    def test_what_is_absent_cannot_be_read(self) -> None:
        must_raise(FileNotFoundError, self.make_target("nothing", "once").read_text, "reading what is absent")

    def test_it_is_not_appended_to(self) -> None:
        target = self.make_target("append", "once")
        must_raise(ValueError, lambda: target.open("a"), "a target is written whole")
        must(not self.exists(target), "a refused mode makes nothing")

    def test_its_errors_are_target_errors(self) -> None:
        must(issubclass(TargetExists, TargetError) and issubclass(TargetExists, FileExistsError), "TargetExists is both")


class MarkerConformance:
    """The laws of targets that exist by a marker: updates of tables and of other databases.

    ``make_target(name)``: equal names are the same update; in a database that is new for each test. ``mark(target)`` makes it exist, by
    itself or with what it tells of, and raises TargetExists where it does.
    """

    def make_target(self, name: str) -> Marked:
        """A target of this name."""
        raise NotImplementedError

    def mark(self, target: Marked) -> None:
        """Make it exist."""
        raise NotImplementedError

    def test_it_is_absent_until_it_is_marked(self) -> None:
        target = self.make_target("first")
        must(target.exists() is False, "what nobody marked is absent")
        self.mark(target)
        must(target.exists() is True, "what is marked exists")
        must(self.make_target("first").exists(), "another object of the same name sees the same")
        must(not self.make_target("second").exists(), "other names are absent")

    def test_it_is_marked_once(self) -> None:
        self.mark(self.make_target("first"))
        must_raise(TargetExists, lambda: self.mark(self.make_target("first")), "a second mark")
        must(self.make_target("first").exists(), "the first mark stays")

    def test_of_many_at_once_one_marks_it(self) -> None:
        writers = 8
        start = Barrier(writers)
        told: list[str] = []
        must(not self.make_target("first").exists(), "it is absent at first")
        self.mark(self.make_target("other"))  # what markers need is there

        def write() -> None:
            target = self.make_target("first")
            start.wait()
            try:
                self.mark(target)
                told.append("won")
            except TargetExists:
                told.append("lost")

        threads = [Thread(target=write) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        must(sorted(told) == ["lost"] * (writers - 1) + ["won"], f"one of {writers} wins, got {sorted(told)}")

    def test_many_are_asked_as_one_is(self) -> None:
        targets = [self.make_target(f"u{number}") for number in range(2500)]
        for target in targets[::500]:
            self.mark(target)
        answers = type(targets[0]).exists_many(targets)
        must(list(answers) == [number % 500 == 0 for number in range(2500)], "an answer for each, in their order")
        must(list(type(targets[0]).exists_many([])) == [], "none are asked for none")

    def test_a_mark_can_be_taken_back(self) -> None:
        target = self.make_target("first")
        target.remove()
        self.mark(target)
        target.remove()
        must(not target.exists(), "what is forgotten is absent")
        self.mark(target)
        must(target.exists(), "and may be marked again")

    def test_names_are_taken_as_they_are(self) -> None:
        names = [*HOSTILE_NAMES, "A", "a", "ä", "a ", " a"]
        for name in names:
            target = self.make_target(name)
            must(not target.exists(), f"{name!r} is its own name")
            self.mark(target)
            must(target.exists(), f"{name!r} exists")

    def test_equal_names_are_equal_targets(self) -> None:
        one, other = self.make_target("first"), self.make_target("first")
        must(one == other and hash(one) == hash(other), "targets of one name are equal")
        must(one != self.make_target("second"), "targets of two names are not")
