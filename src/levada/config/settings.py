"""All that was set, merged: each value with where it came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from ..errors import ConfigError, ParameterError, UnknownParameter
from . import files, schema

if TYPE_CHECKING:
    from ..params import Parameter

SETTING_PREFIX = "LEVADA_"
PARAM_PREFIX = "LEVADA_PARAM__"
SECRET_REFERENCE = "secret://env/"  # noqa: S105 - where to look, not what is found


class Value(tuple[object, str]):
    """A value and where it came from. Text is parsed by the parameter, other values are normalised by it.

    Not a NamedTuple: making the class of one costs cron a millisecond.
    """

    __slots__ = ()

    def __new__(cls, value: object, where: str) -> Value:
        return tuple.__new__(cls, (value, where))

    @property
    def value(self) -> object:
        """What was set."""
        return self[0]

    @property
    def where(self) -> str:
        """Where it was set, in words."""
        return self[1]


class Settings:
    """What command line, environment and files say. Built by ``load``; values do not change afterwards.

    Parameter values are looked up by family: on the command line (``give``), in the environment, in files.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.files: list[str] = []
        self._environ = environ
        self._values: dict[tuple[str, str], Value] = {}
        self._given: dict[tuple[str, str], Value] = {}
        self._in_environment: dict[str, str] = {}
        self._in_files: list[tuple[str, files.Tree]] = []
        self._found: dict[tuple[str, str], Value | None] = {}

    # -- settings ------------------------------------------------------------------------------

    def find(self, section: str, key: str) -> Value | None:
        """The setting with its origin, or None when it is set nowhere."""
        return self._values.get((section, key))

    def get(self, section: str, key: str, default: object = None) -> object:
        """The setting's value, or ``default`` when it is set nowhere."""
        found = self._values.get((section, key))
        return default if found is None else found.value

    def section(self, section: str) -> dict[str, object]:
        """Key -> value of all that is set in a section, such as the resources."""
        return {key: value.value for (part, key), value in self._values.items() if part == section}

    def all(self) -> Iterator[tuple[str, str, Value]]:
        """(section, key, value) of everything that is set."""
        for (section, key), value in self._values.items():
            yield section, key, value

    # -- parameters ----------------------------------------------------------------------------

    @property
    def has_parameters(self) -> bool:
        """Whether any parameter value is set anywhere; if not, nobody needs to ask for one."""
        return bool(self._given or self._in_environment or self._in_files)

    def give(self, family: str, name: str, value: object, where: str) -> None:
        """Set a parameter of a family with the strength of the command line."""
        self._given[family, name] = Value(value, where)
        self._found.clear()

    def given(self) -> list[tuple[str, str, object]]:
        """(family, name, value) of all that ``give`` set, for a process that works for this one."""
        return [(family, name, value.value) for (family, name), value in self._given.items()]

    def parameter(self, task_class: type, name: str, parameter: Parameter[Any]) -> Value | None:
        """The value that is set for a parameter, or None: then its default counts. The hook of ``levada.task``."""
        family: str = task_class.family  # type: ignore[attr-defined]  # every Task class has one
        try:
            return self._found[family, name]
        except KeyError:
            found = self._look_up(family, name, parameter)
            self._found[family, name] = found
            return found

    def _look_up(self, family: str, name: str, parameter: Parameter[Any]) -> Value | None:
        found = self._given.get((family, name)) or self._from_environment(family, name) or self._from_files(family, name, parameter)
        if found is not None and getattr(parameter, "secret", False):
            found = self.resolve_secret(found)
        if found is not None and not isinstance(found.value, str):
            _refuse_wrong_value(found, family, name, parameter)
        return found

    def resolve_secret(self, value: Value) -> Value:
        """The value that a ``secret://env/NAME`` reference stands for; any other value as it is."""
        if not isinstance(value.value, str) or not value.value.startswith(SECRET_REFERENCE):
            return value
        name = value.value[len(SECRET_REFERENCE) :]
        if name not in self._environ:
            raise ConfigError(f"{value.where}: refers to the environment variable {name}, which is not set", hint=f"export {name}=...")
        return Value(self._environ[name], f"environment {name}, named by {value.where}")

    def _from_environment(self, family: str, name: str) -> Value | None:
        if not self._in_environment:
            return None
        plain = f"{family}__{name}"
        for spelling in (plain, plain.replace(".", "_"), plain.replace(".", "_").upper()):
            if spelling in self._in_environment:
                return Value(self._in_environment[spelling], f"environment {PARAM_PREFIX}{spelling}")
        return None

    def _from_files(self, family: str, name: str, parameter: Parameter[Any]) -> Value | None:
        for path, tree in self._in_files:
            for table, key in _places(family, name, parameter):
                values = _table(tree, table)
                if values is not None and key in values:
                    return Value(values[key], f"{path}: [params.{table}] {key}")
        return None

    def check_parameters(self, families: Mapping[str, type]) -> list[str]:
        """Names in ``[params.X]`` and the environment that are no family of these, sorted.

        Raises UnknownParameter when a family is known and the parameter is not. The names returned may be
        families that were not imported this time, so they are no error.
        """
        strangers = set()
        for family, name, where in self._named_parameters(families):
            if family not in families:
                strangers.add(family)
            elif name not in (names := _names(families[family])):
                from .._model.spelling import did_you_mean

                hint = did_you_mean(name, names) or f"Parameters of {family} are {', '.join(names) or 'none'}."
                raise UnknownParameter(f"{where}: {family} has no parameter {name!r}", hint=hint)
        return sorted(strangers)

    def _named_parameters(self, families: Mapping[str, type]) -> Iterator[tuple[str, str, str]]:
        for path, tree in self._in_files:
            yield from _leaves(tree, families, f"{path}: [params", "")
        spelled = {spelling: family for family in families for spelling in _env_spellings(family)} if self._in_environment else {}
        for variable in self._in_environment:
            family, _, name = variable.partition("__")
            known = spelled.get(family, family)
            if known in families and family.isupper():
                name = {each.upper(): each for each in _names(families[known])}.get(name, name)
            yield known, name, f"environment {PARAM_PREFIX}{variable}"

    # -- filling -------------------------------------------------------------------------------

    def add(self, section: str, key: str, value: object, where: str) -> None:
        """Set a value unless something stronger did."""
        self._values.setdefault((section, key), Value(value, where))

    def override(self, section: str, key: str, value: object, where: str) -> None:
        """Set a value whatever else says."""
        self._values[section, key] = Value(value, where)

    def add_environment(self) -> None:
        """Take what the environment says: LEVADA_<SECTION>__<KEY>, LEVADA_PARAM__<Family>__<param>, LEVADA_STATE, LEVADA_SCHEDULER."""
        for name, text in self._environ.items():
            if not name.startswith(SETTING_PREFIX) or "__" not in name:
                continue
            if name.startswith(PARAM_PREFIX):
                self._add_env_parameter(name, text)
            else:
                self._add_env_setting(name, text)
        for key, name in (("state", "LEVADA_STATE"), ("scheduler", "LEVADA_SCHEDULER")):
            if self._environ.get(name):
                self._values["levada", key] = Value(self._environ[name], f"environment {name}")

    def _add_env_parameter(self, name: str, text: str) -> None:
        rest = name[len(PARAM_PREFIX) :]
        if not all(rest.partition("__")):
            raise ConfigError(f"environment {name}: names no parameter", hint=f"Write {PARAM_PREFIX}Family__parameter=value.")
        self._in_environment[rest] = text

    def _add_env_setting(self, name: str, text: str) -> None:
        section, _, key = name[len(SETTING_PREFIX) :].partition("__")
        section = section.lower()
        if section != "resources":
            key = key.lower()
        where = f"environment {name}"
        self.add(section, key, schema.read_setting(section, key, text, where=where, from_text=True), where)

    def add_file(self, path: str, folder: str) -> None:
        """Take what one file says."""
        sections = files.read(path, folder)
        self.files.append(path)
        for section, table in sections.items():
            if section == "params":
                self._add_file_parameters(path, table)
            elif section in schema.SECTIONS or section == "resources":
                for key, value in table.items():
                    self._add_file_setting(path, section, key, value)
            else:
                raise schema.unknown(section, None, path)

    def _add_file_parameters(self, path: str, table: files.Tree) -> None:
        for family, values in table.items():
            if not isinstance(values, dict):
                raise ConfigError(
                    f"{path}: [params] {family}: a value without a family",
                    hint=f"Write [params.Family] above it, with the family that has the parameter {family}.",
                )
        self._in_files.append((path, table))

    def _add_file_setting(self, path: str, section: str, key: str, value: object) -> None:
        where = f"{path}: [{section}] {key}"
        read = schema.read_setting(section, key, value, where=where, from_text=False)
        known = schema.key_of(section, key)
        if known is not None and known.is_path:
            read = os.path.join(os.path.dirname(path), os.path.expanduser(cast(str, read)))
        self.add(section, key, read, where)


