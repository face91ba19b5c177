"""A server's life that ends by kill -9: ``python committer.py URL`` commits for ever, and prints what was acknowledged.

First line: ``loaded SEQ EPOCH``, after all that the store holds was found to tell one story. Then a number
for each commit that returned. Exit status 3 and a reason when the story does not hold together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from levada._store import opening, sqlite
from levada._store.ports import Answer, Batch, Loaded, Store, TaskRow

SESSION = b"s" * 16
SMALL = 40_000  # bytes in the log until a heartbeat moves them: often


def parts_at(seq: int) -> list[tuple[str, bytes]]:
    return [("columns", b"%d," % seq * 20_000), ("names", b"%d" % seq)]


def batch_at(seq: int) -> Batch:
    key = seq.to_bytes(16, "big")
    return Batch(
        float(seq), seq=seq, changes=b"%d;" % seq * (seq % 500), tasks=[TaskRow(seq, key, f"f{seq % 40}", f"{seq}", None)],
        answers=[Answer(SESSION, seq, b"answer %d" % seq)],
        attempts=[(key, "f", "", seq, 1.0, 1.0, "ok" if seq % 3 else "user", "", "", 0.0, 0, "w")], idempotency=[(f"{seq}", b"%d" % seq)],
    )  # fmt: skip


def faults(loaded: Loaded) -> Iterator[str]:
    """Why what was loaded is not the outcome of the batches 1 to ``loaded.seq``."""
    seq, rows = loaded.seq, list(loaded.journal)
    if [number for number, _ in rows] != list(range(loaded.snapshot + 1, seq + 1)):
        yield f"the journal from {loaded.snapshot} to {seq} has gaps: {[number for number, _ in rows][:50]}"
    if any(changes != batch_at(number).changes for number, changes in rows):
        yield "the journal has other changes"
    if loaded.parts != (dict(parts_at(loaded.snapshot)) if loaded.snapshot else {}):
        yield f"the parts are not those of {loaded.snapshot}"
    if [row for task in range(1, seq + 1) for row in batch_at(task).tasks] != list(loaded.tasks):
        yield "there are other tasks"
    if [(row.number, row.answer) for row in loaded.sessions] != ([(seq, b"answer %d" % seq)] if seq else []):
        yield f"the session does not stand at {seq}: {loaded.sessions}"


def work(store: Store, seq: int) -> Iterator[int]:
    """Commit, with all that may come between commits; the number of each commit that returned."""
    checkpoint: Iterator[int] = iter(())
    while True:
        seq += 1
        store.commit(batch_at(seq))
        yield seq
        if next(checkpoint, None) is None and seq % 7 == 0:
            checkpoint = store.checkpoint(seq, parts_at(seq))
        if seq % 5 == 0:
            store.heartbeat()


def main(url: str) -> None:
    sqlite.LOG = SMALL
    store = opening.open_store(url)
    epoch = store.take_over("committer", wait=20.0)
    loaded = store.load()
    if found := list(faults(loaded)):
        print("; ".join(found), flush=True)
        sys.exit(3)
    print("loaded", loaded.seq, epoch, flush=True)
    for seq in work(store, loaded.seq):
        print(seq, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
