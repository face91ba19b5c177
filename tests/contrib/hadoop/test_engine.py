"""The engine on a real cluster: found by its tag, cancelled, remembered, forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import levada as lv
from levada._model.engines import JobSpec, JobState, JobStatus
from levada.contrib.hadoop import HadoopJarJobTask, places
from levada.contrib.hadoop.engine import HadoopEngine, open_engine
from levada.errors import EngineError, EngineUnreachable, JobRefused
from tests.contrib.hdfs.cluster import wait_for
from tests.contrib.ports import free_port

from .cluster import Yarn
from .jobs import Given


@pytest.fixture
def engine(yarn: Yarn) -> HadoopEngine:
    return open_engine("")


def spec(home: str, mapper: str, **more: object) -> JobSpec:
    """A job without a reducer that reads one line."""
    lv.FileTarget(f"{home}/text", mode="replace").write_text("x\n")
    argv = ("streaming", "-input", f"{home}/text", "-output", f"{home}/out-{os.urandom(3).hex()}", "-mapper", mapper)
    options = {"jobconf": {"mapreduce.job.reduces": 0, "mapreduce.job.maps": 1, "mapreduce.map.maxattempts": 1}}
    return JobSpec(f"lv-test-{os.urandom(4).hex()}", "Job(of='a tést')", argv, options=options)._replace(**more)  # type: ignore[arg-type]


def end_of(engine: HadoopEngine, handle: str) -> JobStatus:
    wait_for(lambda: engine.poll([handle])[0].state.is_ended, 600)
    return engine.poll([handle])[0]


def test_a_job_is_followed_by_one_question_and_found_by_its_submission(engine: HadoopEngine, home: str) -> None:
    job = spec(home, "cat")
    assert engine.find(job.submission) is None

    handle = engine.submit(job)

    assert engine.find(job.submission) == handle
    status = end_of(engine, handle)
    assert status.state is JobState.SUCCEEDED
    assert status.progress == 1.0
    assert status.url.startswith("http://")
    assert status.counts["TaskCounter/MAP_INPUT_RECORDS"] == 1
    engine.forget(handle)
    engine.forget(handle)


def test_what_the_resource_manager_forgot_is_asked_of_the_history_server(yarn: Yarn, engine: HadoopEngine, home: str) -> None:
    job = spec(home, "cat")
    handle = engine.submit(job)
    end_of(engine, handle)

    yarn.restart_manager()

    assert yarn.applications() == []
    assert engine.poll([handle])[0].state is JobState.SUCCEEDED
    assert engine.find(job.submission) == handle
    assert engine.poll(["application_1_0001 lv-of-another-cluster"])[0].state is JobState.FORGOTTEN
    engine.cancel(handle)
    engine.cancel("application_1_0001 lv-of-another-cluster")
    engine.forget(handle)


def test_a_job_is_cancelled_with_all_its_containers(yarn: Yarn, engine: HadoopEngine, home: str) -> None:
    handle = engine.submit(spec(home, "sleep 4711"))
    wait_for(lambda: running("sleep\0004711"), 400)

    engine.cancel(handle)

    assert end_of(engine, handle).state is JobState.KILLED
    wait_for(lambda: not running("sleep\0004711"), 60)
    engine.cancel(handle)
    engine.forget(handle)


def running(words: str) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().endswith(f"{words}\0".encode()):
                return True
        except OSError:
            continue
    return False


def test_a_job_ends_when_its_time_is_over(engine: HadoopEngine, home: str) -> None:
    handle = engine.submit(spec(home, "sleep 4712", seconds=5.0))
    status = end_of(engine, handle)
    assert status.state is JobState.KILLED
    assert "lifetime" in status.message.lower()
    engine.forget(handle)


def test_one_that_died_while_it_submitted_leaves_one_job_or_none(yarn: Yarn, engine: HadoopEngine, home: str) -> None:
    """Whoever finds none may submit: nothing appears afterwards."""
    root = Path(__file__).resolve().parents[3]
    for pause in (0.5, 2.0, 4.0):
        job = spec(home, "cat")
        program = (
            "import sys; from levada._model.engines import JobSpec; from levada.contrib.hadoop.engine import open_engine; "
            f"open_engine('').submit(JobSpec({job.submission!r}, {job.title!r}, {job.argv!r}, options={dict(job.options)!r}))"
        )
        process = subprocess.Popen([sys.executable, "-c", program], cwd=root, env={**os.environ, "PYTHONPATH": f"{root}/src"})
        time.sleep(pause)
        process.kill()
        process.wait()

        found = engine.find(job.submission)
        time.sleep(5)
        assert engine.find(job.submission) == found
        if found is None:
            found = engine.submit(job)
        assert end_of(engine, found).state is JobState.SUCCEEDED
        assert [one["id"] for one in yarn.applications() if one["applicationTags"] == job.submission] == [found.split()[0]]
        engine.forget(found)


class Jar(HadoopJarJobTask):
    """A program in a jar: that of Hadoop Streaming is one."""

    text: str
    into: str

    def requires(self) -> Given:
        return Given(url=self.text)

    def output(self) -> lv.FileTarget:
        return lv.FileTarget(self.into)

    def jar(self) -> str:
        return places.streaming_jar()

    def args(self) -> list[object]:
        return ["-input", self.input(), "-output", self.output(), "-mapper", "cat", "-numReduceTasks", "0"]


def test_a_jar_writes_beside_its_output_which_appears_whole(yarn: Yarn, home: str) -> None:
    lv.FileTarget(f"{home}/text").write_text("a\nb\n")
    assert lv.run(Jar(text=f"{home}/text", into=f"{home}/öut put")).status == "ok"
    store, path = lv.FileTarget(home).store, lv.FileTarget(home).path
    assert sorted(entry.name for entry in store.list(path)) == ["text", "öut put"]
    assert "_SUCCESS" in [entry.name for entry in store.list(f"{path}/öut put")]


# -- what is refused, and what is not known -----------------------------------------------------


def test_a_job_that_cannot_start_is_refused_with_hadoops_words(engine: HadoopEngine, home: str) -> None:
    job = spec(home, "cat")
    with pytest.raises(JobRefused, match="Input path does not exist"):
        engine.submit(job._replace(argv=("streaming", "-input", f"{home}/nothing", "-output", f"{home}/out", "-mapper", "cat")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"argv": ()}, "nothing to run"),
        ({"argv": ("/no/such.jar",)}, "no such jar"),
        ({"options": {"jobconfs": {}}}, "no option 'jobconfs'"),
        ({"options": {"jobconf": ["a=b"]}}, "expected a mapping"),
        ({"options": {"files": "a,b"}}, "lists of paths"),
        ({"folder": "/data"}, "gives each container its own"),
    ],
)
def test_what_the_engine_does_not_understand_is_refused(
    change: dict[str, object], words: str, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = JobSpec("lv-1", "Job()", ("streaming", "-mapper", "cat"))._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(JobRefused, match=words):
        open_engine("127.0.0.1:1").submit(job)


def test_a_resource_manager_that_is_away_says_nothing_of_jobs() -> None:
    engine = open_engine(f"127.0.0.1:{free_port()}")
    for ask in (lambda: engine.find("lv-1"), lambda: engine.poll(["application_1_1 lv-1"]), lambda: engine.cancel("application_1_1 lv-1")):
        with pytest.raises(EngineUnreachable, match="no answer"):
            ask()


def test_a_handle_of_something_else_is_told() -> None:
    with pytest.raises(EngineError, match="no handle of the engine hadoop"):
        open_engine("127.0.0.1:1").poll(["4711"])


# -- where Hadoop is ----------------------------------------------------------------------------


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that HADOOP_CONF_DIR names, and a `hadoop` that does nothing."""
    for name in [name for name in os.environ if name.startswith("HADOOP_")]:
        monkeypatch.delenv(name)
    command = tmp_path / "bin" / "hadoop"
    tools = tmp_path / "share" / "hadoop" / "tools" / "lib"
    for folder in (command.parent, tools):
        folder.mkdir(parents=True)
    command.write_text("#!/bin/sh\nexit 1\n")
    command.chmod(0o755)
    (tools / "hadoop-streaming-3.4.2.jar").touch()
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path / "conf"))
    (tmp_path / "conf").mkdir()
    return tmp_path / "conf"