def load(environ: Mapping[str, str], folder: str) -> Settings:
    """The settings as seen from ``folder``. Raises ConfigError for the first thing that is wrong."""
    settings = Settings(environ)
    settings.add_environment()
    for path in files.find(folder, environ):
        settings.add_file(path, folder)
    return settings


def _refuse_wrong_value(found: Value, family: str, name: str, parameter: Parameter[Any]) -> None:
    try:
        parameter.normalize(found.value)
    except ParameterError as fault:
        raise type(fault)(f"{family}.{name}: {fault.message} (from {found.where})", hint=fault.hint) from None


def _places(family: str, name: str, parameter: Parameter[Any]) -> Iterator[tuple[str, str]]:
    """Where a file may hold a value: (table, key), the parameter's own ``config_path`` last."""
    yield family, name
    if "_" in name:
        yield family, name.replace("_", "-")
    other = getattr(parameter, "config_path", None)
    if other:
        yield other["section"], other["name"]


def _table(tree: files.Tree, family: str) -> files.Tree | None:
    """The table of a family: ``[params."a.B"]`` or ``[params.a.B]``."""
    found = tree.get(family)
    if found is None and "." in family:
        found = tree
        for part in family.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _leaves(tree: files.Tree, families: Mapping[str, type], where: str, above: str) -> Iterator[tuple[str, str, str]]:
    for key, value in tree.items():
        family = f"{above}.{key}" if above else key
        if family in families and isinstance(value, dict):
            for name in value:
                if f"{family}.{name}" not in families:
                    yield family, name.replace("-", "_"), f"{where}.{family}] {name}"
        elif isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            yield from _leaves(value, families, where, family)
        elif isinstance(value, dict):
            yield family, "", where


def _names(task_class: type) -> list[str]:
    from ..task import parameters_of

    return [name for name, _ in parameters_of(task_class)]


def _env_spellings(family: str) -> tuple[str, str, str]:
    plain = family.replace(".", "_")
    return family, plain, plain.upper()
