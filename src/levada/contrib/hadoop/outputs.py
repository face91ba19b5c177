"""Output of a job: a folder that is written under another name, and takes its own in one step.

Stores are reached by URL; what is asked of one beside the port is that it moves folders, as HDFS does.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from levada.errors import EngineError, JobRefused, TargetError
from levada.targets.atomic import before_commit, is_leftover
from levada.targets.stores import LocalStore, open_store

if TYPE_CHECKING:
    from levada._model.ports import Store

SUCCESS = "_SUCCESS"


class Moving(Protocol):
    """A store that gives a folder another name in one step."""

    def move(self, path: str, new: str, *, replace: bool) -> None:
        """Raises FileNotFoundError, or TargetExists when the name is taken."""
        ...


def url_of(target: Any, task: object) -> str:
    """The URL of a target, without a slash at its end; a plain path is one of HDFS, as the targets of HDFS have it."""
    url = getattr(target, "full_url", None) or getattr(target, "url", None) or getattr(target, "path", None)
    if not isinstance(url, str) or not url.strip("/"):
        raise JobRefused(f"{task}: {target!r} has no path", hint='A job reads and makes HdfsTargets, or FileTargets with "hdfs://...".')
    url = url.rstrip("/")
    if "://" in url or not _is_of_hdfs(target):
        return url
    return f"hdfs://{url}"


def _is_of_hdfs(target: object) -> bool:
    """Whether it is one of the targets whose plain paths are HDFS's: it says so by the store that it lives in."""
    store = getattr(target, "store", None)
    return getattr(store, "scheme", "") == "hdfs"


def is_local(url: str) -> bool:
    """Whether it lives in a local folder."""
    return isinstance(open_store(url)[0], LocalStore)


def draft(url: str, submission: str) -> str:
    """The folder that the job of a submission writes to, beside its output."""
    folder, _, name = url.rpartition("/")
    return f"{folder}/.{name}.{submission}.job"


def commit(url: str, submission: str, *, replace: bool) -> None:
    """Give what the job has written its name. Done already: nothing happens. Raises TargetExists when another was first."""
    store, path = open_store(url)
    made = open_store(draft(url, submission))[1]
    if not store.exists(f"{made}/{SUCCESS}"):
        if store.exists(path) and not store.exists(made):
            return
        hint = "Run again. Jobs leave that file unless `mapreduce.fileoutputcommitter.marksuccessfuljobs` says otherwise."
        raise EngineError(f"{url}: the job has ended well, and there is no {SUCCESS} in {draft(url, submission)}", hint=hint)
    before_commit()
    if store.exists(path) and (replace or is_leftover(url)):
        with suppress(FileNotFoundError):
            store.remove(path, recursive=True)
    move(store, made, path, url)


def drop(url: str, submission: str) -> None:
    """Remove what a job has written, if it wrote anything."""
    store, path = open_store(draft(url, submission))
    with suppress(FileNotFoundError):
        store.remove(path, recursive=True)


def move(store: Store, path: str, new: str, url: str) -> None:
    """Give a folder another name, which must be free. Raises TargetExists, or TargetError where the store cannot do that."""
    by: Moving | None = store if hasattr(store, "move") else None  # type: ignore[assignment]  # the port has no such verb
    if by is None:
        raise TargetError(f"{url}: its store ({store!r}) cannot move folders", hint="Let the job write to HDFS.")
    by.move(path, new, replace=False)
