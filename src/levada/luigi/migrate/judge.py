"""The verdicts: what runs as it is, what behaves differently, what is not there; each with its places in the program."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..._model.spelling import did_you_mean
from ...task import Task
from . import annex, knowledge, settings, sources
from .sources import Class, Source, Unreadable

AS_IS, DIFFERS, UNSUPPORTED = "as it is", "differs", "not supported"

_ELSEWHERE = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist", ".git"})


LARGEST = 32 << 20
"""Bytes of a file that is read; its tree takes some hundred times as many."""


class Place(NamedTuple):
    """A line of a file; path as it was given, with what is below it. name: what stands there, where the subject does not say it."""

    path: str
    line: int
    name: str = ""


@dataclass(slots=True)
class Verdict:
    """One subject, one judgement, all places. see: the row of the documentation."""

    kind: str
    subject: str
    what: str = ""
    why: str = ""
    see: str = ""
    places: list[Place] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """The verdicts on a project, and what could not be read."""

    python_files: int = 0
    luigi_files: int = 0
    """Files of Python that take something from Luigi, or have tasks."""
    config_files: list[str] = field(default_factory=list)
    unread: list[tuple[Place, str]] = field(default_factory=list)
    dependencies: list[tuple[Place, str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def of(self, kind: str) -> list[Verdict]:
        """Verdicts of one kind, those with the most places first."""
        return sorted((each for each in self.verdicts if each.kind == kind), key=lambda each: (-len(each.places), each.subject))


class _Desk:
    """Collects verdicts: one for each subject and kind."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Verdict] = {}
        self._told: set[tuple[str, str, Place]] = set()

    def say(self, kind: str, subject: str, place: Place, what: str = "", why: str = "", see: str = "") -> None:
        verdict = self.found.setdefault((kind, subject), Verdict(kind, subject, what, why, see))
        if (kind, subject, place) not in self._told:
            self._told.add((kind, subject, place))
            verdict.places.append(place)

    def differs(self, row: str, name: str, place: Place) -> None:
        what, why = knowledge.DIFFERENCES[row]
        self.say(DIFFERS, what, place._replace(name=name), "", why, f"{knowledge.PAGE}#{row}")


def check(paths: Iterable[str]) -> Report:
    """Judge all Python sources and files of Luigi's configuration below the paths."""
    report, desk = Report(), _Desk()
    texts: dict[str, bytes] = {}
    for path in _files(paths, lambda fault: report.unread.append((Place(str(fault.filename), 0), fault.strerror or str(fault)))):
        _take(path, texts, report)
    read = _read_sources(texts, report)
    tasks = _tasks(read)
    for path, source in sorted(read.items()):
        _judge(path, source, tasks, desk)
    families = _families(tasks)
    own = {(word.of, word.text) for source in read.values() for word in source.settings}
    for path in _configs(texts, read):
        _judge_settings(path, texts[path], families, own, report, desk)
    _judge_exit_codes(read, any(subject.startswith("[retcode]") for _, subject in desk.found), desk)
    report.verdicts = list(desk.found.values())
    for verdict in report.verdicts:
        verdict.places.sort()
    return report


# -- files -----------------------------------------------------------------------------------------


def _files(paths: Iterable[str], cannot: Callable[[OSError], None]) -> Iterator[str]:
    """Files below the paths, without those of environments, caches and hidden folders; links to folders are not followed.

    cannot: is told of each folder that cannot be listed.
    """
    for top in paths:
        if os.path.isfile(top):
            yield top
            continue
        for folder, folders, names in os.walk(top, onerror=cannot):
            folders[:] = sorted(
                name
                for name in folders
                if name not in _ELSEWHERE and not name.startswith(".") and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
            )
            yield from (os.path.join(folder, name) for name in sorted(names))


def _take(path: str, texts: dict[str, bytes], report: Report) -> None:
    """Keep the text of a file that says something of Luigi."""
    name = os.path.basename(path)
    is_settings = name in settings.NAMES or path.endswith((".cfg", ".ini", ".conf", ".toml"))
    is_notebook, is_bare = path.endswith(".ipynb"), "." not in name
    if not (path.endswith(".py") or is_settings or is_notebook or is_bare or (name.startswith("requirements") and name.endswith(".txt"))):
        return
    try:
        if is_bare and not _is_script(path):
            return
        text = _bytes(path)
    except (OSError, Unreadable) as fault:
        if not is_bare:  # else it need not be Python
            report.unread.append((Place(path, 0), getattr(fault, "strerror", None) or str(fault)))
        return
    if is_notebook:
        if b"luigi" in text:
            why = "a notebook that names Luigi; `jupyter nbconvert --to script` makes a file of it that can be read"
            report.unread.append((Place(path, 0), why))
        return
    texts[path] = text
    report.python_files += _is_python(path)
    if name in ("pyproject.toml", "setup.py", "setup.cfg") or name.startswith("requirements"):
        report.dependencies += _dependencies(path, text)


