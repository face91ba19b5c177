"""A lean worker, one process and one session: registers graphs, claims, works, commits, reports, and notes all of it.

    python lean.py '{"addresses": [["127.0.0.1", 8782]], "token": "lvd_...", "log": PATH, "out": FOLDER, "name": "a", ...}'

What it notes are lines of one log that all write to (O_APPEND, so their order is that of the writes); the judge reads it
afterwards. It trusts nothing: requests are repeated, answers thrown away, and after each restart of the server it asks
whether everything that was acknowledged is still there. Only the standard library is loaded: it must start quickly.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import sys
import time
from hashlib import blake2b
from typing import Any

SLICE = 16  # tasks in a message
MARGIN = 0.3  # part of a lease after which it is not trusted without a question
AWAY = (OSError, http.client.HTTPException)
LATER = (401, 408, 421, 429, 500, 502, 503, 504, 507)


def boottime() -> float:
    """Seconds, the same for all processes of this machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def key_of(graph: int, number: int) -> str:
    """Of a task; the same in every process."""
    return blake2b(b"%d.%d" % (graph, number), digest_size=16).hexdigest()


def needs_of(graph: int, size: int) -> list[list[int]]:
    """What each task of a graph requires: up to three earlier ones."""
    dice = random.Random(graph)
    return [sorted({dice.randrange(number) for _ in range(dice.randrange(4))} if number else ()) for number in range(size)]


class Stopped(Exception):
    """No answer for too long."""


