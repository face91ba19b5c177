"""Engines by address: ``slurm``, ``ssh://user@host:22``, ``k8s://context/namespace``.

The part before ``://`` names the engine, the rest is its own. Ours stand in a table and are loaded when first used; others are
registered by the code that brings them, or found through the entry points ``levada.engines``.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from levada._model.engines import Engine
from levada.errors import EngineError, JobRefused

EngineFactory = Callable[[str], Engine]
"""Makes the engine of the rest of an address; "" where there is none."""

_WINGS: dict[str, tuple[str, str]] = {  # name -> module and function; a wing is known by its name alone
    "local": ("levada.contrib.programs.engine", "open_engine"),
    "ssh": ("levada.contrib.ssh.engine", "open_engine"),
    "slurm": ("levada.contrib.slurm.engine", "open_engine"),
    "htcondor": ("levada.contrib.htcondor.engine", "open_engine"),
    "spark": ("levada.contrib.spark.engine", "open_engine"),
    "hadoop": ("levada.contrib.hadoop.engine", "open_engine"),
    "docker": ("levada.contrib.docker.engine", "open_engine"),
    "k8s": ("levada.contrib.kubernetes.engine", "open_engine"),
    "batch": ("levada.contrib.aws.batch", "open_engine"),
    "ecs": ("levada.contrib.aws.ecs", "open_engine"),
}
_EXTRAS = {"k8s": "kubernetes", "batch": "aws", "ecs": "aws"}  # where the extra is not named as the engine
_factories: dict[str, EngineFactory] = {}
_open: dict[str, Engine] = {}
_lock = Lock()


def split_address(address: str) -> tuple[str, str]:
    """Name of the engine and the rest of its address.

    >>> split_address("ssh://ana@node7:2222"), split_address("slurm")
    (('ssh', 'ana@node7:2222'), ('slurm', ''))
    """
    name, _, rest = address.partition("://")
    return name.lower(), rest


def open_engine(address: str) -> Engine:
    """The engine of an address, one for the process. Raises EngineError, saying what is missing."""
    with _lock:
        found = _open.get(address)
        if found is None:
            name, rest = split_address(address)
            found = _open[address] = _factory(address, name)(rest)
        return found


def register_engine(name: str, factory: EngineFactory) -> None:
    """Let ``factory(rest of the address)`` make the engines of a name from now on."""
    with _lock:
        _factories[name] = factory
        for address in [address for address in _open if split_address(address)[0] == name]:
            del _open[address]


def close_engines() -> None:
    """Make each anew when it is asked for: what they were made of has changed."""
    with _lock:
        _open.clear()


def _factory(address: str, name: str) -> EngineFactory:
    from importlib import import_module

    if name in _factories:
        return _factories[name]
    if name in _WINGS:
        module, function = _WINGS[name]
        try:
            ours: EngineFactory = getattr(import_module(module), function)
        except ImportError as cause:
            raise EngineError(
                f"{address}: the engine {name} needs {cause.name or cause}", hint=f"pip install 'levada[{_EXTRAS.get(name, name)}]'"
            ) from cause
        return ours
    return _from_entry_point(address, name)


def _from_entry_point(address: str, name: str) -> EngineFactory:
    from importlib.metadata import entry_points

    for found in entry_points(group="levada.engines", name=name):
        try:
            factory: EngineFactory = found.load()
        except ImportError as cause:
            raise EngineError(f"{address}: the engine {name} needs {cause.name or cause}") from cause
        return factory
    known = ", ".join(sorted({*_WINGS, *_factories}))
    raise JobRefused(f"{address}: there is no engine {name!r}", hint=f"Known are {known}, and what packages add under `levada.engines`.")
