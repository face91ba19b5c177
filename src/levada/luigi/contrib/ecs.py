"""``luigi.contrib.ecs``: tasks of Amazon's Elastic Container Service, handed over as `levada.contrib.aws` does: run once."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any, ClassVar

from levada._model.engines import JobSpec, JobStatus
from levada.contrib import aws
from levada.errors import JobRefused
from levada.handover.engines import open_engine
from levada.params import OptionalDictParameter, OptionalParameter, StrParameter
from levada.task import repr_of

logger = logging.getLogger("luigi-interface")

POLL_TIME = 2
_OPTIONS = {"launchType": "launch_type", "platformVersion": "platform_version", "capacityProviderStrategy": "capacity_providers"}


def _client() -> Any:
    import boto3  # type: ignore[import-untyped, unused-ignore]

    return boto3.client("ecs")


def _get_task_statuses(task_ids: Sequence[str], cluster: str = "default") -> list[str]:
    """What ECS says of tasks: PENDING, RUNNING, STOPPED and their like."""
    return [str(task["lastStatus"]) for task in _client().describe_tasks(tasks=list(task_ids), cluster=cluster)["tasks"]]


class ECSTask(aws.ECSTask):
    """Runs a task of ECS: of a definition that is there (``task_def_arn``), or one that is registered first (``task_def``)."""

    task_def_arn = OptionalParameter(default=None)
    task_def = OptionalDictParameter(default=None)
    cluster = StrParameter(default="default")
    _task_ids: ClassVar[Any] = None

    @property
    def ecs_task_ids(self) -> Any:
        """ARNs of what ran, once it has."""
        return self._task_ids

    @property
    def command(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # a method in the house, of one container
        """Commands of containers, each {"name": ..., "command": [...]}."""
        return None

    @property
    def run_task_kwargs(self) -> dict[str, Any]:
        """Further arguments of ECS's RunTask, as boto3 has them."""
        return {}

    @staticmethod
    def update_container_overrides_command(container_overrides: list[dict[str, Any]], command: dict[str, Any]) -> None:
        """Give a container of a list its command; a container that is not listed is added."""
        for known in container_overrides:
            if known["name"] == command["name"]:
                known["command"] = command["command"]
                return
        container_overrides.append(command)

    @property
    def combined_overrides(self) -> dict[str, Any]:
        """The overrides of `run_task_kwargs`, with those of `command` over them."""
        overrides: dict[str, Any] = copy.deepcopy(dict(self.run_task_kwargs.get("overrides", {})))
        for each in self.command or ():
            self.update_container_overrides_command(overrides.setdefault("containerOverrides", []), dict(each))
        return overrides

    # -- handed over

    def job(self, submission: str) -> JobSpec:
        """What ECS is to run. Raises JobRefused unless one definition is named."""
        if bool(self.task_def) == bool(self.task_def_arn):
            raise JobRefused(f"{self}: names {'two task definitions' if self.task_def else 'no task definition'}: task_def or task_def_arn")
        options = self._options()
        containers = options["overrides"].get("containerOverrides", [])
        argv = tuple(containers[0].pop("command", ())) if containers else ()
        options["container"] = containers[0]["name"] if containers else ""
        options["task_definition"] = self.task_def_arn or self._registered()
        return JobSpec(submission, repr_of(self), argv, self._own_environment(), options=options)

    def finished(self, status: JobStatus) -> None:
        """Remember what ran."""
        found = open_engine(self.engine_address()).find(self.submission)
        self._task_ids = [found] if found else None  # type: ignore[misc]  # of this instance

    def _options(self) -> dict[str, Any]:
        given = dict(self.run_task_kwargs)
        given.pop("overrides", None)
        options: dict[str, Any] = {"overrides": self.combined_overrides}
        options.update({ours: given.pop(theirs) for theirs, ours in _OPTIONS.items() if theirs in given})
        network = given.pop("networkConfiguration", {}).get("awsvpcConfiguration")
        return {**options, **({"network": network} if network else {}), **({"request": given} if given else {})}

    def _registered(self) -> str:
        definition = copy.deepcopy(_plain(self.task_def))
        return str(_client().register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"])


def _plain(value: Any) -> Any:
    """The value with dicts and lists, as boto3 wants them."""
    if hasattr(value, "items"):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
