"""The audit trail: one line a change, in an order that nobody can alter unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada._server import scroll
from levada._server.scroll import START, signed, verify
from levada._store.ports import AuditRow
from levada._wire import operators as o
from tests.server.hosting import KINDS, S1, Served, key, served


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with served(request.param, tmp_path) as made:
        yield made


def rows_of(house: Served) -> list[AuditRow]:
    """As the store keeps them, oldest first."""
    return [line.row for line in reversed(house.host.store.audit(limit=1_000))]


def test_the_chain_holds_over_restarts_and_whoever_writes(house: Served) -> None:
    house.add({0: []})
    house.ask(o.Pause(reason="why"), token="t1")
    house.again()
    house.ask(o.Resume(), token="t2")
    house.ask(o.Cancel(key(0)), token="t3")

    rows = rows_of(house)

    assert [(row.who, row.action, row.address) for row in rows] == [
        ("w", "hello", "127.0.0.1"), ("t1", "pause", "127.0.0.1"), ("t2", "resume", "127.0.0.1"), ("t3", "cancel", "127.0.0.1"),
    ]  # fmt: skip
    assert verify(rows) is None
    assert rows[0].subject == S1


def test_a_line_that_was_changed_or_taken_out_is_found(house: Served) -> None:
    for total in range(5):
        house.ask(o.SetResource("disk", total, reason="r"))
    rows = rows_of(house)
    assert verify(rows) is None
    for place, row in enumerate(rows):
        for field, value in (("who", "x"), ("at", row.at + 1), ("subject", "x"), ("detail", "[]"), ("action", "x"), ("address", "x")):
            assert verify([*rows[:place], row._replace(**{field: value}), *rows[place + 1 :]]) == place
        if place < 4:
            assert verify([*rows[:place], *rows[place + 1 :]]) == place
    assert verify(rows[2:], rows[1].chain) is None


def test_what_is_told_of_a_line_is_enough_to_check_it(house: Served) -> None:
    """An export can be verified by whoever has it."""
    house.ask(o.SetResource("disk", 3, reason="Dürre"))
    house.ask(o.Pause())
    told = list(reversed(house.ask(o.Audit()).lines))
    rows = [
        AuditRow(
            line.at, line.token, line.address, line.action, line.subject,
            json.dumps([line.before, line.after, line.reason], ensure_ascii=False), bytes.fromhex(line.chain),
        )
        for line in told
    ]  # fmt: skip
    assert verify(rows) is None
    assert [line.number for line in told] == sorted(line.number for line in told)


def test_the_trail_is_told_page_by_page_newest_first(house: Served) -> None:
    for total in range(5):
        house.ask(o.SetResource("disk", total))
    seen, after = [], ""
    while True:
        page = house.ask(o.Audit(limit=2, after=after))
        seen += [line.after for line in page.lines]
        if page.next is None:
            break
        after = page.next
    assert seen == ["4", "3", "2", "1", "0"]


TEXT = st.text(max_size=20)


@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=6), st.data())
def test_fields_cannot_be_moved_into_each_other(lines: list[tuple[str, ...]], data: st.DataObject) -> None:
    rows, chain = list[AuditRow](), START
    for at, (who, action, subject, before, after, reason) in enumerate(lines):
        rows.append(signed(chain, float(at), who, "unix", action, subject, before, after, reason))
        chain = rows[-1].chain
    assert verify(rows) is None
    assert scroll.detail_of(rows[-1]) == lines[-1][3:]
    place = data.draw(st.integers(0, len(rows) - 1))
    row = rows[place]
    moved = row._replace(who=row.who + row.action, action="")
    assert verify([*rows[:place], moved, *rows[place + 1 :]]) == (None if moved == row else place)
