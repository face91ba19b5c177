"""The engine keeps the laws that all engines keep: as jobs of Hadoop Streaming whose mapper is a script."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

import levada as lv
from levada._model.engines import JobSpec, JobState
from levada.contrib.hadoop.engine import HadoopEngine, open_engine
from levada.errors import JobRefused
from levada.testing.engines import HOSTILE_WORDS, EngineLaws
from tests.conftest import takes_minutes

from .cluster import Yarn


@takes_minutes
class TestTheEngineHadoop(EngineLaws):
    patience = 600.0

    @pytest.fixture(autouse=True)
    def _input(self, yarn: Yarn, home: str) -> Iterator[None]:
        self.home, self.engines = home, list[HadoopEngine]()
        lv.FileTarget(f"{home}/text").write_text("x\n")
        yield
        for client in [client for engine in self.engines for client in engine._clients.values()]:
            client.end()

    def make_engine(self) -> HadoopEngine:
        self.engines.append(open_engine(""))
        return self.engines[-1]

    def spec(self, script: str, *words: str, **more: Any) -> JobSpec:
        """Its standard output is data of the job, so it says all on the other one."""
        argv = ("streaming", "-input", f"{self.home}/text", "-output", f"{self.home}/out-{os.urandom(4).hex()}", "-mapper", "sh law.sh")
        text = f"cat >/dev/null\nexec 1>&2\nset -- {shlex.join(words)}\n{script}\n"
        options = {
            "texts": {"law.sh": text},
            "jobconf": {"mapreduce.job.reduces": 0, "mapreduce.job.maps": 1, "mapreduce.map.maxattempts": 1},
            **more.pop("options", {}),
        }
        return super().spec(script, options=options, argv=argv, **more)

    def test_words_and_variables_arrive_as_they_are(self) -> None:
        """Variables that YARN would read are refused; those that it leaves alone arrive."""
        engine = self.make_engine()
        script = 'for word in "$@"; do printf "<%s>" "$word"; done; printf "[%s]" "$LEVADA_ODD"'
        spec = self.spec(script, *HOSTILE_WORDS)
        for value in ('"', "`ls`", "$HOME", "a\nb", "{{HOME}}"):
            with pytest.raises(JobRefused, match="would not arrive as it is"):
                engine.submit(spec._replace(env={"LEVADA_ODD": value}))
        handle = engine.submit(spec._replace(env={"LEVADA_ODD": "Ä (b), [c]: d=e@f/g-h+i;"}))
        assert self.ended(engine, handle).state is JobState.SUCCEEDED
        assert engine.logs(handle, most=10_000).count("[Ä (b), [c]: d=e@f/g-h+i;]") == 1
