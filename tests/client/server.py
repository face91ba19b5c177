"""A server for the tests of clients: the real brain behind the standard library's HTTP server, with faults on demand.

It keeps the rules that the wire promises: the last number of a session gets its first answer again, another
one than the next is out of step, an answer that is held is given at once when its request is repeated.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from levada._core.brain import Brain
from levada._model import messages as m
from levada._model.spec import Growth, Policy, Retry, TaskSpec
from levada._model.status import ExitClass, Status
from levada._wire import limits
from levada._wire import messages as w
from levada.errors import InvalidCommand

TOKEN = "lvd_test"


class Problem(Exception):
    """An answer that says no."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.document = status, {"type": f"urn:levada:error:{code}", "title": code, "detail": detail, "code": code, **more}


class Session:
    """What the server knows of a session beside the brain."""

    def __init__(self) -> None:
        self.seq = 0
        self.answer = b""
        self.parked: threading.Event | None = None
        self.generation = 0
        self.tasks: list[int] = []


class Server:
    """Listens on a free port of loopback, or on a unix socket. Faults are attributes; ``log`` is what arrived: (path, body)."""

    def __init__(self, lease: float = 60.0, *, epoch: int = 1, port: int = 0, brain: Brain | None = None) -> None:
        self.brain = brain or Brain(epoch, lease, lock_delay=0.0)
        self.lease, self.epoch = lease, epoch
        self.sessions: dict[str, Session] = {}
        self.keys: list[str] = []
        self.index: dict[str, int] = {}
        self.params: dict[str, str] = {}
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.raw: list[tuple[str, bytes]] = []
        self.attempts: list[list[Any]] = []
        self.mute = 0  # so many requests are carried out and not answered: the connection just ends
        self.deaf = 0  # so many are not even carried out
        self.mute_paths: tuple[str, ...] = ()
        self.say_no: Problem | None = None
        self.lock = threading.RLock()
        self.ticking = True
        self._port = port
        self._http: ThreadingHTTPServer | None = None
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()
        self.start()

    # -- life

    def start(self) -> None:
        """Listen (again, on the same port)."""
        owner = self
        self.open: list[Any] = []

        class Handler(_Handler):
            server_of = owner

        class Http(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients go away as they like

        self._http = Http(("127.0.0.1", self._port), Handler)
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away: no new connection is taken, those that are there end."""
        http, self._http = self._http, None
        if http is None:
            return
        http.shutdown()
        http.server_close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(2)

    def close(self) -> None:
        self.ticking = False
        self.stop()
        self._ticker.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _tick(self) -> None:
        while self.ticking:
            time.sleep(0.02)
            with self.lock:
                if self._http is not None and self.brain.state.sessions:
                    self.brain.handle(m.Tick(), time.monotonic())
                    self._wake()

    def _wake(self) -> None:
        for session in self.sessions.values():
            if session.parked is not None:
                session.parked.set()

    # -- requests

    def handle(self, path: str, body: bytes, token: str) -> bytes:
        if token != TOKEN:
            raise Problem(401, "no-token", "no token was given that is known here", hint="Set LEVADA_TOKEN.")
        self.raw.append((path, body))
        self.log.append((path, json.loads(body)))
        if self.say_no is not None:
            raise self.say_no
        kind, method = _TABLE[path]
        try:
            command = msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as cause:
            raise Problem(400, "malformed", str(cause)) from cause
        try:
            return self._numbered(command, method) if hasattr(command, "seq") else msgspec.json.encode(method(self, command))
        except InvalidCommand as cause:
            raise Problem(422, "invalid-command", str(cause)) from cause

    def _numbered(self, command: Any, method: Any) -> bytes:
        with self.lock:
            session = self.sessions.get(command.session)
            if session is None:
                raise Problem(409, "out-of-step", "the session is not known")
            if command.seq == session.seq:
                session.generation += 1  # whoever is held gets the same empty answer
                if session.parked is not None:
                    session.parked.set()
                return session.answer
            if command.seq != session.seq + 1:
                raise Problem(409, "out-of-step", f"number {command.seq} does not follow {session.seq}")
            answer = method(self, command)
            session.seq, session.answer = command.seq, msgspec.json.encode(answer)
            session.generation += 1
            self._wake()
        if getattr(command, "wait", 0) and not (answer.granted or answer.lost or answer.cancel or answer.resumed):
            return self._held(command, session)
        return session.answer

    def _held(self, command: w.Sync, session: Session) -> bytes:
        until, mine = time.monotonic() + command.wait, session.generation
        again = msgspec.structs.replace(command, done=[], failed=[], handed_back=[], suspended=[], found=[], attempts=[])
        while time.monotonic() < until:
            event = session.parked = threading.Event()
            event.wait(until - time.monotonic())
            with self.lock:
                if session.generation != mine:
                    return session.answer
                answer = self._sync(again)
                session.answer = msgspec.json.encode(answer)
                if answer.granted or answer.lost or answer.cancel or answer.resumed or not answer.active:
                    return session.answer
        return session.answer

    def _hello(self, command: w.Hello) -> w.HelloAnswer:
        with self.lock:
            session = self.sessions.setdefault(command.session, Session())
            self.brain.handle(m.Hello(m.SessionId(command.session)), time.monotonic())
            held = [
                w.Leased(self.keys[index], *self.brain.state.fence(index))  # type: ignore[misc]
                for index, holder in self.brain.state.holder.items()
                if holder == command.session and self.brain.state.status[index] == Status.RUNNING
            ]
            most = w.Limits(limits.BODY, limits.TASKS, limits.ITEMS, limits.EDGES, limits.HELD, limits.ROOM, limits.WAIT)
            return w.HelloAnswer(1, self.epoch, self.lease, session.seq, held, "test", most)

    def _tasks(self, command: w.AddTasks) -> w.AddTasksAnswer:
        session = self.sessions[command.session]
        specs = []
        policies = [_policy(each) for each in command.policies]
        for item in command.tasks:
            if item.key not in self.index:
                self.index[item.key] = len(self.keys)
                self.keys.append(item.key)
            self.params[item.key] = item.params
            session.tasks.append(self.index[item.key])
            specs.append(TaskSpec(self.index[item.key], policies[item.policy], item.priority, item.batch))
        growth = [Growth(self.index[one.key], [self.index[key] for key in _split(one.requires)], one.closed) for one in command.growth]
        add = m.AddTasks(m.SessionId(command.session), specs, growth, command.complete, command.reopen)
        self.brain.handle(add, time.monotonic())
        told = []
        for spec in specs:
            status = Status(self.brain.state.status[spec.index])
            if status in (Status.DONE, Status.FAILED, Status.DISABLED, Status.CANCELLED):
                told.append(w.Told(self.keys[spec.index], str(status), "told by the test"))
        return w.AddTasksAnswer(self.epoch, told)

    def _sync(self, command: w.Sync) -> w.SyncAnswer:
        of = self.index
        self.attempts += [[item.family, item.exit, item.error] for item in command.attempts]
        sync = m.Sync(
            m.SessionId(command.session),
            [(of[one.key], m.Fence(one.epoch, one.number)) for one in command.done],
            [m.Failed(of[f.key], m.Fence(f.epoch, f.number), ExitClass(f.exit), tuple(f.errors), f.draw, f.final) for f in command.failed],
            [m.HandedBack(of[b.key], m.Fence(b.epoch, b.number), b.after, b.reason) for b in command.handed_back],
            [m.Suspended(of[s.key], m.Fence(s.epoch, s.number), [of[k] for k in _split(s.requires)]) for s in command.suspended],
            [of[key] for key in command.found],
            command.room,
        )
        reply = self.brain.handle(sync, time.monotonic())[1]
        names = self.keys
        return w.SyncAnswer(
            self.epoch,
            [self._grant(one) for one in reply.granted],
            [names[index] for index in reply.resumed],
            [names[index] for index in reply.lost],
            [names[index] for index in reply.cancel],
            reply.ask_again_after if reply.active and not self._only_leases() else None,
            reply.unfinished,
            reply.active,
        )

    def _only_leases(self) -> bool:
        return not any(status == Status.RETRYING for status in self.brain.state.status)

    def _grant(self, one: m.Grant) -> w.GrantRow:
        batch = [self._grant(member) for member in one.batch]
        return w.GrantRow(self.keys[one.index], one.fence.epoch, one.fence.number, one.attempt, self.lease, batch)

    def _renew(self, command: w.Renew) -> w.RenewAnswer:
        with self.lock:
            held = tuple((self.index[one.key], m.Fence(one.epoch, one.number)) for one in command.held if one.key in self.index)
            reply = self.brain.handle(m.Renew(m.SessionId(command.session), held), time.monotonic())[1]
            lost = [self.keys[index] for index in reply.lost] + [one.key for one in command.held if one.key not in self.index]
            return w.RenewAnswer(self.epoch, lost, [self.keys[index] for index in reply.cancel])

    def _confirm(self, command: w.Confirm) -> w.ConfirmAnswer:
        with self.lock:
            fence = m.Fence(command.epoch, command.number)
            newest = self.brain.handle(m.Confirm(m.SessionId(command.session), self.index[command.key], fence), time.monotonic())[1]
            return w.ConfirmAnswer(bool(newest), self.epoch)

    def _bye(self, command: w.Bye) -> w.ByeAnswer:
        self.brain.handle(m.Bye(m.SessionId(command.session)), time.monotonic())
        return w.ByeAnswer(self.epoch)

    def _standing(self, command: w.Standing) -> w.StandingAnswer:
        with self.lock:
            tasks = list(dict.fromkeys(self.sessions[command.session].tasks))
            counts = [0] * len(Status)
            rows = []
            for index in tasks:
                view = self.brain.view(index, time.monotonic())
                counts[view.status] += 1
                wanted = command.keys is None or self.keys[index] in command.keys
                if wanted and (command.statuses is None or str(view.status) in command.statuses):
                    unmet = [self.keys[each] for each in view.unmet]
                    rows.append(
                        w.StandingTask(self.keys[index], str(view.status), view.reason, view.attempts, view.retry_in, view.short_of, unmet)
                    )
            first = int(command.after or 0)
            more = str(first + command.limit) if len(rows) > first + command.limit and command.limit else None
            return w.StandingAnswer(rows[first : first + command.limit], counts, more)

    # -- what tests do to it

    def status(self, number: int) -> Status:
        """Of the task that was registered as the so-many-th."""
        with self.lock:
            return Status(self.brain.state.status[number])

    def steal(self, number: int, thief: str = "f" * 32) -> None:
        """Let another session have a task that runs, as if its lease had lapsed."""
        with self.lock:
            now = time.monotonic()
            self.brain.handle(m.Hello(m.SessionId(thief)), now)
            self.sessions.setdefault(thief, Session())
            policy = self.brain.state.policy_of(number)
            self.brain.handle(m.AddTasks(m.SessionId(thief), [TaskSpec(number, policy)], []), now)
            self.brain.handle(m.Tick(), now)
            holder = self.brain.state.holder.get(number)
            if holder is not None and self.brain.state.status[number] == Status.RUNNING:
                fence = self.brain.state.fence(number)
                assert fence is not None
                self.brain.handle(m.Sync(holder, handed_back=[m.HandedBack(number, fence, 0.0)]), now)
            self.brain.handle(m.Sync(m.SessionId(thief), room=1), now)
            assert self.brain.state.holder.get(number) == thief, "the thief did not get it"

    def requests(self, path: str) -> list[dict[str, Any]]:
        return [body for at, body in self.log if at == path]


def _split(keys: str) -> list[str]:
    return [keys[at : at + 32] for at in range(0, len(keys), 32)]


def _policy(spec: w.PolicySpec) -> Policy:
    retry = spec.retry
    exceptions = tuple((one.name, one.attempts) for one in retry.exceptions)
    return Policy(
        spec.family,
        tuple((one.name, one.amount) for one in spec.resources),
        Retry(retry.attempts, retry.first, retry.longest, retry.disable_after, retry.window, exceptions),
        spec.timeout,
        spec.batch_limit,
        spec.disabled,
    )


_TABLE: dict[str, tuple[Any, Any]] = {
    "/v1/hello": (w.Hello, Server._hello),
    "/v1/tasks": (w.AddTasks, Server._tasks),
    "/v1/sync": (w.Sync, Server._sync),
    "/v1/renew": (w.Renew, Server._renew),
    "/v1/confirm": (w.Confirm, Server._confirm),
    "/v1/bye": (w.Bye, Server._bye),
    "/v1/standing": (w.Standing, Server._standing),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of: Server

    def setup(self) -> None:
        super().setup()
        self.server_of.open.append(self.request)

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()
        with suppress(ValueError):
            self.server_of.open.remove(self.request)

    def do_POST(self) -> None:
        owner = self.server_of
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if owner.deaf > 0 and self._meant():
            owner.deaf -= 1
            self.close_connection = True
            return
        try:
            status, answer, kind = 200, owner.handle(self.path, body, token), "application/json"
        except Problem as no:
            status, answer, kind = no.status, json.dumps({**no.document, "status": no.status}).encode(), "application/problem+json"
        if owner.mute > 0 and self._meant():
            owner.mute -= 1
            self.close_connection = True
            return
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def _meant(self) -> bool:
        return not self.server_of.mute_paths or self.path in self.server_of.mute_paths

    def log_message(self, format: str, *args: Any) -> None:
        pass


def unix_path(folder: Path) -> str:
    """A path short enough for a socket."""
    return os.path.join(folder, "s")
