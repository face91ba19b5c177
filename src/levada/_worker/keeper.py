"""The keeper: a small process beside a worker that renews its leases and stops the clock of attempts that may not go on.

It is forked before any thread and any child, runs no code of users and takes no lock of the worker's; so it works while a
task holds the interpreter, and while the worker is stopped. Two threads: one asks the server and may wait for it as
long as it likes, the other looks at the clock ten times a second or so and acts (docs/promises.md, section 3):

* no answer until a lease may have lapsed: the attempt is frozen (SIGSTOP), or stopped, or left alone, as ``cut_off`` says;
* answer ok: it goes on (SIGCONT), nothing was lost;
* answer lost: SIGKILL, its temporaries are removed. In the worker's own thread it is interrupted first;
* a worker that somebody else has stopped for longer than a lease is not renewed, nor an attempt beyond its timeout;
* the worker died: what we stopped is killed, and we end.
"""

from __future__ import annotations

import gc
import os
import re
import select
import signal
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

import msgspec

from .._client.clock import backoff, boottime, margin_of
from .._client.session import Link
from .._client.transport import ELSEWHERE, Transport
from .._wire import limits
from .._wire import messages as w
from .._wire.kinds import Held
from ..errors import ConfigError, Refused, SchedulerError
from ..targets.atomic import TEMPORARY, noted_folders, remove_temporary, trail
from . import procfs
from .guard import CALL
from .leases import AWAY, BEAT, CANCEL, FROZE, FROZEN, GAVE_UP, LOST, REACHED, Leases, Seen

FREEZE, CONTINUE, STOP = "freeze", "continue", "stop"
_REVIVALS = 5  # keepers that may die in a worker's life
_SWEEP_PATIENCE = 10.0  # seconds that a killed process may take to be gone


class Keeping(NamedTuple):
    """How to keep leases; times in seconds.

    margin: None for what the promises say. cut_off: what becomes of an attempt whose lease may have lapsed.
    kill_after: between SIGTERM and SIGKILL. overtime: beyond its timeout that an attempt is still renewed.
    last_breath: that an interrupted attempt has to end.
    """

    link: Link
    session: str
    lease: float
    margin: float | None = None
    cut_off: str = FREEZE
    kill_after: float = 10.0
    overtime: float = 15.0
    last_breath: float = 2.0

    @property
    def span(self) -> float:
        """Seconds that a lease is valid after it was asked for, as the worker reckons."""
        return self.lease - (margin_of(self.lease) if self.margin is None else self.margin)

    @property
    def tick(self) -> float:
        """Seconds between two looks at the clock."""
        return min(0.25, max(0.02, self.lease / 40))


class Keeper:
    """The worker's side: starts the process, sees to it that it lives, ends it. Start it before threads and children exist."""

    def __init__(self, leases: Leases, keeping: Keeping) -> None:
        if keeping.cut_off not in (FREEZE, CONTINUE, STOP):
            raise ConfigError(f"cut_off is {FREEZE}, {CONTINUE} or {STOP}, got {keeping.cut_off!r}")
        self._leases, self._keeping = leases, keeping
        self._owner = os.getpid()
        self._revivals = 0
        self.pid = self._start()
        leases.on_look = self.look

    def _start(self) -> int:
        parent, folders = os.getpid(), trail()
        pid = os.fork()
        if pid == 0:
            _keep(self._leases, self._keeping, parent, folders)
        return pid

    def look(self) -> None:
        """Start another when it has died. Raises SchedulerError when that happened too often."""
        if self.pid < 0 or os.getpid() != self._owner or not _ended(self.pid):
            return
        self._revivals += 1
        if self._revivals > _REVIVALS:
            self.pid = -1
            raise SchedulerError(f"the process that renews leases died {self._revivals} times", hint="Its last words are on stderr.")
        self.pid = self._start()

    def close(self) -> None:
        """End it. Harmless to repeat."""
        self._leases.on_look = None
        if self.pid < 0 or os.getpid() != self._owner:
            return
        pid, self.pid = self.pid, -1
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def _ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


# -- the process -------------------------------------------------------------------------------


def _keep(leases: Leases, keeping: Keeping, worker: int, folders: str) -> NoReturn:
    """The keeper's life."""
    status = 70
    try:
        _settle()
        asking = Asking(leases, keeping, worker)
        judge = Judge(leases, keeping, worker, asking, folders)
        asking.start()
        judge.watch()
        status = 0
    except BaseException:
        import traceback

        _say(traceback.format_exc())
    finally:
        os._exit(status)


