"""What a Python file takes from Luigi, read from its syntax tree; nothing of it is imported or run.

A name is followed from its import (``import luigi as l``, ``from luigi.contrib import s3``) to where it is read,
subclassed or written. A tree is walked with a list, never by recursion: code that was generated can be deep.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

READ, IMPORTED, PATCHED, SET, STARRED = "read", "imported", "patched", "set", "all of"
"""How a name is used; who sets one does not ask whether it is there, who patches one does."""

_HOW: dict[type[ast.expr_context], str] = {ast.Load: READ, ast.Store: SET, ast.Del: PATCHED}
_IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_PATCHERS = frozenset({"patch", "setattr", "delattr", "object"})
_STARTERS = frozenset({"luigi.run", "luigi.build", "luigi.interface.run", "luigi.interface.build", "luigi.cmdline.luigi_run"})


class Use(NamedTuple):
    """A dotted name below ``luigi``, where it stands, how it is used; guarded: the program says that it can do without it."""

    name: str
    line: int
    how: str
    guarded: bool = False


class Word(NamedTuple):
    """Something else that is looked up by its text: an option, a file, a section with its key."""

    text: str
    line: int
    of: str = ""


@dataclass(slots=True)
class Class:
    """A class statement: its bases as dotted names of Luigi, or as the names that the file calls them by."""

    name: str
    line: int
    bases: list[str]
    attributes: dict[str, int] = field(default_factory=dict)
    """Names that its body gives a value, with their lines."""
    methods: dict[str, int] = field(default_factory=dict)
    yields: int = 0
    """The line on which its ``run`` yields; 0: it does not."""
    namespace: str = ""


@dataclass(slots=True)
class Source:
    """What was found in one file."""

    uses: list[Use] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    keywords: list[Word] = field(default_factory=list)
    """Keyword arguments of ``luigi.build`` and ``luigi.run``, of: which of them."""
    options: list[Word] = field(default_factory=list)
    """Texts that begin with two dashes, in calls that start Luigi."""
    settings: list[Word] = field(default_factory=list)
    """Keys that the code reads of the configuration, of: the section."""
    config_files: list[Word] = field(default_factory=list)


class Unreadable(Exception):
    """Python cannot read the file as it is."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.why, self.line = why, line


def read(text: bytes) -> Source:
    """What the file takes from Luigi. Raises Unreadable where it is no Python 3."""
    nodes = list(_walked(_parsed(text)))
    known = dict(_imported(node for node, _ in nodes))
    optional = {name for node, guarded in nodes if guarded for name in _names_imported(node)}
    source = Source()
    inner: set[int] = set()  # parts of dotted names that were met as a whole
    for node, guarded in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            source.uses += _import_uses(node, guarded)
        elif isinstance(node, ast.Attribute) and id(node) not in inner:
            _read_attribute(node, known, source, inner)
        elif isinstance(node, ast.Name) and node.id in known and isinstance(node.ctx, ast.Load) and id(node) not in inner:
            source.uses.append(Use(known[node.id], node.lineno, READ))
        elif isinstance(node, ast.Call):
            _read_call(node, known, guarded, source)
        elif isinstance(node, ast.ClassDef):
            source.classes.append(_class(node, known))
    if optional:
        source.uses = [use._replace(guarded=use.guarded or any(_is_below(use.name, name) for name in optional)) for use in source.uses]
    return source


