"""Spark, for tests of the real one: the package pyspark, fetched once, kept in ``.venvs/spark``. Prints the folder of Spark.

    python tools/spark.py

Tried in order: what is there already; uv; pip. It is some 500 MB, so it is no part of the environment of tests, and what it would
bring along is left out: tests use its programs and jars. Exit status 77: not to be had, and why. LEVADA_SPARK_HOME names one's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / ".venvs" / "spark"
VERSION = "4.3.0"
REQUIREMENT = f"pyspark=={VERSION} --hash=sha256:e8c517948eff7088a7aa07449aa8eafa4a15a8d50319de2525a6fd26622476c6\n"
SKIPPED = 77


class Missing(Exception):
    """Spark cannot be had here; the text says why in a line."""


def cached() -> Path | None:
    """The folder of a Spark that is there already, or None."""
    own = os.environ.get("LEVADA_SPARK_HOME")
    for folder in ([Path(own)] if own else []) + [HOME / f"pyspark-{VERSION}" / "pyspark"]:
        if (folder / "bin" / "spark-submit").exists():
            return folder
    return None


def spark() -> Path:
    """A folder with Spark's programs and jars, fetched when there is none. Raises Missing."""
    found = cached()
    if found is not None:
        return found
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="fetching-") as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text(REQUIREMENT)
        _install(["--require-hashes", "--no-deps", "--target", str(Path(scratch) / "lib"), "-r", str(wanted)], Path(scratch))
        try:
            (Path(scratch) / "lib").rename(HOME / f"pyspark-{VERSION}")
        except OSError:  # another was quicker
            if cached() is None:
                raise
    return HOME / f"pyspark-{VERSION}" / "pyspark"


def _install(arguments: list[str], folder: Path) -> None:
    uv = shutil.which("uv")
    command = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    done = subprocess.run([*command, "--quiet", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise Missing(f"{'uv' if uv else 'pip'}: {lines[-1]}"[:300])


def main() -> int:
    """Exit status: 0 when Spark is there."""
    try:
        print(spark())
    except Missing as reason:
        print(f"no Spark: {reason}", file=sys.stderr)
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
