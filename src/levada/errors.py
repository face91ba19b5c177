"""Everything Levada raises on purpose.

Each error says what happened with the values that made it so; ``hint`` is the next step a person can
take, ``code`` is for machines and never changes, texts may improve any day. Standard library only.
"""

from __future__ import annotations

FROM_USERS = (Exception, SystemExit)
"""What methods of users raise: with ``sys.exit()`` among it, which would end the run as if all had gone well."""


class LevadaError(Exception):
    """Base of all errors raised on purpose; ``str()`` is one readable text, hint included."""

    code = "levada"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


def told(cause: BaseException) -> str:
    """``Class: text`` of any exception; without the text where its class fails to give one.

    >>> told(ValueError("no flights"))
    'ValueError: no flights'
    """
    return f"{type(cause).__name__}: {shown(cause)}"


def shown(value: object) -> str:
    """The text of any object of a user; its class where it fails to give one."""
    try:
        return str(value)
    except Exception:
        return f"({type(value).__name__} has no text)"


def headline(error: str) -> str:
    """The line of an attempt's error that says most: the exception's own, or words of ours before its traceback.

    Neither the hint that follows a message, nor the note of an ``on_failure``.

    >>> headline("Traceback (most recent call last):\\n  File 'a.py', line 3\\nlevada.errors.RunError: no flights\\n  Look at the drop.\\n")
    'levada.errors.RunError: no flights'
    """
    lines = error.strip("\n").splitlines()
    if lines and lines[0].startswith("  + Exception Group Traceback"):
        lines = [line[4:] for line in lines]
    if not lines or not lines[0].startswith((" ", "Traceback", "Exception Group Traceback")):
        return lines[0].strip() if lines else ""
    last = max((at for at, line in enumerate(lines) if line.startswith("Traceback")), default=0)
    frames = [at for at, line in enumerate(lines) if at >= last and line.startswith("  File ")]
    return next((line for line in lines[(frames or [last])[-1] + 1 :] if not line.startswith(" ")), "")


# -- authoring ---------------------------------------------------------------------------------


class DefinitionError(LevadaError, TypeError):
    """A task class is defined wrongly; all faults of one class are reported together."""

    code = "wrong-definition"


class ParameterError(LevadaError, ValueError):
    """A parameter has no value, one too many, or one of the wrong type."""

    code = "wrong-parameter"


class ParameterDefinitionError(DefinitionError, ParameterError):
    """A parameter is defined wrongly: choices without choices, a range without an end."""

    code = "wrong-definition"


class MissingParameter(ParameterError):
    """A parameter without default was given no value."""

    code = "missing-parameter"


class UnknownParameter(ParameterError):
    """A value was given for a parameter that the task does not have."""

    code = "unknown-parameter"


class DuplicateParameter(ParameterError):
    """One parameter was given by position and by name."""

    code = "duplicate-parameter"


class RegistryError(LevadaError, LookupError):
    """A family name leads to no class, or to several."""

    code = "registry"


class UnknownTask(RegistryError):
    """No task class of that name was imported."""

    code = "unknown-task"


class AmbiguousTask(RegistryError):
    """Several task classes share that name."""

    code = "ambiguous-task"


class ConfigError(LevadaError):
    """A configuration file, environment variable or option cannot be used."""

    code = "config"


class UsageError(LevadaError):
    """A command line cannot be understood."""

    code = "usage"


# -- hand-over ---------------------------------------------------------------------------------


class EngineError(LevadaError):
    """An engine that runs jobs elsewhere could not be used."""

    code = "engine"


class EngineUnreachable(EngineError):
    """An engine did not answer: nothing is known of the job. Never means that the job failed."""

    code = "engine-unreachable"


class JobRefused(EngineError):
    """An engine will not take a job as it is described; another try would end alike."""

    code = "job-refused"


class JobFailed(EngineError):
    """A job ended without success; ``state`` (a JobState) and ``exit`` (None: not known) say how, the hint shows what it said last."""

    code = "job-failed"

    def __init__(self, message: str, *, hint: str | None = None, state: str = "failed", exit: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.state, self.exit = state, exit


# -- targets -----------------------------------------------------------------------------------


class TargetError(LevadaError):
    """A target could not be used. Without a message: the first line of the class's docstring."""

    code = "target"

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).partition("\n")[0], hint=hint)


