"""What parent and child say to each other, whole or in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada._model.messages import Fence
from levada._model.status import ExitClass
from levada._worker.executor import Ended, Job
from levada._worker.frames import LONGEST, Frames, frame, pack_ended, pack_ints, unpack_ended, unpack_ints
from levada._worker.shared import CLAIMED, RING, Shared

numbers = st.integers(0, 2**62)


@given(st.lists(st.tuples(st.sampled_from([b"A", b"B"]), st.binary(max_size=50)), max_size=8), st.integers(1, 40))
def test_frames_come_out_whole_however_they_are_cut(said: list[tuple[bytes, bytes]], piece: int) -> None:
    stream = b"".join(frame(kind, payload) for kind, payload in said)
    heard: list[tuple[bytes, bytes]] = []
    frames = Frames()
    for at in range(0, len(stream), piece):
        heard += frames.feed(stream[at : at + piece])
    assert heard == said


def test_a_frame_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes"):
        list(Frames().feed((LONGEST + 1).to_bytes(4, "little") + b"Z"))


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers, st.binary(min_size=16, max_size=16)), min_size=1, max_size=20))
def test_jobs_read_back_from_integers(rows: list[tuple[int, int, int, int, bytes]]) -> None:
    jobs = [Job(index, None, attempt, None, Fence(epoch, number), key) for index, attempt, epoch, number, key in rows]
    assert list(unpack_ints(pack_ints(jobs))) == rows


@given(st.text(), st.sampled_from(list(ExitClass)), st.lists(st.text(), max_size=3))
def test_an_end_reads_back_from_its_text(text: str, exit_class: ExitClass, errors: list[str]) -> None:
    ended = Ended(7, exit_class, text + "\udc80", tuple(errors), "f", 1.5, 2.5, 0.5, 3, text, "w")
    assert unpack_ended(pack_ended(1, ended), 7) == ended


def test_the_ring_gives_each_result_once_and_says_when_it_is_full() -> None:
    ring = Shared()
    assert all(ring.put(seq, 1.0, 2.0, 3.0, 4) for seq in range(1, RING + 1))
    assert not ring.put(RING + 1, 1.0, 2.0, 3.0, 4)
    assert [record[4] for record in ring.take()] == list(range(1, RING + 1))
    assert ring.put(RING + 1, 1.0, 2.0, 3.0, 4)
    assert ring.take() == [(1.0, 2.0, 3.0, 4, RING + 1)]
    assert ring.take() == []
    ring.close()


def test_a_ring_that_was_written_over_is_not_believed() -> None:
    ring = Shared()
    ring.words[3] = 10**9
    with pytest.raises(ValueError, match="broken"):
        ring.take()


def test_what_was_begun_cannot_be_taken_back() -> None:
    ring = Shared()
    ring.words[CLAIMED] = 5
    assert ring.take_back(9) == 5
