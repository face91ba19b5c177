"""What Slurm calls the states of a job, in our words."""

from __future__ import annotations

from signal import Signals

from levada._model.engines import JobState, JobStatus
from levada._model.values import NamedTuple

_WAITS = ("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_RUNS = ("RUNNING", "COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED")
_KILLED = {
    "BOOT_FAIL": "its nodes did not start",
    "CANCELLED": "it was cancelled",
    "DEADLINE": "it missed its deadline",
    "NODE_FAIL": "a node failed under it",
    "OUT_OF_MEMORY": "it took more memory than it had asked for",
    "PREEMPTED": "another job took its place",
    "REVOKED": "another cluster runs it",
    "TIMEOUT": "it ran longer than its time limit",
}
_NOT_LAUNCHED = 53  # the "signal" by which Slurm says that it could not open the job's log, or start it


class Ending(NamedTuple):
    """How a program ended: its exit status, and the signal (0: none)."""

    exit: int
    signal: int


def read_ending(text: str) -> Ending:
    """From "3:0", as sacct writes it, or from the number that wait() gave, as squeue does.

    >>> read_ending("3:0"), read_ending("768"), read_ending("9")
    (Ending(exit=3, signal=0), Ending(exit=3, signal=0), Ending(exit=0, signal=9))
    """
    status, colon, signal = text.strip().partition(":")
    if colon:
        return Ending(int(status), int(signal))
    raw = int(status)
    return Ending(raw >> 8 & 255, raw & 127)


def status_of(state: str, ending: str, reason: str = "") -> JobStatus:
    """A job's status from Slurm's words for it. A state that we do not know counts as one that has not ended.

    >>> status_of("FAILED", "3:0")
    JobStatus(state=<JobState.FAILED: 'failed'>, exit=3, message='FAILED 3:0', url='', progress=None, counts=mappingproxy({}))
    >>> status_of("CANCELLED by 1000", "0:15").message
    'CANCELLED by 1000: it was cancelled'
    """
    name, why = state.partition(" ")[0].rstrip("+"), "" if reason in ("", "None") else reason
    if name in _WAITS:
        return JobStatus(JobState.PENDING, message=f"{name} ({why})" if why else name)
    if name == "COMPLETED":
        return JobStatus(JobState.SUCCEEDED, 0)
    if name == "FAILED":
        return _failed(read_ending(ending), why)
    if name in _KILLED:
        more = f" ({why})" if why and why not in ("NonZeroExitCode", "TimeLimit", "OutOfMemory") else ""
        return JobStatus(JobState.KILLED, message=f"{state}: {_KILLED[name]}{more}")
    return JobStatus(JobState.RUNNING, message="" if name == "RUNNING" else name)


def _failed(ending: Ending, why: str) -> JobStatus:
    text, more = f"FAILED {ending.exit}:{ending.signal}", f" ({why})" if why and why != "NonZeroExitCode" else ""
    if ending.signal == _NOT_LAUNCHED:
        return JobStatus(JobState.FAILED, message=f"{text}{more}: Slurm could not start it; is [slurm] folder there on the nodes, too?")
    if ended_by := signal_name(ending.signal or ending.exit - 128):
        return JobStatus(JobState.KILLED, message=f"{text}: ended by {ended_by}; its log may say why (memory?)")
    return JobStatus(JobState.FAILED, ending.exit or None, f"{text}{more}")


def signal_name(number: int) -> str:
    """Its name, "" for what is no signal.

    >>> signal_name(9), signal_name(-128)
    ('SIGKILL', '')
    """
    try:
        return Signals(number).name
    except ValueError:
        return ""
