"""The tables of a store and the numbered steps that led to them.

Laws: a step is one transaction, so that a crash at any statement leaves the old form or the new one; steps
are never edited once released and never go back. A change comes in two steps, in two releases: the first adds
what the code before it survives (its ``oldest_reader`` stays), the second cleans up. The same text serves
SQLite and PostgreSQL; only the names of types differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

APPLICATION = 0x4C564441
"""What a file of ours has as SQLite's ``application_id``: LVDA."""

SQLITE_TYPES: Mapping[str, str] = {"int": "integer", "real": "real", "text": "text", "blob": "blob", "strict": " strict"}
POSTGRES_TYPES: Mapping[str, str] = {"int": "bigint", "real": "double precision", "text": "text", "blob": "bytea", "strict": ""}


class Migration(NamedTuple):
    """One step. oldest_reader: the smallest step whose code can still work with the outcome."""

    number: int
    oldest_reader: int
    text: str  # statements that end with ";\n"; types in braces: {int} {real} {text} {blob}; tables end with {strict}

    def statements_for(self, types: Mapping[str, str]) -> list[str]:
        """The statements in a dialect; the last one notes that the step was taken."""
        noted = (
            f"insert into meta (name, value) values ('schema', '{self.number:d}'), ('oldest_reader', '{self.oldest_reader:d}') "  # noqa: S608 - numbers
            "on conflict (name) do update set value = excluded.value"
        )
        return [*(statement for statement in self.text.format_map(types).split(";\n") if statement.strip()), noted]


FIRST = """
create table meta (name {text} primary key, value {text} not null){strict};

-- Who may write: one row. beat: the database's own clock, where it is a server; backend: the process behind it.
create table holder (
  one {int} primary key, epoch {int} not null, owner {text} not null, clean {int} not null, beat {real} not null, backend {int} not null
){strict};
insert into holder values (1, 0, '', 1, 0, 0);

-- Families and modules, which a million tasks share.
create table names (id {int} primary key, text {text} not null unique){strict};
create table tasks (idx {int} primary key, key {blob} not null, family {int} not null, params {text} not null, module {int}){strict};
create index tasks_by_family on tasks (family, idx);

create table journal (seq {int} primary key, changes {blob} not null){strict};
create table parts (id {int} primary key, snapshot {int} not null, name {text} not null, data {blob} not null){strict};
create table sessions (
  id {blob} primary key, number {int} not null, seen {real} not null, about {text} not null, answer {blob} not null
){strict};

-- Attempts: what ended well in packs of a batch, named by their last id; each failure by itself.
create table packs (id {int} primary key, at {real} not null, count {int} not null, data {blob} not null){strict};
create table failures (
  id {int} primary key, at {real} not null, key {blob} not null, family {text} not null, task {text} not null, number {int} not null,
  started {real} not null, seconds {real} not null, exit {text} not null, fingerprint {text} not null, cpu {real} not null,
  rss {int} not null, worker {text} not null, error {text} not null
){strict};
create index failures_by_key on failures (key, id);

create table logs (
  id {int} primary key, at {real} not null, key {blob} not null, epoch {int} not null, number {int} not null, start {int} not null,
  text {text} not null
){strict};
create unique index logs_by_attempt on logs (key, epoch, number, start);

create table audit (
  id {int} primary key, at {real} not null, who {text} not null, address {text} not null, action {text} not null,
  subject {text} not null, detail {text} not null, chain {blob} not null
){strict};
create table idempotency (id {int} primary key, at {real} not null, key {text} not null unique, answer {blob} not null){strict};
create table tokens (
  id {text} primary key, digest {blob} not null unique, role {text} not null, namespace {text} not null, label {text} not null,
  created {real} not null, expires {real}, used {real}, revoked {real}
){strict};
"""

TRIGGERS = """
-- What makes tasks wanted by itself, and what became of it; JSON that the host alone reads.
create table triggers (name {text} primary key, spec {text} not null, state {text} not null){strict};

-- What somebody or something wanted. ended: 0 while it is live; key: equal for equal causes, so that it is made once.
create table goals (
  id {int} primary key, key {blob} not null unique, made {real} not null, ended {real} not null, trigger_name {text} not null,
  family {text} not null, params {text} not null, state {text} not null, data {text} not null
){strict};
create index goals_by_end on goals (ended, id);
create index goals_by_trigger on goals (trigger_name, id);
"""

MARKS = """
-- What workers with another protocol say of a task beyond what a task is; the host's own text.
create table marks (idx {int} primary key, text {text} not null){strict};
"""

MIGRATIONS: Sequence[Migration] = (Migration(1, 1, FIRST), Migration(2, 1, TRIGGERS), Migration(3, 1, MARKS))

TABLES: Mapping[str, str] = {
    "meta": "name, value",
    "holder": "one, epoch, owner, clean, beat, backend",
    "names": "id, text",
    "tasks": "idx, key, family, params, module",
    "journal": "seq, changes",
    "parts": "id, snapshot, name, data",
    "sessions": "id, number, seen, about, answer",
    "packs": "id, at, count, data",
    "failures": "id, at, key, family, task, number, started, seconds, exit, fingerprint, cpu, rss, worker, error",
    "logs": "id, at, key, epoch, number, start, text",
    "audit": "id, at, who, address, action, subject, detail, chain",
    "idempotency": "id, at, key, answer",
    "tokens": "id, digest, role, namespace, label, created, expires, used, revoked",
    "triggers": "name, spec, state",
    "goals": "id, key, made, ended, trigger_name, family, params, state, data",
    "marks": "idx, text",
}
"""Every table with its columns as of the newest step; the first column is the primary key."""


def newest(migrations: Sequence[Migration]) -> int:
    """The step that this code knows last."""
    return migrations[-1].number