def _parsed(text: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as fault:
        raise Unreadable(f"not Python 3: {fault.msg}", fault.lineno or 0) from fault
    except (RecursionError, MemoryError) as fault:
        raise Unreadable("nested too deeply for Python to read it as a tree") from fault
    except (ValueError, UnicodeError, LookupError) as fault:
        raise Unreadable(str(fault)) from fault


def _walked(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, outer ones first, and whether the program goes on where an import of it fails."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, guarded = waiting.pop()
        yield node, guarded
        if isinstance(node, ast.Try) and not guarded and any(map(_catches_import_errors, node.handlers)):
            waiting += ((child, True) for child in node.body)
            waiting += ((child, False) for child in (*node.handlers, *node.orelse, *node.finalbody))
        elif isinstance(node, ast.If) and _is_for_type_checkers(node.test):
            waiting += ((child, True) for child in node.body)
            waiting += ((child, guarded) for child in node.orelse)
        else:
            waiting += ((child, guarded) for child in ast.iter_child_nodes(node))


def _catches_import_errors(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    if caught is None:
        return True
    each = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(one, ast.Name) and one.id in _IMPORT_ERRORS for one in each)


def _is_for_type_checkers(test: ast.expr) -> bool:
    return (test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else "") == "TYPE_CHECKING"


# -- imports ---------------------------------------------------------------------------------------


def _imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """(name in the file, dotted name of Luigi) of what is imported anywhere in it."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_luigis(alias.name):
                    yield (alias.asname, alias.name) if alias.asname else ("luigi", "luigi")
        elif isinstance(node, ast.ImportFrom) and not node.level and _is_luigis(node.module or ""):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names if alias.name != "*")


def _import_uses(node: ast.Import | ast.ImportFrom, guarded: bool) -> Iterator[Use]:
    if isinstance(node, ast.Import):
        yield from (Use(alias.name, node.lineno, IMPORTED, guarded) for alias in node.names if _is_luigis(alias.name))
    elif not node.level and _is_luigis(node.module or ""):
        for alias in node.names:
            star = alias.name == "*"
            yield Use(node.module or "" if star else f"{node.module}.{alias.name}", node.lineno, STARRED if star else IMPORTED, guarded)


def _names_imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (use.name for use in _import_uses(node, True) if use.name != "luigi" and use.how == IMPORTED)


def _is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}.")


def _is_luigis(name: str) -> bool:
    return name == "luigi" or name.startswith("luigi.")


# -- names where they are used ---------------------------------------------------------------------


def _dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    """The dotted name of Luigi that an expression stands for."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in known:
        return ".".join([known[node.id], *reversed(parts)])
    return None


def _read_attribute(node: ast.Attribute, known: dict[str, str], source: Source, inner: set[int]) -> None:
    part: ast.expr = node
    while isinstance(part, ast.Attribute):
        inner.add(id(part))
        part = part.value
    inner.add(id(part))
    name = _dotted(node, known)
    if name is not None:
        source.uses.append(Use(name, node.lineno, _HOW[type(node.ctx)]))


def _read_call(node: ast.Call, known: dict[str, str], guarded: bool, source: Source) -> None:
    called = _dotted(node.func, known)
    word = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
    if called in _STARTERS:
        source.keywords += (Word(each.arg, node.lineno, called.rpartition(".")[2]) for each in node.keywords if each.arg)
        source.options += _dashed(node)
    texts = [argument.value if isinstance(argument, ast.Constant) else None for argument in node.args[:2]]
    first, second = (*texts, None, None)[:2]
    if isinstance(first, str) and first.startswith("luigi."):
        if word in _PATCHERS:
            name = (
                f"{first}.{second}" if word != "patch" and isinstance(second, str) else first
            )  # monkeypatch.setattr("luigi.a.B", "c", new)
            source.uses.append(Use(name, node.lineno, PATCHED))
        elif word in ("import_module", "__import__", "importorskip"):
            source.uses.append(Use(first, node.lineno, IMPORTED, guarded))
    elif word in (*_PATCHERS, "getattr", "hasattr") and isinstance(second, str) and node.args:
        owner = _dotted(node.args[0], known)
        if owner is not None:
            asked = word == "hasattr" or (word == "getattr" and len(node.args) > 2)
            how = SET if isinstance(node.func, ast.Name) and word == "setattr" else PATCHED if word in _PATCHERS else READ
            source.uses.append(Use(f"{owner}.{second}", node.lineno, how, asked))
    if word == "add_config_path" and isinstance(first, str):
        source.config_files.append(Word(first, node.lineno))
    elif word in ("get", "getint", "getboolean", "getfloat", "getintdict") and isinstance(first, str) and isinstance(second, str):
        source.settings.append(Word(second, node.lineno, first))


def _dashed(call: ast.Call) -> Iterator[Word]:
    for node in ast.walk(call):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("--"):
            yield Word(node.value.split("=", 1)[0], node.lineno)


# -- classes ---------------------------------------------------------------------------------------


def _class(node: ast.ClassDef, known: dict[str, str]) -> Class:
    found = Class(node.name, node.lineno, [name for name in (_base(base, known) for base in node.bases) if name])
    for statement in node.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.methods[statement.name] = statement.lineno
            if statement.name == "run":
                found.yields = _yield_line(statement)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found.attributes |= {target.id: statement.lineno for target in targets if isinstance(target, ast.Name)}
            if "task_namespace" in found.attributes and isinstance(statement.value, ast.Constant) and not found.namespace:
                found.namespace = str(statement.value.value or "")
    return found


def _base(base: ast.expr, known: dict[str, str]) -> str:
    """A base as a dotted name of Luigi, else by the last part of its name; "" for what is computed."""
    while isinstance(base, (ast.Subscript, ast.Call)):  # Parameter[int]; with_metaclass(M, Base)
        base = base.value if isinstance(base, ast.Subscript) else base.args[-1] if base.args else ast.Constant(None)
    name = _dotted(base, known)
    if name is not None:
        return name
    return base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""


def _yield_line(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    waiting: list[ast.AST] = list(function.body)
    lines = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            lines.append(node.lineno)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)
    return min(lines, default=0)
