"""`HadoopJarJobTask`: a MapReduce program in a jar, in Luigi's spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from levada.errors import JobRefused

from . import outputs, streaming
from .task import BaseHadoopJobTask

if TYPE_CHECKING:
    from levada._model.engines import JobSpec


class HadoopJarJobTask(BaseHadoopJobTask):
    """A job that a jar's main class submits, and waits for; it has ended well when both have.

    The main class takes Hadoop's generic options (ToolRunner does that for it), since by these the job is found again.
    """

    def jar(self) -> str:
        """Path of the jar, a file that the worker can read."""
        raise NotImplementedError(f"{type(self).__name__} has to define jar()")

    def main(self) -> str:
        """The main class; "": the one that the jar names."""
        return ""

    def args(self) -> Sequence[Any]:
        """Arguments of the main class: texts, and targets for their paths. In the place of the output stands a temporary folder."""
        return []

    def libjars(self) -> Sequence[str]:
        """Further jars that the nodes need."""
        return []

    def command(self) -> Sequence[str]:
        """The jar, and the arguments with paths in the place of targets."""
        output = self._output_url()
        words = [self._word(one, output) for one in self.args()]
        if not any(self.submission in word for word in words):
            hint = "args() names self.output() where the program wants the folder that it writes."
            raise JobRefused(f"{self}: args() does not name the output {output}", hint=hint)
        return [str(self.jar()), *words]

    def options(self) -> Mapping[str, object]:
        """The main class and the properties of the job."""
        return {"main": str(self.main() or ""), "jobconf": self._jobconf(), "libjars": list(self.libjars()), **self._programs()}

    def job(self, submission: str) -> JobSpec:
        """The whole description; of Levada's variables those that YARN's scripts leave as they are."""
        spec = super().job(submission)
        return spec._replace(env={name: value for name, value in spec.env.items() if name != "LEVADA_TASK"})

    def _word(self, one: Any, output: str) -> str:
        if isinstance(one, str) or not hasattr(one, "exists"):
            return str(one)
        url = outputs.url_of(one, self)
        return streaming.with_name_node(outputs.draft(url, self.submission) if url == output else url)
