"""Where ``spark-submit`` is."""

from __future__ import annotations

import os
import shutil
from glob import glob
from importlib.util import find_spec

from levada.config import setting
from levada.errors import JobRefused

_HINT = "Set `[spark] submit` in levada.toml, or SPARK_HOME; or `pip install pyspark`, which brings it (and wants Java)."


def spark_submit(given: str = "") -> str:
    """Path of the program: as given, ``[spark] submit``, of SPARK_HOME, on PATH, or of the pyspark package. Raises JobRefused."""
    named = given or str(setting("spark", "submit") or "")
    if named:
        found = shutil.which(named)
        if found is None:
            raise JobRefused(f"there is no program {named}, which is set as spark-submit", hint=_HINT)
        return _whole(found)
    home = os.environ.get("SPARK_HOME")
    found = (shutil.which(os.path.join(home, "bin", "spark-submit")) if home else None) or shutil.which("spark-submit") or _of_pyspark()
    if found is None:
        raise JobRefused("spark-submit was not found: neither in SPARK_HOME, nor on PATH, nor in a package pyspark", hint=_HINT)
    return _whole(found)


def _whole(program: str) -> str:
    """What pip puts beside an interpreter looks for Spark by the driver's interpreter, which may be another: the one in the package."""
    folder = os.path.dirname(os.path.abspath(program))
    if not os.path.exists(os.path.join(folder, "find_spark_home.py")):
        return program
    inside = glob(os.path.join(os.path.dirname(folder), "lib", "python*", "site-packages", "pyspark", "bin", "spark-submit"))
    return inside[0] if inside else program


def _of_pyspark() -> str | None:
    spec = find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        return None
    return shutil.which(os.path.join(spec.submodule_search_locations[0], "bin", "spark-submit"))
