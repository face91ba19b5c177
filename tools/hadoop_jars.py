"""Hadoop's jars, for a real HDFS in tests: fetched once, kept in ``.venvs/hadoop``. Prints the folder that has them.

    python tools/hadoop_jars.py

Tried in order: what is there already; Maven (``mvn``), for Hadoop 3.4; pip, for an old PySpark, which carries
the name node and data node of Hadoop 2.7. Exit status 77: none of that is to be had, and why. LEVADA_HADOOP_JARS names a folder of
one's own. The jars are for tests on one machine: they never see data of others, and nothing of Levada needs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / ".venvs" / "hadoop"
HADOOP = "3.4.2"
PYSPARK = "2.4.8"
SKIPPED = 77

POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>levada</groupId><artifactId>hadoop-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-client-minicluster</artifactId><version>{HADOOP}</version></dependency>
    <dependency><groupId>javax.xml.bind</groupId><artifactId>jaxb-api</artifactId><version>2.3.1</version></dependency>
  </dependencies>
</project>
"""


class Missing(Exception):
    """The jars cannot be had here; the text says why in a line."""


def cached() -> Path | None:
    """The folder of jars that is there already, or None."""
    for folder in (os.environ.get("LEVADA_HADOOP_JARS"), HOME / f"hadoop-{HADOOP}", HOME / f"pyspark-{PYSPARK}"):
        if folder and any(Path(folder).glob("hadoop-*.jar")):
            return Path(folder)
    return None


def jars() -> Path:
    """A folder of jars with the name node and data node in them, fetched when there is none. Raises Missing."""
    found = cached()
    if found is not None:
        return found
    reasons = []
    for name, fetch in ((f"hadoop-{HADOOP}", by_maven), (f"pyspark-{PYSPARK}", by_pip)):
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
    """Shaded jars of Hadoop's small cluster, about 90 MB."""
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("mvn is not installed (Debian: apt-get install maven)")
    (scratch / "pom.xml").write_text(POM)
    _run([maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={scratch / 'jars'}"], scratch)


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