class TargetUnreachable(TargetError):
    """It is not known whether the target exists: its store did not answer. Never means absent."""

    code = "target-unreachable"

    def __init__(self, target: object, cause: object, *, hint: str | None = None) -> None:
        super().__init__(
            f"{shown(target)}: cannot tell whether it exists: {shown(cause)}",
            hint=hint or "What depends on it was not started. Is the store up, the path mounted, the permission there?",
        )
        self.target, self.cause = target, cause


class TargetExists(TargetError, FileExistsError):
    """A write-once target was there already when it was to be committed; the first one stays."""

    code = "target-exists"


class TargetWriteError(TargetError, OSError):
    """Writing failed (disk full, no permission); nothing half-written is left."""

    code = "target-write"


# -- planning ----------------------------------------------------------------------------------


class PlanError(LevadaError):
    """A task cannot be planned; see ``levada._plan`` for the list of faults of one plan."""

    code = "plan"


# -- scheduling and running --------------------------------------------------------------------


class SchedulerError(LevadaError):
    """The scheduler refused a command."""

    code = "scheduler"


class LeaseLost(SchedulerError):
    """A worker spoke for a task that is leased to another worker by now. newest: the fence of that one; None where it is not known."""

    code = "lease-lost"

    def __init__(self, task: object, *, held: object, newest: object | None) -> None:
        since = "a newer one" if newest is None else f"fence {newest}"
        super().__init__(
            f"{task}: fence {held} is void, {since} was granted since",
            hint="The worker was silent for longer than its lease.",
        )
        self.task, self.held, self.newest = task, held, newest


class InvalidCommand(SchedulerError, ValueError):
    """A command does not fit the scheduler's state; nothing was changed."""

    code = "invalid-command"


class ServerUnreachable(SchedulerError):
    """No address of the server gave an answer; nothing is known of what was asked.

    at_once: a connection that was kept from before had been closed meanwhile, so trying again at once makes sense.
    """

    code = "server-unreachable"

    def __init__(self, message: str, *, hint: str | None = None, at_once: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.at_once = at_once


class Refused(SchedulerError):
    """The server answered, and said no. ``status`` is HTTP's, ``code`` the server's own word for the reason.

    retry_after: seconds after which the same may succeed; None when it will not by itself.
    """

    code = "refused"

    def __init__(
        self, message: str, *, status: int, code: str = "refused", hint: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status, self.code, self.retry_after = status, code, retry_after


class RunError(LevadaError):
    """An attempt could not be carried out."""

    code = "run"


class StateFolderError(LevadaError):
    """The state folder cannot be used (missing rights, a network file system, wrong modes)."""

    code = "state-folder"


# -- the memory of a server --------------------------------------------------------------------


class StoreError(SchedulerError):
    """The store of a server could not be used; what was not committed is not there."""

    code = "store"


class StoreBusy(StoreError):
    """Another server holds the store; ``holder`` is what it said of itself."""

    code = "store-busy"

    def __init__(self, place: str, holder: str) -> None:
        super().__init__(
            f"{place} is held by another server: {holder or 'it gave no name'}",
            hint="One store has one server at a time. Use that one, stop it, or start this one as its standby.",
        )
        self.place, self.holder = place, holder


class Deposed(StoreError):
    """Another server took the store over; this one can commit nothing any more and must end."""

    code = "deposed"

    def __init__(self, place: str, *, epoch: int, newest: int) -> None:
        super().__init__(
            f"{place}: epoch {epoch} is void, a server with epoch {newest} took over",
            hint="This server was silent for too long, or an operator started another one. Workers find that one by themselves.",
        )
        self.place, self.epoch, self.newest = place, epoch, newest


class StoreFull(StoreError):
    """There is no room; the commit was undone as a whole and may be tried again."""

    code = "store-full"


class StoreBroken(StoreError):
    """Reading or writing failed below the store (the disk, the connection); a restart finds all that was acknowledged."""

    code = "store-broken"


class StoreCorrupt(StoreError):
    """The file is damaged or is no store; it was left as it is."""

    code = "store-corrupt"


class StoreNewer(StoreError):
    """A newer Levada wrote the store, in a form that this one does not know."""

    code = "store-newer"

    def __init__(self, place: str, *, schema: int, known: int) -> None:
        super().__init__(
            f"{place} has schema {schema}, this Levada knows {known}",
            hint="Start the newer Levada, or restore the backup that was made before its migration.",
        )
        self.place, self.schema, self.known = place, schema, known


class StoreReadOnly(StoreError):
    """This user may not write to the store."""

    code = "store-read-only"
