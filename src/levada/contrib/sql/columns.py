"""Columns as tasks declare them, and the table that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Engine, MetaData, Table
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError
from sqlalchemy.types import TypeEngine, UserDefinedType

from levada.errors import TargetError

from .engines import words


class Spelled(UserDefinedType[Any]):
    """A type in the database's own words: ``VARCHAR(255)``, ``SERIAL PRIMARY KEY``."""

    cache_ok = True

    def __init__(self, words: str) -> None:
        self.words = words

    def get_col_spec(self, **_: object) -> str:
        """The words, as they are."""
        return self.words


def column(declared: object) -> Column[Any]:
    """A column from a Column, a name, ``(name, type)`` or ``(name, "SQL")``, or Luigi's ``([name, type], {options})``.

    Raises ValueError for anything else.
    """
    match declared:
        case Column():
            return declared._copy()  # a column belongs to one table, and the class makes several
        case str():
            return Column(declared)
        case [str(name), str(spelled)]:
            return Column(name, Spelled(spelled))
        case [str(name), TypeEngine() as kind]:
            return Column(name, kind)
        case [str(name), type() as kind]:
            return Column(name, _type(kind))
        case [[str(), *_] as arguments, Mapping() as options]:
            luigis: Any = arguments
            return Column(*luigis, **options)
    raise _no_column(declared)


def _type(kind: type) -> type[TypeEngine[Any]]:
    if not issubclass(kind, TypeEngine):
        raise ValueError(f'a column has a type of SQLAlchemy (Integer, Date), or SQL ("DATE"), got {kind!r}')
    return kind


def _no_column(declared: object) -> ValueError:
    return ValueError(f'a column is a Column, a name, (name, type) or (name, "SQL type"), got {declared!r}')


def declared(name: str, schema: str, columns: Sequence[object]) -> Table:
    """The table of these columns. Raises ValueError where they are none."""
    if not columns:
        raise ValueError(f"table {name}: no columns; declare them, or say reflect = True for those that the database knows")
    return Table(name, MetaData(), *map(column, columns), schema=schema or None)


def reflected(engine: Engine, name: str, schema: str) -> Table:
    """The table as the database knows it. Raises TargetError where there is none, or where the dialect cannot tell."""
    place = f"{engine.url.render_as_string(hide_password=True)} {name}"
    try:
        return Table(name, MetaData(), schema=schema or None, autoload_with=engine)
    except NoSuchTableError as cause:
        raise TargetError(f"{place}: there is no such table", hint="Make it, or declare its columns in place of reflect.") from cause
    except SQLAlchemyError as cause:
        raise TargetError(f"{place}: its columns cannot be learnt: {words(cause)}", hint="Declare them in place of reflect.") from cause


def make(engine: Engine, table: Table) -> None:
    """Make the table unless it is there; of several that do so at once all go on. Raises TargetError, SQLAlchemyError."""
    from sqlalchemy import inspect

    if inspect(engine).has_table(table.name, schema=table.schema):
        return
    if untyped := [each.name for each in table.columns if each.type._isnull]:
        raise TargetError(
            f"{engine.url.render_as_string(hide_password=True)} {table.name}: is not there, "
            f"and these columns have no type: {', '.join(untyped)}",
            hint="Declare (name, type), or make the table first.",
        )
    try:
        table.create(engine)
    except SQLAlchemyError:
        if not inspect(engine).has_table(table.name, schema=table.schema):
            raise
