"""One node of OpenSearch for tests: its jars from Maven, and a main class of ours, kept in ``.venvs/opensearch``. Prints the class path.

    python tools/opensearch.py

Exit status 77: it is not to be had, and why. It is for tests on one machine, and nothing of Levada needs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / ".venvs" / "opensearch"
VERSION, LOG4J = "2.19.6", "2.25.4"
SKIPPED = 77


def _dependency(group: str, artifact: str, version: str) -> str:
    return f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"


POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>levada</groupId><artifactId>opensearch-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    {_dependency("org.opensearch", "opensearch", VERSION)}
    {_dependency("org.opensearch.plugin", "transport-netty4-client", VERSION)}
    {_dependency("org.apache.logging.log4j", "log4j-core", LOG4J)}
  </dependencies>
</project>
"""


class Missing(Exception):
    """The server cannot be had here; the text says why in a line."""


def cached() -> str:
    """The class path of what is there already. Raises Missing."""
    home = HOME / f"opensearch-{VERSION}"
    if not (home / "OpenSearchNode.class").exists():
        raise Missing("it was not fetched (python tools/opensearch.py)")
    return f"{home}{os.pathsep}{home / 'jars'}/*"


def fetch() -> str:
    """The class path, fetched and compiled where there is none. Raises Missing."""
    try:
        return cached()
    except Missing:
        pass
    maven, javac = shutil.which("mvn"), shutil.which("javac")
    if maven is None or javac is None:
        raise Missing("mvn or javac is not installed (Debian: apt-get install maven openjdk-17-jdk-headless)")
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="fetching-") as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        Path(scratch, "pom.xml").write_text(POM)
        _run([maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={made / 'jars'}"], scratch)
        _run([javac, "-cp", f"{made / 'jars'}/*", "-d", str(made), str(Path(__file__).with_name("OpenSearchNode.java"))], scratch)
        try:
            made.rename(HOME / f"opensearch-{VERSION}")
        except OSError:  # another was quicker
            pass
    return cached()


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise Missing(f"{Path(command[0]).name}: {said[-1]}"[:300])


def main() -> int:
    """Exit status: 0 when it is there."""
    try:
        print(fetch())
    except Missing as reason:
        print(f"no OpenSearch: {reason}", file=sys.stderr)
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