def _is_python(path: str) -> bool:
    return path.endswith(".py") or "." not in os.path.basename(path)


def _is_script(path: str) -> bool:
    """Whether a file without a suffix says in its first line that Python runs it."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return False
    with open(path, "rb") as file:
        first = file.readline(200)
    return first.startswith(b"#!") and b"python" in first


def _bytes(path: str) -> bytes:
    """What a file holds. A pipe or a device is not opened: reading it would wait for ever, or find no end."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("not a regular file")
    if status.st_size > LARGEST:
        raise Unreadable(f"{status.st_size:,} bytes; no source is expected to have more than {LARGEST:,}")
    return Path(path).read_bytes()


_DEPENDENCY = re.compile(
    rb"""^\s*(?:install_requires\s*=\s*\[\s*)?
    ( ["']?luigi\s*(?:\[[\w,\ ]*\])? \s*(?:[=<>~!^][^#;]*?)? )
    ["',\s\])]*(?:[#;].*)?$""",
    re.VERBOSE,
)


def _dependencies(path: str, text: bytes) -> Iterator[tuple[Place, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if wanted := _DEPENDENCY.match(line):
            yield Place(path, number), wanted[1].decode(errors="replace").strip(" \"'")


def _read_sources(texts: dict[str, bytes], report: Report) -> dict[str, Source]:
    """Files that name Luigi; then those that name a task class of these, and so on."""
    waiting = {path: text for path, text in texts.items() if _is_python(path)}
    words: dict[str, set[bytes]] = {}
    read: dict[str, Source] = {}
    chosen = [path for path, text in waiting.items() if b"luigi" in text]
    known: set[str] = set()
    while chosen:
        for path in chosen:
            try:
                read[path] = sources.read(waiting.pop(path))
            except Unreadable as fault:
                report.unread.append((Place(path, fault.line), fault.why))
        fresh = {name.encode() for name in _tasks(read).keys() - known}
        known |= {name.decode() for name in fresh}
        words = words or {path: set(_WORD.findall(text)) for path, text in waiting.items()}
        chosen = [path for path in waiting if words[path] & fresh] if fresh else []
    report.luigi_files = len(read)
    return read


_WORD = re.compile(rb"\w+")


def _tasks(read: dict[str, Source]) -> dict[str, list[Class]]:
    """Classes of tasks by their name: those that subclass one of Luigi's, and those that subclass these."""
    classes = [cls for source in read.values() for cls in source.classes]
    heirs: dict[str, list[Class]] = {}
    for cls in classes:
        for base in cls.bases:
            heirs.setdefault(base, []).append(cls)
    found: dict[str, list[Class]] = {}
    taken: set[int] = set()
    waiting = [cls for cls in classes if any(base.startswith("luigi.") and annex.is_task(base) for base in cls.bases)]
    for cls in waiting:
        if id(cls) not in taken:
            taken.add(id(cls))
            if cls.name not in found:
                waiting += heirs.get(cls.name, ())
            found.setdefault(cls.name, []).append(cls)
    return found


def _families(tasks: dict[str, list[Class]]) -> dict[str, set[str]]:
    """Task family -> what its class, or one that it may inherit from, gives a value: the keys of its section."""
    keys = {name: {word for cls in each for word in cls.attributes} for name, each in tasks.items()}
    everything = set().union(*keys.values())
    found = {}
    for name, each in tasks.items():
        own = keys[name] | (everything if any(base in tasks for cls in each for base in cls.bases) else set())
        for cls in each:
            found[f"{cls.namespace}.{name}" if cls.namespace else name] = own
    return found


# -- Python ----------------------------------------------------------------------------------------


def _judge(path: str, source: Source, tasks: dict[str, list[Class]], desk: _Desk) -> None:
    for use in source.uses:
        _judge_use(use, Place(path, use.line), desk)
    for cls in source.classes:
        if any(cls is each for each in tasks.get(cls.name, ())):
            _judge_task(cls, path, desk)
    options = annex.starting_options()
    for word in source.keywords:
        if word.text not in options:
            hint = did_you_mean(word.text, options, "`{}`") or "Leave it out; `levada run --help` lists what a run can be told."
            desk.say(UNSUPPORTED, f"luigi.{word.of}({word.text}=...)", Place(path, word.line), "no such option of a run", hint)
    for word in source.options:
        if word.text in knowledge.CORE_OPTIONS and word.text[2:].replace("-", "_") not in options | {"module", "help_all", "version"}:
            desk.say(UNSUPPORTED, word.text, Place(path, word.line), "no such option of the command line")


def _judge_use(use: sources.Use, place: Place, desk: _Desk) -> None:
    found = annex.find(use.name)
    if found.missing == use.name and use.how == sources.SET:
        desk.differs("set-names", use.name, place)
    elif found.missing:
        what = found.why or "Levada has no such name"
        place = place._replace(name="" if use.name == found.missing else use.name)
        if use.guarded:
            desk.say(
                DIFFERS, f"{found.missing} is not there", place, found.why, "the program goes on without it: it asks whether it is there"
            )
        else:
            desk.say(UNSUPPORTED, found.missing, place, what)
    elif use.how in (sources.PATCHED, sources.SET):
        desk.differs("patched-names", use.name, place)
    elif any(part.startswith("_") and not part.endswith("__") for part in use.name.split(".")):
        desk.differs("private-names", use.name, place)
    elif row := _row_of(use.name):
        desk.differs(row, use.name, place)
    else:
        desk.say(AS_IS, f"{use.name}.*" if use.how == sources.STARRED else use.name, place)


def _row_of(name: str) -> str | None:
    parts = name.split(".")
    return next((knowledge.NAMES[each] for at in range(len(parts), 0, -1) if (each := ".".join(parts[:at])) in knowledge.NAMES), None)


def _judge_task(cls: Class, path: str, desk: _Desk) -> None:
    if cls.yields:
        desk.differs("dynamic-requirements", f"{cls.name}.run", Place(path, cls.yields))
    if _makes_nothing(cls):
        desk.differs("no-output", cls.name, Place(path, cls.line))
    words = annex.task_words()
    for word, line in (cls.attributes | cls.methods).items():
        if word in knowledge.TASK_WORDS and word not in words:
            desk.say(UNSUPPORTED, f"Task.{word}", Place(path, line), f"nothing reads {word} of a task")


def _makes_nothing(cls: Class) -> bool:
    """Whether it runs, and has nothing by which it is complete: of its own, or of bases of Luigi."""
    bases = [annex.find(base).thing for base in cls.bases if base.startswith("luigi.")]
    if "run" not in cls.methods or len(bases) < len(cls.bases) or {"output", "complete"} & {*cls.methods, *cls.attributes}:
        return False
    return not any(getattr(base, name, None) is not getattr(Task, name) for base in bases for name in ("output", "complete"))


# -- configuration ---------------------------------------------------------------------------------


def _configs(texts: dict[str, bytes], read: dict[str, Source]) -> Iterator[str]:
    """Files by Luigi's names, and those that the program adds itself."""
    added = {os.path.basename(word.text) for source in read.values() for word in source.config_files}
    for path in texts:
        if not _is_python(path) and not path.endswith(".txt") and os.path.basename(path) in settings.NAMES | added:
            yield path


def _judge_settings(path: str, text: bytes, families: dict[str, set[str]], own: set[tuple[str, str]], report: Report, desk: _Desk) -> None:
    report.config_files.append(path)
    try:
        keys = settings.read(text, toml=path.endswith(".toml"))
    except Unreadable as fault:
        report.unread.append((Place(path, fault.line), fault.why))
        return
    for section, key, line in keys:
        _judge_key(section, key, Place(path, line), families, own, desk)


def _judge_key(section: str, key: str, place: Place, families: dict[str, set[str]], own: set[tuple[str, str]], desk: _Desk) -> None:
    subject, name = f"[{section}] {key}".rstrip(), key.replace("-", "_")
    reader = knowledge.SECTIONS.get(section)
    if section in families or section.rpartition(".")[2] in families:  # namespaces that calls set, are not followed
        desk.say(AS_IS, subject, place)
    elif reader is None:
        if not key and not any(section == each for each, _ in own):
            why = "the program's own code reads it, or a library that stands on Luigi does; else it says nothing"
            desk.say(DIFFERS, "sections of the configuration that belong to no task of these files", place._replace(name=subject), "", why)
    elif reader and annex.find(reader).missing:
        if not key:
            desk.say(UNSUPPORTED, subject, place, annex.find(reader).why or f"{reader} is not there in Levada")
    elif not key or not (known := annex.keys_of(section)) or name in known or (section, key) in own:
        desk.say(AS_IS, subject, place)
    else:
        hint = did_you_mean(name, known, "`{}`") or "It is passed over; leave it out."
        desk.say(UNSUPPORTED, subject, place, "nothing reads this key", hint)


def _judge_exit_codes(read: dict[str, Source], keys: bool, desk: _Desk) -> None:
    """Programs that start Luigi and set no return codes."""
    if keys:
        return
    for path, source in read.items():
        for use in source.uses:
            if use.name in ("luigi.run", "luigi.cmdline.luigi_run", "luigi.interface.run") and use.how == sources.READ:
                desk.differs("exit-codes", use.name, Place(path, use.line))
