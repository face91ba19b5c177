"""The master of a standalone cluster, by its REST interface (``http://HOST:6066``): drivers are started, watched and ended.

The interface is Spark's own for cluster deploy mode; ``spark.master.rest.enabled`` turns it on, which Spark 4 does by itself.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from levada._model.engines import JobState, JobStatus
from levada.errors import EngineUnreachable, JobRefused, told

ANSWER = 15.0  # seconds for one answer
REST_PORT, PAGE_PORT = 6066, 8080
STATES = {
    "SUBMITTED": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "RELAUNCHING": JobState.PENDING,
    "UNKNOWN": JobState.RUNNING,  # the master recovers, and has not heard of its worker yet
    "FINISHED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "ERROR": JobState.FAILED,
    "KILLED": JobState.KILLED,
}
STANDBY = "ALIVE state"  # words of a master that is not the active one
_HINT = "Is the master up, and is spark.master.rest.enabled set there? `[spark] rest` names its address."


def rest_addresses(master: str, configured: str = "") -> list[str]:
    """Addresses of the REST interface: as configured (commas between), else port 6066 of the hosts of ``spark://HOST:PORT,HOST:PORT``.

    >>> rest_addresses("spark://a:7077,b:7077")
    ['http://a:6066', 'http://b:6066']
    """
    if configured:
        return [each.strip().rstrip("/") for each in configured.split(",")]
    hosts = [part.rpartition(":")[0] or part for part in master.removeprefix("spark://").split(",")]
    return [f"http://{host}:{REST_PORT}" for host in hosts]


class AnswerLost(EngineUnreachable):
    """A request was sent and not answered: it may have been carried out."""


class Master:
    """Masters of one cluster, of which one is active. Safe for threads; keeps no connection."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)

    def create(self, request: Mapping[str, Any]) -> str:
        """Id of the driver that was started. Raises EngineUnreachable, AnswerLost, and JobRefused with the master's words."""
        answer = self._ask("POST", "create", {"action": "CreateSubmissionRequest", "clientSparkVersion": "", **request}, once=True)
        if not answer.get("success") or not answer.get("submissionId"):
            raise JobRefused(f"{self._addresses[0]}: the master refused the application: {answer.get('message') or 'it did not say why'}")
        return str(answer["submissionId"])

    def status(self, driver: str) -> tuple[JobStatus, str]:
        """How a driver stands, and HOST:PORT of the worker that has it, "" for none. Raises EngineUnreachable."""
        answer = self._ask("GET", f"status/{quote(driver, safe='')}")
        state = STATES.get(str(answer.get("driverState", "")))
        if not answer.get("success") or state is None:
            return JobStatus(JobState.FORGOTTEN, message=f"the master does not know {driver} any more"), ""
        message = " ".join(str(answer.get("message") or "").removeprefix("Exception from the cluster:").split("\n\tat ")[0].split())
        waits = "waits for a worker with room" if state is JobState.PENDING else ""
        return JobStatus(state, message=message or waits), str(answer.get("workerHostPort") or "")

    def log(self, driver: str, page: str, *, most: int) -> str:
        """The last bytes of what a driver has said, Spark's own words first. page: address of the master's page, "" for port 8080.

        It is in two files of its worker, whose address that page tells.
        """
        _, place = self.status(driver)
        worker = self._worker_at(page, place) if place else ""
        if not worker:
            return ""
        parts = [_text(f"{worker}/log/?driverId={quote(driver)}&logType={kind}&byteLength={most}") for kind in ("stderr", "stdout")]
        said = "".join(part.partition("\n")[2] for part in parts)  # without its first line, which tells which bytes
        return said.encode()[-most:].decode("utf-8", "ignore")

    def _worker_at(self, page: str, place: str) -> str:
        """Address of the page of the worker at HOST:PORT, "" where none is known."""
        pages = [page] if page else [f"http://{urlsplit(address).hostname}:{PAGE_PORT}" for address in self._addresses]
        for address in pages:
            workers = json.loads(_text(f"{address.rstrip('/')}/json/")).get("workers", [])
            found = [worker["webuiaddress"] for worker in workers if f"{worker['host']}:{worker['port']}" == place]
            if found:
                return str(found[-1]).rstrip("/")
        return ""

    def kill(self, driver: str) -> None:
        """Have a driver ended; nothing happens when it has. Raises EngineUnreachable."""
        self._ask("POST", f"kill/{quote(driver, safe='')}", {})

    def _ask(self, method: str, path: str, body: object = None, *, once: bool = False) -> dict[str, Any]:
        """The answer of the active master; those that are away or standby are passed over. once: not asked again after a lost answer."""
        reasons = []
        for address in self._addresses:
            try:
                answer = _request(address, method, f"/v1/submissions/{path}", body)
            except AnswerLost as lost:
                if once:
                    raise
                reasons.append(lost.message)
            except (OSError, http.client.InvalidURL) as cause:
                reasons.append(f"{address}: {cause}")
            else:
                if STANDBY not in str(answer.get("message", "")):
                    return answer
                reasons.append(f"{address}: {answer['message']}")
        raise EngineUnreachable("; ".join(reasons), hint=_HINT)


def _request(address: str, method: str, path: str, body: object) -> dict[str, Any]:
    """One question to one master. Raises OSError where it was not reached, AnswerLost where it did not answer."""
    parts = urlsplit(address)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port or REST_PORT, timeout=ANSWER)
    data = None if body is None else json.dumps(body).encode()
    connection.connect()
    try:
        connection.request(method, path, data, {"Content-Type": "application/json; charset=UTF-8"})
        answer = json.loads(connection.getresponse().read())
    except ValueError:
        raise AnswerLost(f"{address}: what answers there is no master", hint=_HINT) from None
    except (OSError, http.client.HTTPException) as cause:
        raise AnswerLost(f"{address}: {told(cause)}") from cause
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise AnswerLost(f"{address}: answered {answer!r:.80}", hint=_HINT)
    return answer


def _text(url: str) -> str:
    try:
        with urlopen(url, timeout=ANSWER) as answer:  # noqa: S310 - addresses of the configuration, and what their pages say
            content: bytes = answer.read()
    except (OSError, http.client.HTTPException) as cause:
        raise EngineUnreachable(f"{url}: {cause}", hint="`[spark] ui` names the address of the master's page.") from cause
    return content.decode("utf-8", "replace")
