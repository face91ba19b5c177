"""Slurm with accounting, and a controller that forgets soon: the way of jobs is told from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from levada._model.engines import JobState
from levada.contrib.slurm import SlurmEngine
from levada.contrib.slurm.engine import read_handle
from levada.contrib.slurm.folder import JobFolder
from levada.errors import EngineError, EngineUnreachable

from .cluster import Cluster, wait_for
from .jobs import counted, end_of, spec


@pytest.mark.timeout(300)
def test_jobs_that_the_controller_has_forgotten_are_in_the_accounting(
    accounted: Cluster, accounted_engine: SlurmEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = accounted_engine
    well, ill = engine.submit(spec("true")), engine.submit(spec("sh", "-c", "exit 3"))
    cancelled, late = engine.submit(spec("sleep", "1000")), engine.submit(spec("sleep", "1000", seconds=3600))
    never = engine.submit(spec("true", options={"hold": True}))
    wait_for(lambda: [status.state for status in engine.poll([cancelled, late])] == [JobState.RUNNING] * 2)
    accounted.run("scontrol", "update", f"JobId={read_handle(late).job}", "EndTime=now")
    for handle in (cancelled, never):
        engine.cancel(handle)
    handles = [well, ill, cancelled, late, never]
    soon = [end_of(engine, handle) for handle in handles]
    wait_for(lambda: not accounted.run("squeue", "--noheader", "--states=all"), 150)

    asked = counted(tmp_path, monkeypatch, "squeue", "sacct", "scontrol")
    later = engine.poll(handles)
    assert asked() == 2
    assert [status.state for status in later] == [status.state for status in soon]
    assert [status.exit for status in later] == [0, 3, None, None, None]
    cancel, time_out = "CANCELLED by 0: it was cancelled", "TIMEOUT: it ran longer than its time limit"
    assert [status.message for status in later] == ["", "FAILED 3:0", cancel, time_out, cancel]

    for handle in handles[:4]:
        wait_for(lambda handle=handle: JobFolder(read_handle(handle).folder).noted())  # type: ignore[misc]
    accounted.stop_accounting()
    try:
        assert [(status.state, status.exit) for status in engine.poll(handles[:4])] == [
            (JobState.SUCCEEDED, 0), (JobState.FAILED, 3), (JobState.KILLED, None), (JobState.KILLED, None),
        ]  # fmt: skip
        with pytest.raises(EngineUnreachable, match=r"[Cc]onnection refused"):
            engine.poll(handles)  # nobody knows of the last one
    finally:
        accounted.start_accounting()
    assert list(engine.poll(handles)) == list(later)
    assert engine.poll([str(read_handle(well)._replace(job="999999", folder="/nowhere"))])[0].state is JobState.FORGOTTEN


def test_a_cluster_is_named_by_the_address(accounted: Cluster, accounted_engine: SlurmEngine) -> None:
    folder = accounted_engine._folder
    engine = SlurmEngine("levada", folder=folder)
    job = spec("sleep", "1000")
    handle = engine.submit(job)
    wait_for(lambda: engine.poll([handle])[0].state is JobState.RUNNING)
    assert engine.find(job.submission) == handle
    (attempt,) = engine._folder_of(job.submission).tries()
    Path(read_handle(handle).folder, attempt, "owner").unlink()
    assert engine.find(job.submission) == handle
    engine.cancel(handle)
    assert end_of(engine, handle).state is JobState.KILLED
    with pytest.raises(EngineUnreachable, match="nosuch"):
        SlurmEngine("nosuch", folder=folder).poll([handle])


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(EngineError, match="name of a cluster"):
        SlurmEngine("a b")
