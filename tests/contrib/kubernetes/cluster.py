"""A real server of Kubernetes' interface with etcd and the controllers of jobs, for tests; the part of a node is played by `Node`.

So names, admission, validation, quotas, deadlines, deletion and the states of jobs are Kubernetes' own; where a node would start
a container, `Node` starts the same program on this machine, and says of it what a kubelet would.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contrib.ports import free_ports

PATIENCE = 120  # seconds until a server must answer
ADMIN, NOBODY = "token-of-admin", "token-of-nobody"
HELD = "levada-held"  # label of nodes that no node has: a pod that wants it is left to the test
CONTROLLERS = (
    "job-controller,resourcequota-controller,garbage-collector-controller,ttl-after-finished-controller,pod-garbage-collector-controller"
)

Thing = dict[str, Any]


class Refused(Exception):
    """The server said no."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status}: {words}")
        self.status = status


class Cluster:
    """etcd, kube-apiserver and kube-controller-manager on loopback, in a folder of their own."""

    def __init__(self, binary: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="levada-kube-"))
        self._binary = binary
        self._etcd, self._peers, self.port = free_ports(3)
        self._running: list[subprocess.Popen[bytes]] = []
        self.config = self.write_config("config")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when jobs can be made and are looked after."""
        subprocess.run(["openssl", "genrsa", "-out", "sa.key", "2048"], cwd=self.folder, check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(f'{ADMIN},admin,1,"system:masters"\n{NOBODY},nobody,2\n')
        self._start_etcd()
        self._start_server()
        self._wait("kube-apiserver", lambda: self.ask("GET", "/readyz") is not None)
        self._wait("kube-apiserver", lambda: self.ask("GET", "/api/v1/namespaces/default") is not None)
        self._begin(str(self._binary), "kube-controller-manager", f"--kubeconfig={self.config}", f"--controllers={CONTROLLERS}",
                    "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0", "--cert-dir=certs")  # fmt: skip

    def stop(self) -> None:
        for process in reversed(self._running):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_config(self, name: str, token: str = ADMIN, port: int = 0, contexts: tuple[str, ...] = ("tests",)) -> Path:
        """A configuration as users have it."""
        server = f"https://127.0.0.1:{port or self.port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": contexts[0],
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": f"{self.folder}/certs/apiserver.crt"}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": one, "context": {"cluster": "c", "user": "u"}} for one in contexts],
        }
        (self.folder / name).write_text(json.dumps(config))
        return self.folder / name

    def ask(self, method: str, path: str, body: Thing | None = None, kind: str = "application/json") -> Any:
        """What the server answers to the admin. Raises Refused."""
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": kind}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise Refused(refusal.code, refusal.read().decode(errors="replace")[:500]) from None
        return json.loads(text) if text[:1] == b"{" else text.decode()

    def say_of(self, pod: Thing, **status: object) -> None:
        """Say what a kubelet would of a pod."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self.ask("PATCH", path, {"status": status}, "application/strategic-merge-patch+json")

    def pod_of(self, handle: str) -> Thing:
        """The pod of a job, when there is one."""
        namespace, _, name = handle.rpartition("/")
        found: list[Thing] = []

        def look() -> bool:
            found[:] = self.ask("GET", f"/api/v1/namespaces/{namespace}/pods?labelSelector=levada/submission%3D{name}")["items"]
            return bool(found)

        self._wait("pod", look)
        return found[0]

    def _start_etcd(self) -> None:
        client, peers = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._peers}"
        self._begin("etcd", "--data-dir=etcd", "--unsafe-no-fsync", f"--listen-client-urls={client}",
                    f"--advertise-client-urls={client}", f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}",
                    f"--initial-cluster=default={peers}")  # fmt: skip

    def _start_server(self) -> None:
        self._begin(str(self._binary), "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self._etcd}", f"--secure-port={self.port}",
                    "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--cert-dir=certs", "--authorization-mode=RBAC",
                    "--service-account-issuer=https://levada.test", "--service-account-key-file=sa.key",
                    "--service-account-signing-key-file=sa.key", "--token-auth-file=tokens.csv", "--service-cluster-ip-range=10.0.0.0/24",
                    "--disable-admission-plugins=ServiceAccount", "--kubelet-preferred-address-types=InternalIP")  # fmt: skip

    def _begin(self, *command: str) -> None:
        """Start a server that ends with the process of the tests, however that ends."""
        with open(self.folder / "log", "ab") as log:
            words = ["setpriv", "--pdeathsig", "KILL", "--", *command]
            self._running.append(subprocess.Popen(words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _wait(self, what: str, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if answers():
                    return
            except (OSError, Refused):
                pass
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._running):
                raise AssertionError(f"no {what}:\n{(self.folder / 'log').read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)


class Node(threading.Thread):
    """Plays a node: takes pods, runs their first container's program here, and tells of it. image "nosuch...": cannot be pulled."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(name="node", daemon=True)
        self._cluster = cluster
        self._over = threading.Event()
        self._programs: dict[str, subprocess.Popen[bytes]] = {}  # by uid of the pod
        self._told: dict[str, str] = {}  # by uid: the phase that was told last
        self._logs = _Logs(cluster.folder)

    def run(self) -> None:
        self._register()
        while not self._over.wait(0.05):
            try:
                for pod in self._cluster.ask("GET", "/api/v1/pods")["items"]:
                    self._look_after(pod)
            except (OSError, Refused):  # a pod that went meanwhile
                continue

    def stop(self) -> None:
        self._over.set()
        self.join()
        for program in self._programs.values():
            _end(program)
        self._logs.stop()

    def _register(self) -> None:
        self._cluster.ask("POST", "/api/v1/nodes", {"metadata": {"name": "node-1"}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._logs.port}},
        }
        self._cluster.ask("PATCH", "/api/v1/nodes/node-1/status", {"status": status}, "application/merge-patch+json")

    def _look_after(self, pod: Thing) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if "deletionTimestamp" in metadata:
            self._let_go(pod, path)
        elif HELD in spec.get("nodeSelector", {}) or pod["status"]["phase"] in ("Succeeded", "Failed"):
            return
        elif "nodeName" not in spec:
            target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
            self._cluster.ask("POST", f"{path}/binding", {"metadata": {"name": metadata["name"]}, "target": target})
        elif spec["containers"][0]["image"].startswith("nosuch"):
            self._tell(pod, "Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}})
        elif metadata["uid"] not in self._programs:
            self._begin(pod)
        else:
            self._follow(pod)

    def _begin(self, pod: Thing) -> None:
        container = pod["spec"]["containers"][0]
        env = {one["name"]: one.get("value", "") for one in container.get("env", [])}
        env = {name: _expanded(value, env) for name, value in env.items()}
        words = [_expanded(word, env) for word in [*container.get("command", []), *container.get("args", [])]]
        with open(self._cluster.folder / f"{pod['metadata']['name']}.out", "wb") as out:
            try:
                program = subprocess.Popen(
                    words, cwd=container.get("workingDir"), env={"PATH": os.environ["PATH"], **env}, stdin=subprocess.DEVNULL,
                    stdout=out, stderr=out, start_new_session=True,
                )  # fmt: skip
            except OSError as cause:
                return self._tell(pod, "Failed", {"terminated": {"exitCode": 128, "reason": "StartError", "message": str(cause)}})
        self._programs[pod["metadata"]["uid"]] = program
        return self._tell(pod, "Running", {"running": {"startedAt": _now()}})

    def _follow(self, pod: Thing) -> None:
        status = self._programs[pod["metadata"]["uid"]].poll()
        if status is not None:
            code = status if status >= 0 else 128 - status
            ended = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": _now(), "finishedAt": _now()}
            self._tell(pod, "Failed" if code else "Succeeded", {"terminated": ended})

    def _let_go(self, pod: Thing, path: str) -> None:
        program = self._programs.get(pod["metadata"]["uid"])
        if program is not None:
            _end(program)
        if pod["status"]["phase"] not in ("Succeeded", "Failed"):
            self._tell(pod, "Failed", {"terminated": {"exitCode": 143, "reason": "Error"}})
        self._cluster.ask("DELETE", f"{path}?gracePeriodSeconds=0")

    def _tell(self, pod: Thing, phase: str, state: Thing) -> None:
        uid = pod["metadata"]["uid"]
        if self._told.get(uid) == phase:
            return
        container = pod["spec"]["containers"][0]
        status = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0, "state": state}
        self._cluster.say_of(pod, phase=phase, containerStatuses=[status])
        self._told[uid] = phase


class _Logs:
    """A node's door for logs: the server asks there for what containers said."""

    def __init__(self, folder: Path) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urllib.parse.urlsplit(self.path)
                pod = path.path.split("/")[3]
                lines = (folder / f"{pod}.out").read_bytes().splitlines(keepends=True)
                text = b"".join(lines[-int(urllib.parse.parse_qs(path.query).get("tailLines", ["100000"])[0]) :])
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "certs" / "apiserver.crt", folder / "certs" / "apiserver.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _expanded(text: str, env: dict[str, str]) -> str:
    """Variables in a text, as a kubelet puts them: ``$(NAME)`` where there is one, ``$`` for ``$$``."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda found: "$" if found[0] == "$$" else env.get(found[1], found[0]), text)


def _end(program: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    program.wait()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