def write(file: Path, **settings: str) -> None:
    properties = "".join(
        f"<property><name>{name.replace('__', '.')}</name><value>{value}</value></property>" for name, value in settings.items()
    )
    file.write_text(f"<configuration>{properties}</configuration>")


def test_the_resource_manager_is_that_of_the_configuration(configured: Path) -> None:
    write(configured / "yarn-site.xml", yarn__resourcemanager__hostname="rm7", yarn__resourcemanager__webapp__address="${yarn.x}:8088")
    assert places.managers("") == ["http://rm7:8088"]
    assert places.history("http://rm7:8088") == "http://rm7:19888"


def test_of_two_resource_managers_both_are_asked(configured: Path) -> None:
    settings = {
        "yarn.resourcemanager.ha.rm-ids": "a, b",
        "yarn.resourcemanager.webapp.address.a": "rm1:8088",
        "yarn.resourcemanager.hostname.b": "rm2",
    }
    write(configured / "yarn-site.xml", **{name.replace(".", "__"): value for name, value in settings.items()})
    write(configured / "mapred-site.xml", mapreduce__jobhistory__webapp__address="hist:1")
    assert places.managers("") == ["http://rm1:8088", "http://rm2:8088"]
    assert places.history("http://rm1:8088") == "http://hist:1"
    assert places.managers("rm9,https://rm8:8090") == ["http://rm9:8088", "https://rm8:8090"]


def test_without_a_resource_manager_it_is_said_who_names_one(configured: Path) -> None:
    with pytest.raises(EngineError, match="no resource manager is named") as told:
        open_engine("")
    assert "HADOOP_CONF_DIR" in str(told.value)


def test_a_configuration_that_is_none_is_told(configured: Path) -> None:
    (configured / "yarn-site.xml").write_text("<configuration>")
    with pytest.raises(EngineError, match=r"yarn-site\.xml: cannot be read"):
        places.managers("")


def test_without_hadoops_command_it_is_said_what_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="there is no such program"):
        places.command()
    with pytest.raises(JobRefused, match="hadoop-streaming"):
        places.streaming_jar()