def _settle() -> None:
    """A session of our own, no signals of the terminal, no descriptors of the worker's but stderr."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        if callable(signal.getsignal(number)) or number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.closerange(3, 1 << 16)
    gc.disable()
    gc.freeze()


def _say(text: str) -> None:
    """A line to stderr, without locks; nobody may be there to read it."""
    try:
        os.write(2, f"levada: {text}\n".encode("utf-8", "replace"))
    except OSError:
        pass


class Asking(threading.Thread):
    """Renews: each third of a lease, and without limit while there is no answer."""

    def __init__(self, leases: Leases, keeping: Keeping, worker: int) -> None:
        super().__init__(name="levada-renew", daemon=True)
        self._leases, self._keeping, self._worker = leases, keeping, worker
        self.lock = threading.Lock()  # whoever writes the keeper's words holds it
        self.paused = False  # the worker is stopped, and not by us: its leases are left to lapse
        self.trouble = ""  # why the last request was not answered
        self._epoch = 0
        self._failures = 0
        self._passed = 0  # addresses in a row whose server stands by
        self._retry_at = 0.0  # monotonic clock
        self._asked_late: dict[int, float] = {}  # serial -> when its fence was last confirmed instead of renewed

    def run(self) -> None:
        """Until the process ends."""
        transport = self._open()
        while True:
            time.sleep(self._keeping.tick)
            if time.monotonic() < self._retry_at or self.paused:
                continue
            try:
                self._round(transport)
            except Refused as fault:
                self._note_refusal(fault, transport)
            except SchedulerError as fault:
                self._note_failure(fault.message)
                transport.turn()
            except Exception as fault:  # whatever it is, the attempts' clocks depend on our going on
                self._note_failure(f"{type(fault).__name__}: {fault}")
                transport.drop()

    def _open(self) -> Transport:
        patience = min(self._keeping.link.answer_timeout, max(1.0, self._keeping.lease / 4))
        return self._keeping.link._replace(answer_timeout=patience).open("levada-keeper")

    def _note_refusal(self, fault: Refused, transport: Transport) -> None:
        """A server that only stands by was turned away from already, and the next address is asked at once."""
        if fault.status not in ELSEWHERE:
            transport.turn()
        elif self._passed < transport.others:
            self._passed += 1
            return
        self._note_failure(fault.message)

    def _note_failure(self, words: str) -> None:
        """Ask again later, but so soon that a lease which begins anew with the server's return is renewed in time."""
        self._failures += 1
        self._passed = 0
        self.trouble = words
        pause = backoff(self._failures, int.from_bytes(os.urandom(4), "big") / 2**32)
        self._retry_at = time.monotonic() + min(pause, max(0.5, self._keeping.lease / 4))
        self._leases.words[AWAY] = self._failures

    def _round(self, transport: Transport) -> None:
        """Ask, when it is time."""
        now = boottime()
        renewed, late = self._sorted(now)
        due = now + self._keeping.span - self._keeping.lease / 3
        if any(self._leases.valid_until(one.slot) < due for one in renewed):
            for first in range(0, len(renewed), limits.HELD):
                self._renew(transport, renewed[first : first + limits.HELD])
        for one in late:
            self._confirm(transport, one, now)

    def _sorted(self, now: float) -> tuple[list[Seen], list[Seen]]:
        """Leases to be renewed, and those whose attempts are beyond their timeout."""
        leases = self._leases
        renewed: list[Seen] = []
        late: list[Seen] = []
        for slot in leases.taken():
            if leases.is_lost(slot):
                continue
            seen = leases.seen(slot)
            if seen.serial:
                (late if leases.overtime(slot, now) > self._keeping.overtime else renewed).append(seen)
        return renewed, late

    def _renew(self, transport: Transport, asked: list[Seen]) -> None:
        sent = boottime()
        command = w.Renew(self._keeping.session, [Held(one.key.hex(), *one.fence) for one in asked])
        answer = msgspec.json.decode(transport.call("/v1/renew", msgspec.json.encode(command)), type=w.RenewAnswer)
        self._believe(answer.epoch)
        until, lost, cancel = sent + self._keeping.span, set(answer.lost), set(answer.cancel)
        with self.lock:
            for one in asked:
                if self._leases.seen(one.slot) != one:
                    continue  # it ended meanwhile
                key = one.key.hex()
                if key in lost:
                    self._leases.flag(one.slot, LOST)
                    continue
                self._leases.extend(one.slot, until)
                if key in cancel and not self._leases.flags(one.slot) & CANCEL:
                    self._leases.flag(one.slot, CANCEL)

    def _confirm(self, transport: Transport, one: Seen, now: float) -> None:
        """It holds its task for too long: let the lease lapse, and hear whether another has the task by now."""
        if now < self._asked_late.get(one.serial, 0.0) + self._keeping.lease / 3:
            return
        self._asked_late = {serial: at for serial, at in self._asked_late.items() if at > now - self._keeping.lease}
        self._asked_late[one.serial] = now
        command = w.Confirm(self._keeping.session, one.key.hex(), *one.fence)
        answer = msgspec.json.decode(transport.call("/v1/confirm", msgspec.json.encode(command)), type=w.ConfirmAnswer)
        self._believe(answer.epoch)
        with self.lock:
            if not answer.newest and self._leases.seen(one.slot) == one:
                self._leases.flag(one.slot, LOST)

    def _believe(self, epoch: int) -> None:
        """An answer counts, unless a server gave it that was deposed and does not know it."""
        if epoch < self._epoch:
            raise SchedulerError(f"a server of epoch {epoch} answered, {self._epoch} was there before")
        self._epoch = epoch
        self._failures, self._passed, self._retry_at = 0, 0, 0.0
        self._leases.words[AWAY] = 0
        self._leases.clocks[REACHED] = boottime()


