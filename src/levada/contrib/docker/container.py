"""From a job to a container, in the words of Docker's API; nothing here speaks to an engine."""

from __future__ import annotations

from levada._model.engines import JobSpec
from levada._model.values import NamedTuple
from levada.errors import JobRefused
from levada.handover.options import Options

LABEL = "levada/submission"
TITLE = "levada/title"
_LEAST = 6 << 20  # bytes of memory that Docker gives at least


class Container(NamedTuple):
    """What is asked of Docker. pull: "missing", "always" or "never"; config: the body of the request that makes it."""

    image: str
    pull: str
    config: dict[str, object]


def container(job: JobSpec) -> Container:
    """The container of a job. Raises JobRefused for what Docker cannot do."""
    options = Options("docker", job)
    image, pull = options.text("image"), options.choice("pull", ("missing", "always", "never"))
    host = _host(job, options)
    config: dict[str, object] = {
        "Image": image,
        "Cmd": list(job.argv),
        "Env": [f"{name}={value}" for name, value in job.env.items()],
        "Labels": {**options.labels("labels"), LABEL: job.submission, TITLE: job.title},
        "HostConfig": host,
    }
    if user := options.text("user"):
        config["User"] = user
    if entrypoint := options.words("entrypoint"):
        config["Entrypoint"] = entrypoint
    if job.folder:
        config["WorkingDir"] = job.folder
    options.end()
    if not image:
        raise JobRefused(f"{job.title}: no image is named", hint='A container is made from one: options() gives {"image": "NAME:TAG"}.')
    if job.seconds is not None:
        raise JobRefused(
            f"{job.title}: may take {job.seconds:g} s, and Docker ends no container after a time",
            hint="Leave `seconds` out, and give the task a `timeout`: the job is cancelled then.",
        )
    return Container(image, pull, config)


def _host(job: JobSpec, options: Options) -> dict[str, object]:
    host: dict[str, object] = {}
    if volumes := options.texts("volumes"):
        host["Binds"] = volumes
    if network := options.text("network"):
        host["NetworkMode"] = network
    if job.cpus is not None:
        host["NanoCpus"] = round(job.cpus * 1e9)
    if job.memory is not None:
        if job.memory < _LEAST:
            raise JobRefused(
                f"{job.title}: {job.memory:,} bytes of memory are too few for a container", hint=f"Docker gives {_LEAST:,} at least."
            )
        host["Memory"] = host["MemorySwap"] = job.memory  # with the swap that Docker adds by itself the limit would be twice that
    return {**host, **options.mapping("host_config")}
