"""Values that the tests of the store write."""

from __future__ import annotations

from levada._model.ports import Attempt
from levada._store.ports import AuditRow, GoalRow, LogChunk, SessionRow, TaskRow, TokenRow


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def task(index: int, family: str = "demo.Revenue", module: str | None = "demo.tasks") -> TaskRow:
    return TaskRow(index, key(index + 1000), family, f'{{"day":"2024-02-{index % 28 + 1:02d}","place":"Käse 🧀"}}', module)


def attempt(number: int, *, of: int = 1, exit: str = "ok", family: str = "demo.Revenue", error: str = "") -> Attempt:
    return Attempt(
        key(of), family, f'{{"n":{number}}}', number, 1.5e9 + number, 0.25, exit, error, "f" if error else "", 0.125, 4096, "host:1"
    )


def session(number: int, about: str = '{"host":"a"}') -> SessionRow:
    return SessionRow(key(number), 0, b"", 5.0, about)


def chunk(offset: int, text: str = "line\n", *, of: int = 1, epoch: int = 1, number: int = 1, at: float = 1.0) -> LogChunk:
    return LogChunk(key(of), epoch, number, offset, text, at)


def audit(number: int, at: float = 1.0) -> AuditRow:
    return AuditRow(at, "token 1", "127.0.0.1", "cancel", f"task {number}", '{"before":"ready"}', bytes([number % 256]) * 32)


def token(name: str, created: float = 1.0) -> TokenRow:
    return TokenRow(name, name.encode().ljust(32, b"."), "worker", "", "of a test", created, None, None, None)


def goal(number: int, *, trigger: str = "nightly", family: str = "demo.Revenue", state: str = "wanted", ended: float = 0.0) -> GoalRow:
    return GoalRow(number, key(number + 5000), 1.0 + number, ended, trigger, family, '{"day":"2024-02-29"}', state, '{"cause":"Käse"}')
