"""``luigi.cmdline_parser``: a command line in Luigi's spelling, of all tasks that were imported.

``--param`` is the wanted task's, ``--Family-param`` any other's; options of sections without a name of their own
(``core``) stand alone. While a command line is *in use* (``global_instance``), it fills in parameters of every task.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

from . import parameter as _  # noqa: F401 - attaches how parameters are read by argparse
from . import task_register
from .configuration import get_config
from .task_register import Register

SECTIONS = ("interface", "worker", "scheduler", "execution_summary", "retcodes", "notifications", "batch_notifier")
"""Modules whose settings and tasks stand on each command line."""


class CmdlineParser:
    """A command line that was read: ``known_args``, ``get_task_obj()``.

    Ends the program where help is asked for, where no task is named, and where an argument is not known.
    """

    _instance: ClassVar[CmdlineParser | None] = None

    @classmethod
    def get_instance(cls) -> CmdlineParser | None:
        """The command line in use, None outside of ``global_instance``."""
        return cls._instance

    @classmethod
    @contextmanager
    def global_instance(cls, cmdline_args: Sequence[str], allow_override: bool = False) -> Iterator[CmdlineParser]:
        """Use this command line inside the block. allow_override: also where one is in use, which comes back afterwards."""
        before = cls._instance
        if before is not None and not allow_override:
            raise AssertionError("a command line is in use already; pass allow_override=True to put another in its place")
        try:
            cls._instance = CmdlineParser(cmdline_args)
            yield cls._instance
        finally:
            cls._instance = before

    def __init__(self, cmdline_args: Sequence[str]) -> None:
        arguments = list(cmdline_args)
        _know_sections()
        known = self._early(arguments)
        if getattr(known, "core_module", None):
            import_module(known.core_module)
            known = self._early(arguments)  # which word is the task depends on the options that there are
        parser = self._build_parser(known.root_task, getattr(known, "core_help_all", False))
        self._possibly_exit_with_help(parser, known)
        if not known.root_task:
            raise SystemExit("No task specified")
        Register.get_task_cls(known.root_task)  # type: ignore[attr-defined]  # a misspelt task is told before its options
        self.known_args: Any = parser.parse_args(arguments)

    @classmethod
    def _early(cls, arguments: list[str]) -> Any:
        return cls._build_parser().parse_known_args(arguments)[0]

    @staticmethod
    def _build_parser(root_task: str | None = None, help_all: bool = False) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument("root_task", nargs="?", metavar="Required root task", help="Family of the task to run; needed.")
        for family, bare, name, parameter in task_register.get_all_params():
            wanted = family == root_task
            help_text = parameter.description if wanted or help_all or parameter.always_in_help else argparse.SUPPRESS
            if isinstance(help_text, str) and help_text is not argparse.SUPPRESS:
                help_text = help_text.replace("%", "%%")
            option = name if bare else f"{family}_{name}"
            parser.add_argument(f"--{option.replace('_', '-')}", help=help_text, **parameter._parser_kwargs(name, family))
            if wanted:
                parser.add_argument(f"--{name.replace('_', '-')}", help=help_text, **parameter._parser_kwargs(name))
        return parser

    @staticmethod
    def _possibly_exit_with_help(parser: argparse.ArgumentParser, known: Any) -> None:
        if getattr(known, "core_help", False) or getattr(known, "core_help_all", False):
            parser.print_help()
            sys.exit()

    def get_task_obj(self) -> Any:
        """The wanted task."""
        return self._get_task_cls()(**self._get_task_kwargs())

    def _get_task_cls(self) -> Any:
        return Register.get_task_cls(self.known_args.root_task)  # type: ignore[attr-defined]  # attached by task_register

    def _get_task_kwargs(self) -> dict[str, Any]:
        given = {name: (getattr(self.known_args, name), parameter) for name, parameter in self._get_task_cls().get_params()}
        return {name: parameter.parse(text) if isinstance(text, str) else text for name, (text, parameter) in given.items() if text}


def _know_sections() -> None:
    for name in SECTIONS:
        import_module(f"{__package__}.{name}")
    if get_config().getboolean("core", "autoload_range", True):
        import_module(f"{__package__}.tools.range")
