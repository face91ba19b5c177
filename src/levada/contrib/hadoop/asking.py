"""Questions to the resource manager and the history server, over HTTP: no Java. An answer, "not there", or EngineUnreachable."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from levada.errors import EngineError, EngineUnreachable

ANSWER = 15.0  # seconds until a question is given up
_NAME_KEPT = 45  # characters of a name that the history server keeps at least
ASKED_TOGETHER = 100  # applications that are asked for by one question: its address has a limit


class NotThere(Exception):
    """The server answered that it has no such thing."""


class Manager:
    """The resource managers of a cluster, one of which is active. addresses: of their web interface."""

    def __init__(self, addresses: Sequence[str], user: str) -> None:
        self._addresses = list(addresses)
        self._user = user

    @property
    def address(self) -> str:
        """The one that answered last."""
        return self._addresses[0]

    def applications(self, tags: Sequence[str]) -> list[dict[str, Any]]:
        """All applications that have one of these tags, oldest first; one question for a hundred."""
        found: list[dict[str, Any]] = []
        for first in range(0, len(tags), ASKED_TOGETHER):
            some = urllib.parse.quote(",".join(tags[first : first + ASKED_TOGETHER]))
            answer = self._ask("GET", f"cluster/apps?applicationTags={some}")
            found += (answer.get("apps") or {}).get("app") or []
        return sorted(found, key=lambda one: (one.get("startedTime", 0), one["id"]))

    def kill(self, application: str) -> None:
        """Have an application ended. Raises NotThere."""
        self._ask("PUT", f"cluster/apps/{application}/state", {"state": "KILLED"})

    def end_at(self, application: str, seconds: float) -> None:
        """Have an application ended when it has run for so long."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(time.time() + seconds))
        self._ask("PUT", f"cluster/apps/{application}/timeout", {"timeout": {"type": "LIFETIME", "expiryTime": when}})

    def attempts(self, application: str) -> list[dict[str, Any]]:
        """Attempts of an application's master, with the container of each."""
        answer = self._ask("GET", f"cluster/apps/{application}/appattempts")
        return (answer.get("appAttempts") or {}).get("appAttempt") or []

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer of the active one; it is asked first the next time."""
        *first, last = self._addresses
        for address in first:
            try:
                answer = ask(f"{address}/ws/v1/{path}", method, body, user=self._user)
            except EngineUnreachable:
                continue
            self._addresses = [address, *(one for one in self._addresses if one != address)]
            return answer
        answer = ask(f"{last}/ws/v1/{path}", method, body, user=self._user)
        self._addresses = [last, *first]
        return answer


class History:
    """The job history server: what became of jobs, after the resource manager forgot them, too."""

    def __init__(self, address: str, user: str) -> None:
        self.address = address
        self._user = user

    def job(self, job: str) -> dict[str, Any]:
        """What is known of a job. Raises NotThere."""
        found: dict[str, Any] = self._ask(f"mapreduce/jobs/{job}")["job"]
        return found

    def jobs_named(self, first: str) -> list[str]:
        """Jobs whose name begins with this word, oldest first. Of a name the server keeps 50 characters."""
        jobs = (self._ask("mapreduce/jobs").get("jobs") or {}).get("job") or []
        words = {one["id"]: str(one.get("name", "")).partition(" ")[0] for one in sorted(jobs, key=lambda one: one["submitTime"])}
        return [job for job, word in words.items() if word == first or (len(word) >= _NAME_KEPT and first.startswith(word))]

    def counters(self, job: str) -> dict[str, int]:
        """What a job counted, by "group/name"."""
        groups = self._ask(f"mapreduce/jobs/{job}/counters").get("jobCounters", {}).get("counterGroup") or []
        return {
            f"{group['counterGroupName'].rpartition('.')[2]}/{one['name']}": int(one["totalCounterValue"])
            for group in groups
            for one in group.get("counter") or []
        }

    def tasks(self, job: str) -> list[dict[str, Any]]:
        """The maps and reduces of a job."""
        return (self._ask(f"mapreduce/jobs/{job}/tasks").get("tasks") or {}).get("task") or []

    def attempts(self, job: str, task: str) -> list[dict[str, Any]]:
        """The attempts of a map or reduce."""
        return (self._ask(f"mapreduce/jobs/{job}/tasks/{task}/attempts").get("taskAttempts") or {}).get("taskAttempt") or []

    def log(self, container: str, file: str, most: int) -> str:
        """The last bytes of a container's file. Raises NotThere as long as its node has not handed it over."""
        text = ask(f"{self.address}/ws/v1/history/containerlogs/{container}/{file}?size=-{most}", user=self._user, text=True)
        _, begin, said = str(text).partition("\nLogContents:\n")
        if not begin:
            raise NotThere
        return said.rpartition("\nEnd of LogType:")[0]

    def _ask(self, path: str) -> Any:
        return ask(f"{self.address}/ws/v1/history/{path}", user=self._user)


def ask(url: str, method: str = "GET", body: object = None, *, user: str, text: bool = False) -> Any:
    """The JSON (or text) that a server answers. Raises NotThere, EngineUnreachable, or EngineError when it says no."""
    url += ("&" if "?" in url else "?") + urllib.parse.urlencode({"user.name": user})
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "*/*" if text else "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - http or https of the configuration
    try:
        with _opener().open(request, timeout=ANSWER) as answer:
            said = answer.read().decode("utf-8", "replace")
            return said if text else _json(said, url)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error.code, error.read(20_000).decode("utf-8", "replace")) from error
    except OSError as cause:
        raise EngineUnreachable(f"{_place(url)}: no answer ({cause})", hint="Is the server up, and the address right?") from cause


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a cluster is not asked through a proxy for the web


def _json(said: str, url: str) -> Any:
    try:
        return json.loads(said) if said.strip() else {}
    except ValueError as cause:  # a standby answers with a page that leads to the active one
        raise EngineUnreachable(f"{_place(url)}: answered {said.strip()[:100]!r}, expected JSON", hint="Is this the active one?") from cause


def _refused(url: str, status: int, said: str) -> Exception:
    reason = _reason(said)
    if status == 404:
        return NotThere(reason)
    if status in (401, 403):
        hint = (
            "HADOOP_USER_NAME says who asks. Where Kerberos guards the web interface, `yarn application -kill` and `-status` go on working."
        )
        return EngineError(f"{_place(url)}: refused ({status}): {reason}", hint=hint)
    if status >= 500 or status in (307, 408, 429):
        return EngineUnreachable(f"{_place(url)}: cannot answer now ({status}): {reason}")
    return EngineError(f"{_place(url)}: refused ({status}): {reason}")


def _reason(said: str) -> str:
    try:
        return str(json.loads(said)["RemoteException"]["message"])
    except (ValueError, KeyError, TypeError):
        return " ".join(said.split())[:200]


def _place(url: str) -> str:
    return url.partition("?")[0]
