"""Hadoop's jars, for a real HDFS and YARN in tests: fetched once, kept in ``.venvs/hadoop``. Prints the folder that has them.

    python tools/hadoop_jars.py

Tried in order: what is there already; Maven (``mvn``), for Hadoop 3.4 with YARN and MapReduce; pip, for an old PySpark,
which carries the name node and data node of Hadoop 2.7 and no YARN. Exit status 77: none of that is to be had, and why.
LEVADA_HADOOP_JARS names a folder of one's own. The jars are for tests on one machine: they never see data of others, and nothing of
Levada needs them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / ".venvs" / "hadoop"
HADOOP = "3.4.2"
NAME = f"hadoop-{HADOOP}-yarn"
PYSPARK = "2.4.8"
SKIPPED = 77

WANTED = (
    "hadoop-hdfs", "hadoop-yarn-server-resourcemanager", "hadoop-yarn-server-nodemanager", "hadoop-yarn-server-timelineservice",
    "hadoop-mapreduce-client-jobclient", "hadoop-mapreduce-client-hs", "hadoop-mapreduce-client-shuffle", "hadoop-streaming",
)  # fmt: skip
CONTENT = "f7891f9107dd841dd23f1d0d8ae8cd4a83ec22ff86c0346bf2ea99ced759c21e"
"""SHA-256 of the list of jars, as `sha256sum` writes it. Versions of all that these need are in Hadoop's own POMs."""

DEPENDENCY = f"<dependency><groupId>org.apache.hadoop</groupId><artifactId>%s</artifactId><version>{HADOOP}</version></dependency>"
POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>levada</groupId><artifactId>hadoop-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    {"".join(DEPENDENCY % name for name in WANTED)}
  </dependencies>
</project>
"""


class Missing(Exception):
    """The jars cannot be had here; the text says why in a line."""


def cached() -> Path | None:
    """The folder of jars that is there already, or None."""
    for folder in (os.environ.get("LEVADA_HADOOP_JARS"), HOME / NAME, HOME / f"pyspark-{PYSPARK}"):
        if folder and any(Path(folder).glob("hadoop-*.jar")):
            return Path(folder)
    return None


def jars() -> Path:
    """A folder of jars with the name node and data node in them, fetched when there is none. Raises Missing."""
    found = cached()
    if found is not None:
        return found
    reasons = []
    for name, fetch in ((NAME, by_maven), (f"pyspark-{PYSPARK}", by_pip)):
        HOME.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=HOME, prefix="fetching-") as scratch:
            try:
                fetch(Path(scratch))
            except Missing as reason:
                reasons.append(str(reason))
                continue
            try:
                (Path(scratch) / "jars").rename(HOME / name)
            except OSError:  # another was quicker
                if cached() is None:
                    raise
            return HOME / name
    raise Missing("; ".join(reasons))


def by_maven(scratch: Path) -> None:
    """Hadoop's servers and clients with all that they need, about 95 MB."""
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("mvn is not installed (Debian: apt-get install maven)")
    (scratch / "pom.xml").write_text(POM)
    where = [f"-DoutputDirectory={scratch / 'jars'}", "-DincludeScope=runtime"]
    _run([maven, "-q", "-B", "dependency:copy-dependencies", *where], scratch)
    found = content(scratch / "jars")
    if found != CONTENT:
        raise Missing(f"Maven gave other jars than we know: their list has SHA-256 {found}")


def content(folder: Path) -> str:
    """SHA-256 of the list of a folder's jars with theirs."""
    lines = (f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in sorted(folder.glob("*.jar")))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def by_pip(scratch: Path) -> None:
    """The jars of a PySpark that still carried all of Hadoop, about 220 MB."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode:
        raise Missing("this Python has no pip")
    _run([*pip, "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(scratch), f"pyspark=={PYSPARK}"], scratch)
    archive = next(scratch.glob("pyspark-*.tar.gz"))
    (scratch / "jars").mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            if "/deps/jars/" in member.name and member.name.endswith(".jar"):
                content = tar.extractfile(member)
                assert content is not None
                with open(scratch / "jars" / os.path.basename(member.name), "wb") as jar:
                    shutil.copyfileobj(content, jar)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise Missing(f"{Path(command[0]).name}: {lines[-1]}"[:300])


def main() -> int:
    """Exit status: 0 when the jars are there."""
    try:
        print(jars())
    except Missing as reason:
        print(f"no jars of Hadoop: {reason}", file=sys.stderr)
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
