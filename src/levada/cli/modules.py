"""Importing the user's modules, and saying clearly what is wrong when that fails."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from ..errors import ConfigError, DefinitionError, LevadaError, told


def import_all(names: list[str]) -> None:
    """Import modules, by dotted name or as a path that ends in .py, with the current folder on the search path."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    for name in names:
        if name.endswith(".py"):
            import_file(name)
        else:
            import_module(name)


def import_file(path: str) -> None:
    """Import a program by its path: as the module of that name, so that child processes find it too."""
    full = os.path.abspath(path)
    folder, file = os.path.split(full)
    name = file.removesuffix(".py")
    if not os.path.isfile(full):
        raise ConfigError(f"there is no file {path}", hint=f"Looked at {full}.")
    if not name.isidentifier():
        raise ConfigError(f"{path}: {name!r} cannot be the name of a module", hint="Rename the file: letters, digits and _ only.")
    loaded = sys.modules.get(name)
    if loaded is not None and not _is_file(loaded, full):
        raise ConfigError(
            f"{path}: a module named {name} is loaded already, from {getattr(loaded, '__file__', 'the interpreter')}",
            hint="Rename the file.",
        )
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import_module(name)


def _is_file(module: object, path: str) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and os.path.realpath(file) == os.path.realpath(path)


def import_module(name: str) -> None:
    """Import one module. ConfigError when there is none of that name, DefinitionError when its code fails."""
    try:
        __import__(name)
    except LevadaError:
        raise
    except ModuleNotFoundError as fault:
        if fault.name is None or not (name == fault.name or name.startswith(fault.name + ".")):
            raise _failed(name, fault) from fault
        raise ConfigError(f"there is no module {name!r}", hint=_where_it_was_sought(name)) from None
    except (Exception, SystemExit) as fault:
        raise _failed(name, fault) from fault


def _failed(name: str, fault: BaseException) -> DefinitionError:
    text = f"importing {name} failed: {told(fault)}"
    hint = "Nothing was started."
    if isinstance(fault, ModuleNotFoundError) and fault.name == "luigi":
        hint += f" For a program in Luigi's spelling: `levada luigi --module {name} TASK ...`, or `import levada.luigi as luigi` in it."
    return DefinitionError(f"{text} ({place_of(fault)})\n{_way_to(fault)}", hint=hint)


def _way_to(fault: BaseException) -> str:
    """The traceback from the user's module on."""
    from traceback import format_exception

    here = os.path.dirname(os.path.dirname(__file__))
    trace = fault.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith((here, "<frozen")):
        trace = trace.tb_next
    return "".join(format_exception(type(fault), fault, trace)).rstrip()


def _where_it_was_sought(name: str) -> str:
    from .._model.spelling import did_you_mean

    here = os.getcwd()
    files = [entry.removesuffix(".py") for entry in os.listdir(here) if entry.endswith(".py")]
    near = did_you_mean(name, files, "{}") if "." not in name else None
    return near or f"It is neither in the current folder ({here}) nor installed in this Python ({sys.executable})."


def place_of(fault: BaseException) -> str:
    """``file:line`` where an exception arose, in the user's code where that is on the way."""
    if isinstance(fault, SyntaxError) and fault.filename:
        return f"{fault.filename}:{fault.lineno}"
    here = os.path.dirname(os.path.dirname(__file__))
    place = "unknown place"
    trace: TracebackType | None = fault.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((here, "<frozen")):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