class Lean:
    """One session. ``give_up``: seconds without an answer after which the process ends with an error."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.addresses = [(host, port) for host, port in plan["addresses"]]
        self.token, self.out, self.name = plan["token"], plan["out"], plan["name"]
        self.dice = random.Random(plan.get("seed", self.name))
        self.give_up = plan.get("give_up", 60.0)
        self.tricks = plan.get("tricks", 0.05)  # share of requests that are repeated, or whose answer is thrown away
        self.fail = plan.get("fail", 0.03)
        self.pause = plan.get("pause", 0.01)
        self.size = plan.get("size", 48)
        self.resource = plan.get("resource", "")
        self.seconds = plan.get("timeout", 3.0)
        self._file = os.open(plan["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._at = 0
        self._connection: http.client.HTTPConnection | None = None
        self.session = plan.get("session") or os.urandom(16).hex()
        self.seq = self.epoch = 0
        self.lease = 60.0
        self.renewed = 0.0  # boottime clock
        self.held: dict[str, tuple[int, int, float]] = {}  # key -> epoch, number, valid until
        self.known: dict[str, bool] = {}  # acknowledged tasks of this graph; True: acknowledged as done

    def note(self, event: str, *more: Any) -> None:
        """A line of the log."""
        line = json.dumps([round(boottime(), 6), os.getpid(), event, *more]) + "\n"
        os.write(self._file, line.encode())

    # -- requests

    def _send(self, path: str, body: bytes, *, throw_away: bool) -> tuple[int, bytes]:
        if self._connection is None:
            host, port = self.addresses[self._at]
            self._connection = http.client.HTTPConnection(host, port, timeout=self.seconds)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wanted = json.loads(body).get("wait", 0.0) if path == "/v1/sync" else 0.0
        self._connection.sock.settimeout(self.seconds + wanted)
        self._connection.request("POST", path, body, {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        if throw_away:
            time.sleep(self.dice.random() * 0.02)
            raise ConnectionError("thrown away")
        response = self._connection.getresponse()
        return response.status, response.read()

    def drop(self, turn: bool = False) -> None:
        """Close the connection; turn: and try another address."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if turn:
            self._at = (self._at + 1) % len(self.addresses)

    def post(self, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The answer, however often it takes. Raises Stopped; SystemExit for a no that is no matter of time."""
        return json.loads(self.answer(path, json.dumps({"session": self.session, **fields}).encode()))

    def answer(self, path: str, body: bytes) -> bytes:
        """The bytes of a good answer."""
        until = time.monotonic() + self.give_up
        tries = 0
        while True:
            try:
                trick = self.dice.random() < self.tricks and tries == 0
                status, found = self._send(path, body, throw_away=trick)
            except AWAY as cause:
                self.drop(turn=str(cause) != "thrown away")
                why = repr(cause)
            else:
                if status == 200:
                    return found
                why = f"{status} {found[:300]!r}"
                if status == 409 and path == "/v1/bye" and "not known" in why:
                    return b""  # heard before, and its answer was lost
                if status == 409:
                    self._out_of_step(why)
                if status not in (*LATER, 409):
                    self.note("broken", f"{path} was answered {why}")
                    raise SystemExit(why)
                self.drop(turn=status in (421, 503))
            if time.monotonic() > until:
                self.note("gave-up", why)
                raise Stopped(why)
            tries += 1
            time.sleep(self.dice.uniform(0.005, min(0.2, 0.03 * tries)))

    def _out_of_step(self, why: str) -> None:
        """409: our numbers and the server's differ, which no crash may bring about; or an older connection was answered."""
        if "out-of-step" in why:
            self.note("broken", f"the server forgot our numbers, we are at {self.seq}: {why}")
            raise SystemExit(why)

    def numbered(self, path: str, **fields: Any) -> dict[str, Any]:
        """A request that changes the session's state. Now and then it is repeated, and must be answered alike."""
        self.seq += 1
        body = json.dumps({"session": self.session, "seq": self.seq, **fields}).encode()
        found = self.answer(path, body)
        said = json.loads(found)
        has_effect = path == "/v1/tasks" or said.get("granted") or any(fields.get(name) for name in ("done", "failed", "handed_back"))
        if has_effect and self.dice.random() < self.tricks:
            said = self._again(path, body, said)
        self._heed(said["epoch"])
        return said  # type: ignore[no-any-return]

    def _again(self, path: str, body: bytes, first: dict[str, Any]) -> dict[str, Any]:
        """Repeat what was answered. A claim that got nothing may get something now; all else must be the same."""
        again: dict[str, Any] = json.loads(self.answer(path, body))
        if path == "/v1/sync" and not any(first.get(name) for name in ("granted", "resumed", "cancel")):
            if first.get("lost") != again.get("lost"):
                self.note("broken", f"{path} {self.seq}: lost was {first.get('lost')}, then {again.get('lost')}")
            return again
        if again != first:
            self.note("broken", f"{path} {self.seq} was answered twice: {str(first)[:500]} and {str(again)[:500]}")
        return first

    def _heed(self, epoch: int) -> None:
        """A new epoch: is everything that was acknowledged still there?"""
        if epoch > self.epoch:
            self.epoch = epoch
            self.note("epoch", epoch)
            if self.known:
                self.look()

    def look(self) -> None:
        """Compare what the server says of our tasks with what it has acknowledged."""
        keys = sorted(self.known)
        for at in range(0, len(keys), 1000):
            rows = self.post("/v1/standing", {"keys": keys[at : at + 1000]})["tasks"]
            stands = {row["key"]: row["status"] for row in rows}
            for key in keys[at : at + 1000]:
                if key not in stands:
                    self.note("broken", f"task {key} was acknowledged, and is forgotten")
                elif self.known[key] and stands[key] != "done":
                    self.note("broken", f"task {key} was acknowledged as done, and is {stands[key]}")

    def close(self) -> None:
        """Give connection and log back."""
        self.drop()
        os.close(self._file)

    # -- what it does

    def hello(self) -> None:
        """Open the session."""
        asked = time.monotonic()
        said = self.post("/v1/hello", {"wire": [1], "levada": "chaos", "host": "chaos", "pid": os.getpid()})
        self.lease, self.seq = said["lease"], said["seq"]
        self.note("hello", self.name, self.session, round(time.monotonic() - asked, 3))
        self.epoch = max(self.epoch, said["epoch"])

    def register(self, graph: int) -> None:
        """In slices, which the server acknowledges."""
        needs = needs_of(graph, self.size)
        resources = [[self.resource, 1]] if self.resource and graph % 3 == 0 else []
        policy = {"family": f"Graph{graph % 5}", "resources": resources, "retry": {"attempts": 1000, "first": 0.02, "longest": 0.1}}
        self.known = {}
        for first in range(0, self.size, SLICE):
            numbers = range(first, min(first + SLICE, self.size))
            self.numbered(
                "/v1/tasks",
                policies=[policy],
                tasks=[[key_of(graph, number), 0, json.dumps({"graph": graph, "number": number})] for number in numbers],
                growth=[[key_of(graph, number), "".join(key_of(graph, need) for need in needs[number])] for number in numbers],
            )
            keys = [key_of(graph, number) for number in numbers]
            self.known.update(dict.fromkeys(keys, False))
            self.note("added", keys)

    def work_off(self) -> None:
        """Claim and report until all of the graph is done."""
        report: dict[str, Any] = {}
        while True:
            asked = boottime()
            room = self.dice.choice((1, 2, 4, 8))
            said = self.numbered("/v1/sync", room=room, wait=self.dice.choice((0.0, 0.2, 1.0)), **report)
            self._acknowledged(report, said)
            self.renewed = asked
            for key, epoch, number, attempt, lease, *_ in said.get("granted", ()):
                self.held[key] = (epoch, number, asked + lease * (1 - MARGIN))
                self.note("granted", key, epoch, number, attempt)
            if not said.get("granted") and not said.get("unfinished"):
                return
            report = self._worked()
            if not report:
                time.sleep(self.dice.random() * 0.02)

    def _acknowledged(self, report: dict[str, Any], said: dict[str, Any]) -> None:
        lost = set(said.get("lost", ()))
        for key, epoch, number in report.get("done", ()):
            self.note("lost" if key in lost else "done", key, epoch, number)
            if key not in lost and key in self.known:
                self.known[key] = True
        for row in report.get("failed", ()):
            self.note("lost" if row["key"] in lost else "failed", row["key"], row["epoch"], row["number"])
        for row in report.get("handed_back", ()):
            self.note("back", row["key"], row["epoch"], row["number"])

    def _worked(self) -> dict[str, Any]:
        """Work on what is held; what to report of it."""
        report: dict[str, Any] = {"done": [], "failed": [], "handed_back": [], "attempts": []}
        while self.held:
            self._renew_if_due()
            if not self.held:
                break
            key, (epoch, number, until) = next(iter(self.held.items()))
            started = time.time()
            how = self._attempt(key, epoch, number, until)
            del self.held[key]
            if how == "done":
                report["done"].append([key, epoch, number])
                report["attempts"].append([key, "Chaos", "{}", number, started, 0.0, "ok", "", "", 0.0, 0, self.name])
            elif how == "failed":
                row = {"key": key, "epoch": epoch, "number": number, "exit": "user", "draw": self.dice.random()}
                report["failed"].append(row)
            elif how == "back":
                report["handed_back"].append({"key": key, "epoch": epoch, "number": number, "reason": "chaos"})
        return {name: rows for name, rows in report.items() if rows}

    def _renew_if_due(self) -> None:
        """Leases of what waits its turn, each third of a lease."""
        asked = boottime()
        if asked < self.renewed + self.lease / 3:
            return
        self.renewed = asked
        held = [[key, epoch, number] for key, (epoch, number, _) in self.held.items()]
        lost = set(self.post("/v1/renew", {"held": held}).get("lost", ()))
        for key, epoch, number in held:
            if key in lost:
                self.note("lost", key, epoch, number)
                del self.held[key]
            else:
                self.held[key] = (epoch, number, asked + self.lease * (1 - MARGIN))

    def _attempt(self, key: str, epoch: int, number: int, until: float) -> str:
        if self.dice.random() < 0.02:
            return "back"
        if not self._may(key, epoch, number, until):
            return "lost"
        self.note("begin", key, epoch, number)
        time.sleep(self.dice.random() * (3.0 if self.dice.random() < 0.004 else 2 * self.pause))
        how = "failed" if self.dice.random() < self.fail else "done"
        if how == "done":
            how = self._commit(key, epoch, number, until)
        self.note("end", key, epoch, number, how)
        return how

    def _may(self, key: str, epoch: int, number: int, until: float) -> bool:
        """Whether the lease still holds: by the clock, else by asking."""
        if boottime() < until:
            return True
        said = self.post("/v1/confirm", {"key": key, "epoch": epoch, "number": number})
        if not said["newest"]:
            self.note("lost", key, epoch, number)
            return False
        self.post("/v1/renew", {"held": [[key, epoch, number]]})
        return True

    def _commit(self, key: str, epoch: int, number: int, until: float) -> str:
        """Written once: the first commit wins. The output names the fence that made it."""
        path = os.path.join(self.out, key)
        temporary = f"{path}.{epoch}.{number}.{os.getpid()}"
        with open(temporary, "x") as file:
            file.write(f"{epoch}.{number}\n")
        try:
            if not self._may(key, epoch, number, until):
                return "lost"
            os.link(temporary, path)
            self.note("commit", key, epoch, number)
        except FileExistsError:
            self.note("there", key, epoch, number)  # an attempt before committed, and died before its report
        finally:
            os.unlink(temporary)
        return "done"

    def run(self, first: int, step: int, stop: str, rounds: int) -> None:
        """Graph after graph, until a file is there that says stop."""
        self.hello()
        graph = first
        for _ in range(rounds):
            if os.path.exists(stop):
                break
            self.register(graph)
            self.work_off()
            self.look()
            self.note("graph", graph)
            graph += step
        self.seq += 1
        self.answer("/v1/bye", json.dumps({"session": self.session, "seq": self.seq}).encode())
        self.note("bye", self.name)


def main() -> None:
    plan = json.loads(sys.argv[1])
    Lean(plan).run(plan["first"], plan.get("step", 1), plan["stop"], plan.get("rounds", 1_000_000))


if __name__ == "__main__":
    main()
