"""A real engine that speaks Docker's interface, for tests: Podman's service on a socket, with an image made of Debian's busybox.

Its images and containers are in a folder of its own, and it reaches no registry. It wants root here; containers that a test left are
removed with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

PATIENCE = 60  # seconds until the service must answer
IMAGE = "levada-busybox:1"
COMMANDS = ("sh", "sleep", "cat", "echo", "true", "false", "env", "pwd", "tail", "id", "ls", "rm", "touch")

# Limits as low as the machine allows: the service may not raise them for containers. Containers use the network of the machine.
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# crun takes no cgroups of both kinds at once; in a view of the file system of its own the second kind is not mounted.
START = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'


class Podman(NamedTuple):
    """A service that runs. socket: where it listens; folder: may be mounted in containers."""

    socket: str
    folder: Path

    @property
    def address(self) -> str:
        return f"docker://{self.socket}"


@contextmanager
def podman() -> Iterator[Podman]:
    """The service, in a folder of its own. Skips where it is not installed or cannot run a container."""
    import docker

    for program, package in (("podman", "podman"), ("busybox", "busybox-static")):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} (Debian: apt-get install {package})")
    with tempfile.TemporaryDirectory(prefix="levada-podman-", ignore_cleanup_errors=True) as name:
        folder, environment = Path(name), _environment(Path(name))
        words = ["podman", "--storage-driver=vfs", f"--root={name}/store", f"--runroot={name}/run"]
        done = subprocess.run([*words, "import", _tarball(folder), IMAGE], env=environment, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"podman makes no image here: {done.stderr.strip()}")
        socket = f"{name}/podman.sock"
        service = _started([*words, "system", "service", "--time=0", f"unix://{socket}"], environment, folder)
        client = docker.APIClient(base_url=f"unix://{socket}", version="1.41", timeout=PATIENCE)
        try:
            _wait(service, socket, folder)
            _must_run(client)
            yield Podman(socket, folder)
        finally:
            for one in client.containers(all=True) if Path(socket).exists() else ():
                client.remove_container(one["Id"], force=True)
            client.close()
            service.terminate()
            service.wait(20)


def _started(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    own_view = ["unshare", "-m", "sh", "-c", START, "sh"] if Path("/sys/fs/cgroup/unified").exists() and os.geteuid() == 0 else []
    with open(folder / "log", "wb") as log:
        return subprocess.Popen([*own_view, *command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _environment(folder: Path) -> dict[str, str]:
    (folder / "containers.conf").write_text(CONFIGURATION)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONTAINER", "DOCKER", "REGISTRY"))}
    return {**kept, "CONTAINERS_CONF": f"{folder}/containers.conf", "TMPDIR": str(folder)}


def _tarball(folder: Path) -> str:
    """The files of an image: busybox under the names of what tests run."""
    with tarfile.open(folder / "image.tar", "w") as tar:
        busybox = shutil.which("busybox")
        assert busybox is not None
        tar.add(os.path.realpath(busybox), "bin/busybox")
        for name in COMMANDS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("tmp", "data"):
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(made)
    return str(folder / "image.tar")


def _wait(service: subprocess.Popen[bytes], socket: str, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not Path(socket).exists():
        if service.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"podman did not start:\n{(folder / 'log').read_text(errors='replace')[-3000:]}")
        time.sleep(0.05)


def _must_run(client: object) -> None:
    from docker.errors import APIError

    made = client.create_container(IMAGE, ["true"], name="levada-first")  # type: ignore[attr-defined]  # docker has no types
    try:
        client.start(made["Id"])  # type: ignore[attr-defined]
        client.wait(made["Id"])  # type: ignore[attr-defined]
    except APIError as cause:
        pytest.skip(f"podman runs no container here: {cause.explanation}")
    finally:
        client.remove_container(made["Id"], force=True)  # type: ignore[attr-defined]
