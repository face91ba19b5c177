"""``luigi-grep``: tasks of a central scheduler by the beginning of their name, or by status. ``levada tasks`` does it for ours."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import urlopen


class LuigiGrep:
    """Asks a scheduler at ``host`` and ``port`` by luigid's paths, which a Levada server has as well."""

    def __init__(self, host: str, port: int | str) -> None:
        self._host, self._port = host, port

    @property
    def graph_url(self) -> str:
        """Where all tasks are told."""
        return f"http://{self._host}:{self._port}/api/graph"

    def prefix_search(self, job_name_prefix: str) -> Iterator[dict[str, Any]]:
        """Tasks whose id begins so: name, status, ids of their requirements by status."""
        return self._search(lambda name, _: name.startswith(job_name_prefix))

    def status_search(self, status: str) -> Iterator[dict[str, Any]]:
        """Tasks of that status, likewise."""
        return self._search(lambda _, found: found.lower() == status.lower())

    def _search(self, fits: Callable[[str, str], bool]) -> Iterator[dict[str, Any]]:
        jobs = self._fetch_json()["response"]
        for name, job in jobs.items():
            if fits(name, job["status"]):
                by_status = defaultdict(list)
                for needed in job["deps"]:
                    by_status[jobs[needed]["status"] if needed in jobs else "UNKNOWN"].append(needed)
                yield {"name": name, "status": job["status"], "deps_by_status": by_status}

    def _fetch_json(self) -> Any:
        print(f"Fetching from url: {self.graph_url}")
        with urlopen(self.graph_url) as answer:  # noqa: S310 - http, as the address above says
            return json.loads(answer.read())


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser("luigi-grep", description="find tasks of a central scheduler")
    parser.add_argument("--scheduler-host", default="localhost", help="its host")
    parser.add_argument("--scheduler-port", default="8082", help="its port")
    parser.add_argument("--prefix", help="the beginning of a task's id")
    parser.add_argument("--status", help="a status, such as FAILED")
    given = parser.parse_args()
    grep = LuigiGrep(given.scheduler_host, given.scheduler_port)
    found = grep.prefix_search(given.prefix) if given.prefix else grep.status_search(given.status) if given.status else iter(())
    for job in found:
        print(f"{job['name']}: {job['status']}, Dependencies:")
        for status, names in job["deps_by_status"].items():
            print(f"  status={status}")
            for name in names:
                print(f"    {name}")


if __name__ == "__main__":
    main()
