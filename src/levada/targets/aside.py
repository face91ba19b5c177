"""Outputs that are moved aside, so that their task can be made again: to a name beside them, never over anything.

What attempts of the task have begun to write goes first: one that was given up for dead could take the free name with it. So
only stores can do this whose commit is a rename of something that can be removed before (local files, HDFS, FTP). In an
object store the last step of such an attempt is a request of its own, which nobody can take from it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from levada._model.values import NamedTuple
from levada.errors import TargetError

from . import atomic
from .stores import split_url

if TYPE_CHECKING:
    from levada._model.ports import Store


class Move(NamedTuple):
    """A file or folder, and the name that it will have. ``there`` is False where nothing has the name now.

    store: where it lives, and path and aside are URLs then; None: on this machine.
    """

    path: str
    aside: str
    there: bool
    store: Store | None = None


def planned(outputs: Iterable[Any], generation: int) -> list[Move]:
    """How the outputs of a task would move. Raises TargetError, naming each that cannot; nothing is changed."""
    moves: dict[str, Move] = {}
    faults: list[str] = []
    for target in outputs:
        try:
            move = _planned(target, generation)
            moves[move.path] = move
        except (TargetError, OSError) as fault:
            faults.append(fault.message if isinstance(fault, TargetError) else f"{target}: {fault.strerror}")
    if faults:
        raise TargetError("; ".join(faults), hint="Nothing was changed. Move such outputs away by hand before they are invalidated.")
    return list(moves.values())


def _planned(target: Any, generation: int) -> Move:
    from .folder import FolderTarget
    from .local import LocalTarget
    from .stores import FileTarget, LocalStore

    why = ""
    if isinstance(target, (LocalTarget, FolderTarget)):
        return _move(os.path.abspath(target.path), generation)
    if isinstance(target, FileTarget):
        store, place = target._whole()
        place = place.rstrip("/")
        if place and isinstance(store, LocalStore):
            return _move(os.path.abspath(store.local_path(place)), generation)
        if place and hasattr(store, "move"):
            return _move_stored(store, place, generation)
        why = f": {store!r} has no rename that is safe"
    raise TargetError(f"{target}: a {type(target).__name__} cannot be moved aside{why}")


def _move(path: str, generation: int) -> Move:
    aside, folder = f"{path}.invalidated-{generation}", os.path.dirname(path)
    there = _stands(path)
    if there is not None and not os.access(folder, os.W_OK | os.X_OK):
        raise TargetError(f"{path}: this user may not rename what is in {folder}")
    taken = _stands(aside)
    if there is not None and taken is not None and not os.path.samestat(there, taken):  # the same: we were killed between two steps
        raise TargetError(f"{aside}: exists already")
    return Move(path, aside, there is not None)


def _move_stored(store: Any, place: str, generation: int) -> Move:
    aside = f"{place}.invalidated-{generation}"
    there = store.exists(place)
    if there and store.exists(aside):
        raise TargetError(f"{store.url(aside)}: exists already")
    return Move(store.url(place), store.url(aside), there, store)


def _stands(path: str) -> os.stat_result | None:
    """What has the name, links not followed; None for nothing."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def clear(moves: Iterable[Move], key8: str) -> list[str]:
    """Remove what attempts of a task have begun to write beside these outputs, also those that live; the paths.

    key8: the first eight hex digits of the task's key.
    """
    moves = list(moves)
    stored = {os.path.dirname(move.path): move.store for move in moves if move.store is not None}
    removed = [path for folder, store in sorted(stored.items()) for path in _clear_stored(store, folder, key8)]
    for folder in sorted({os.path.dirname(move.path) for move in moves if move.store is None}):
        try:
            with os.scandir(folder) as entries:
                found = sorted((one.path, one.is_dir(follow_symlinks=False)) for one in entries if _is_of(one.name, key8))
        except (FileNotFoundError, NotADirectoryError):
            continue
        removed += [path for path, is_folder in found if atomic.remove_temporary(path, is_folder)]
        if left := [path for path, _ in found if os.path.lexists(path)]:
            raise TargetError(f"{left[0]}: what an earlier attempt has begun to write cannot be removed", hint="Remove it by hand.")
    return removed


def _clear_stored(store: Store, folder: str, key8: str) -> Iterator[str]:
    place = split_url(folder)[2]
    for entry in list(store.list(place)):
        if _is_of(entry.name, key8):
            try:
                store.remove(f"{place}/{entry.name}", recursive=True)
            except FileNotFoundError:
                continue
            yield f"{folder}/{entry.name}"


def _is_of(name: str, key8: str) -> bool:
    match = re.fullmatch(atomic.TEMPORARY, name, re.DOTALL)
    return match is not None and match["tag"].startswith(f"{key8}.")


def carry_out(move: Move) -> bool:
    """Move one aside; False where nothing was there. Raises TargetExists where the new name was taken meanwhile."""
    if move.store is not None:
        return _carry_out_stored(move, move.store)
    try:
        if os.path.isdir(move.path) and not os.path.islink(move.path):
            if _stands(move.aside):
                raise atomic.target_exists(move.aside)
            os.rename(move.path, move.aside)
        else:
            _move_file(move.path, move.aside)
        atomic.sync_folder(os.path.dirname(move.path))
    except FileNotFoundError:
        return False
    except OSError as cause:
        raise atomic.write_error(move.aside, cause) from cause
    return True


def _carry_out_stored(move: Move, store: Any) -> bool:
    try:
        store.move(split_url(move.path)[2], split_url(move.aside)[2], replace=False)
    except FileNotFoundError:
        return False
    return True


def _move_file(path: str, aside: str) -> None:
    """Two may do this at once, and the slower one must not take what was made anew since: what goes is looked at once it has gone."""
    try:
        os.link(path, aside)
    except FileExistsError:
        if not os.path.samestat(os.lstat(path), os.lstat(aside)):
            raise atomic.target_exists(aside) from None
    except OSError as cause:
        if cause.errno not in atomic._NO_LINKS:
            raise
        if _stands(aside):
            raise atomic.target_exists(aside) from None
        os.rename(path, aside)
        return
    private = os.path.join(os.path.dirname(path), f".levada-aside-{os.urandom(8).hex()}")
    os.rename(path, private)
    if os.path.samestat(os.lstat(private), os.lstat(aside)):
        os.unlink(private)
        return
    os.link(private, path)
    os.unlink(private)
    raise TargetError(f"{path}: was made again meanwhile, and stays", hint=f"What was there before is {aside}.")
