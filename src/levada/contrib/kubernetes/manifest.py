"""From a job to the object that Kubernetes is sent; nothing here speaks to a cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from levada._model.engines import JobSpec
from levada.errors import JobRefused
from levada.handover.options import Options

LABEL = "levada/submission"
TITLE = "levada/title"
KEPT = 7 * 86_400  # seconds that an ended job is kept where nobody forgets it


def manifest(job: JobSpec) -> dict[str, Any]:
    """The ``batch/v1`` Job of a job: one pod, one try. Raises JobRefused for options that cannot be."""
    try:
        return _manifest(job)
    except (AttributeError, TypeError, KeyError) as cause:  # a template that is a list where a mapping is needed, or the other way round
        raise _no_template(job, str(cause)) from cause


def _manifest(job: JobSpec) -> dict[str, Any]:
    options = Options("k8s", job)
    labels, notes = options.labels("labels"), options.labels("annotations")
    kept = options.whole("ttl_seconds")
    template = _template(job, options)
    options.end()
    ours = {**labels, "app.kubernetes.io/managed-by": "levada", LABEL: job.submission}
    said = template.setdefault("metadata", {})
    said["labels"] = {**said.get("labels", {}), **ours}
    said["annotations"] = {**said.get("annotations", {}), **notes, TITLE: job.title}
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": KEPT if kept is None else kept,
        "template": template,
    }
    if job.seconds is not None:
        spec["activeDeadlineSeconds"] = max(1, math.ceil(job.seconds))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.submission, "labels": ours, "annotations": {**notes, TITLE: job.title}},
        "spec": spec,
    }


def _template(job: JobSpec, options: Options) -> dict[str, Any]:
    """The user's template of a pod, with ours laid over it: its first container is the job's."""
    given: dict[str, Any] = _copy(options.mapping("pod_template"))
    spec = given.setdefault("spec", {})
    containers = spec.setdefault("containers", [{}]) or [{}]
    spec["containers"] = [_container(job, options, containers[0]), *containers[1:]]
    spec["restartPolicy"] = "Never"
    if account := options.text("service_account"):
        spec["serviceAccountName"] = account
    if selector := options.labels("node_selector"):
        spec["nodeSelector"] = {**spec.get("nodeSelector", {}), **selector}
    if secrets := options.texts("image_pull_secrets"):
        spec["imagePullSecrets"] = [{"name": secret} for secret in secrets]
    for option, field in (("tolerations", "tolerations"), ("volumes", "volumes")):
        if more := options.mappings(option):
            spec[field] = [*spec.get(field, []), *more]
    return given


def _container(job: JobSpec, options: Options, given: dict[str, Any]) -> dict[str, Any]:
    made = {"name": "job", **given}
    if image := options.text("image"):
        made["image"] = image
    if not made.get("image"):
        raise JobRefused(f"{job.title}: no image is named", hint='A pod is made from one: options() gives {"image": "NAME:TAG"}.')
    if entrypoint := options.words("entrypoint"):
        made["command"] = [_literal(word) for word in entrypoint]
    if job.argv:
        made["args"] = [_literal(word) for word in job.argv]
    if job.folder:
        made["workingDir"] = job.folder
    if job.env:
        kept = [one for one in made.get("env", []) if one.get("name") not in job.env]
        made["env"] = [*kept, *({"name": name, "value": _literal(value)} for name, value in job.env.items())]
    if mounts := options.mappings("volume_mounts"):
        made["volumeMounts"] = [*made.get("volumeMounts", []), *mounts]
    amounts = _amounts(job)
    if amounts:
        wanted = made.get("resources", {})
        made["resources"] = {**wanted, **{kind: {**wanted.get(kind, {}), **amounts} for kind in ("requests", "limits")}}
    return made


def _amounts(job: JobSpec) -> dict[str, str]:
    amounts = {}
    if job.cpus is not None:
        amounts["cpu"] = f"{max(1, round(job.cpus * 1000))}m"
    if job.memory is not None:
        amounts["memory"] = str(job.memory)
    return amounts


def _literal(text: str) -> str:
    """A text that arrives as it is: Kubernetes puts variables in the place of ``$(NAME)``, and one dollar in that of two."""
    return text.replace("$", "$$")


def _copy(value: Any) -> Any:
    """The value with mappings and lists of its own."""
    if isinstance(value, Mapping):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, (list, tuple)) else value


def _no_template(job: JobSpec, what: str) -> JobRefused:
    return JobRefused(
        f"{job.title}: option 'pod_template' is no template of a pod: {what}",
        hint='It looks like {"metadata": {...}, "spec": {"containers": [{...}]}}, and need not have all of that.',
    )