class Judge:
    """Looks at the clock, and acts on the processes of attempts. Groups are process ids; a negative one is a thread of the worker."""

    def __init__(self, leases: Leases, keeping: Keeping, worker: int, asking: Asking, folders: str) -> None:
        self._leases, self._keeping, self._worker, self._asking, self._folders = leases, keeping, worker, asking, folders
        self._frozen: dict[int, list[procfs.Process]] = {}  # process -> what else we stopped with it
        self._stopped_since: float | None = None  # boottime: the worker is stopped, and not by us
        stops = keeping.cut_off == STOP  # SIGTERM comes early enough that SIGKILL does not come late
        self._notice = min(keeping.kill_after, keeping.lease / 3) if stops else 0.0
        self._stopping: dict[int, float] = {}  # serial -> when patience with an attempt ends that was asked to stop
        self._sweeps: list[tuple[int, str, float]] = []  # process, tag, until when it is waited for
        self._looked = boottime()

    def watch(self) -> None:
        """Until the worker is gone."""
        while os.getppid() == self._worker:
            now = boottime()
            self._leases.clocks[BEAT] = now
            self._look_at_worker(now)
            self._look_at_attempts(now)
            self._sweep(now)
            self._looked = now
            select.select((), (), (), self._keeping.tick)
        self._worker_died()

    def _look_at_worker(self, now: float) -> None:
        """Somebody may have stopped it (Ctrl-Z, SIGSTOP): for a lease that is forgiven."""
        if self._worker in self._frozen:
            return
        if not procfs.is_stopped(self._worker):
            self._stopped_since, self._asking.paused = None, False
        elif self._stopped_since is None:
            self._stopped_since = now
        elif now - self._stopped_since > self._keeping.lease:
            self._asking.paused = True

    def _look_at_attempts(self, now: float) -> None:
        expired: dict[int, list[int]] = {}
        leases = self._leases
        for slot in leases.taken():
            group = leases.group(slot)
            if not group:
                continue
            if leases.is_lost(slot):
                self._take_away(slot, group, now)
            elif now >= leases.valid_until(slot) - self._notice and self._keeping.cut_off != CONTINUE:
                expired.setdefault(abs(group), []).append(slot)
            if abs(group) in self._frozen:
                with self._asking.lock:
                    leases.clocks[leases.hear(slot) + FROZE] += now - self._looked
        for group, slots in expired.items():
            if self._keeping.cut_off == FREEZE:
                self._freeze(group, slots)
            else:
                self._give_up(group, slots, now)
        for group in [group for group in self._frozen if group not in expired]:
            self._thaw(group)

    # -- freezing

    def _freeze(self, group: int, slots: list[int]) -> None:
        if group == self._worker and self._asking.paused:
            return  # it is stopped already; when somebody wakes it, it is ours to stop
        first = group not in self._frozen
        if first and not self._is_ours(group):
            return
        self._send(group, signal.SIGSTOP)  # again each time: somebody else may have woken it
        if not first:
            return
        others: list[procfs.Process] = []
        if group == self._worker:
            others = [one for one in procfs.descendants(group) if one.pid != os.getpid()]
            _signal_all(others, signal.SIGSTOP)
            _say(
                f"{self._asking.trouble or 'the server has not answered yet'}: stopped until it does; signals wait until then, too, "
                f"only kill -9 {group} ends it"
            )
        self._frozen[group] = others
        with self._asking.lock:
            for slot in slots:
                self._leases.flag(slot, FROZEN)

    def _thaw(self, group: int) -> None:
        others = self._frozen.pop(group)
        _signal_all(others, signal.SIGCONT)
        self._send(group, signal.SIGCONT)
        if group == self._worker:
            _say(f"the server answers: going on (process {group})")
        with self._asking.lock:
            for slot in self._leases.taken():
                if abs(self._leases.group(slot)) == group:
                    self._leases.unflag(slot, FROZEN)

    def _send(self, group: int, number: int) -> None:
        """To the whole group of a child; to the worker alone, whose group others may be in."""
        try:
            os.kill(group, number) if group == self._worker else os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            pass

    def _is_ours(self, group: int) -> bool:
        """Whether the number still means a child of our worker."""
        return group == self._worker or procfs.parent_of(group) in (self._worker, None)

    # -- ending

    def _take_away(self, slot: int, group: int, now: float) -> None:
        """The fence is void: the attempt ends now."""
        if group == self._worker:
            self._interrupt(slot, now, self._keeping.last_breath)
        elif group > 0 and self._leases.serial(slot) not in self._stopping and self._is_ours(group):
            self._stopping[self._leases.serial(slot)] = now
            self._kill(group, slot, now)
        elif group < 0 and -group in self._frozen:
            self._thaw(-group)  # a thread cannot be ended; it cannot commit either

    def _give_up(self, group: int, slots: list[int], now: float) -> None:
        """``cut_off`` is stop: SIGTERM, and SIGKILL later."""
        for slot in slots:
            serial = self._leases.serial(slot)
            if not self._leases.flags(slot) & GAVE_UP:
                with self._asking.lock:
                    self._leases.flag(slot, GAVE_UP)
            if group == self._worker:
                self._interrupt(slot, now, self._notice)
            elif serial not in self._stopping:
                self._stopping[serial] = now + self._notice
                self._send(group, signal.SIGTERM)
            elif now > self._stopping[serial]:
                self._kill(group, slot, now)

    def _interrupt(self, slot: int, now: float, patience: float) -> None:
        """Have the worker's own thread raise in run(); who does not end then (a call into C) is killed with the worker."""
        serial, worker = self._leases.serial(slot), self._worker
        if serial not in self._stopping:
            self._stopping[serial] = now + patience
            if CALL is not None:
                self._send(worker, CALL)
            if worker in self._frozen:
                self._thaw(worker)
        elif now > self._stopping[serial]:
            _say(f"a lease was lost and the attempt does not end: killing process {worker}")
            _signal_all([one for one in procfs.descendants(worker) if one.pid != os.getpid()], signal.SIGKILL)
            self._kill(worker, slot, now)

    def _kill(self, group: int, slot: int, now: float) -> None:
        """SIGKILL to a group and to descendants that left it; its temporaries are removed when it is gone."""
        strays = procfs.descendants(group) if group != self._worker else []
        self._send(group, signal.SIGKILL)
        _signal_all([one for one in strays if one.pid != os.getpid()], signal.SIGKILL)
        self._frozen.pop(group, None)
        if self._folders:
            self._sweeps.append((group, self._leases.tag(slot), now + _SWEEP_PATIENCE))

    def _sweep(self, now: float) -> None:
        for one in list(self._sweeps):
            pid, tag, until = one
            if procfs.is_gone(pid) or now > until:
                self._sweeps.remove(one)
                remove_temporaries(self._folders, pid, tag)

    def _worker_died(self) -> None:
        """Children end with their parent; what we have stopped cannot, and nobody else would look for it."""
        for group, others in self._frozen.items():
            if group != self._worker:
                self._send(group, signal.SIGKILL)
            _signal_all(others, signal.SIGKILL)
        for pid, tag, _ in self._sweeps:
            remove_temporaries(self._folders, pid, tag)


def _signal_all(processes: Iterable[procfs.Process], number: int) -> None:
    for one in processes:
        if procfs.still(one):
            try:
                os.kill(one.pid, number)
            except (ProcessLookupError, PermissionError):
                pass


def remove_temporaries(folders: str, pid: int, tag: str) -> list[str]:
    """Remove what an attempt of a process left half-written; the paths. folders: where processes note the folders they write in."""
    removed: list[str] = []
    noted = {folder for name in (f"{folders}.{pid}", f"{folders}.{pid}~") for folder in noted_folders(name)}
    for folder in sorted(noted):
        try:
            with os.scandir(folder) as entries:
                found = [(one.path, one.is_dir(follow_symlinks=False)) for one in entries if _bears(one.name, tag)]
        except OSError:
            continue
        removed += [path for path, is_folder in found if remove_temporary(path, is_folder)]
    return removed


def _bears(name: str, tag: str) -> bool:
    match = re.fullmatch(TEMPORARY, name, re.DOTALL)
    return match is not None and match["tag"] == tag
