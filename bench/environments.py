"""Interpreters of their own for what we are compared with, and for a Levada as users install it; kept in ``.venvs``."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".venvs"

PACKAGES = {"luigi": "luigi>=3.8,<3.9", "doit": "doit>=0.36", "dask": "dask>=2024.1"}


class Missing(Exception):
    """An environment cannot be made here; the text says why in a line."""


def python_of(peer: str) -> str:
    """The interpreter that has a peer, made when it is not there. Raises Missing."""
    python = HOME / peer / "bin" / "python"
    if not _works(python, f"import {peer}"):
        with _alone(peer):
            if not _works(python, f"import {peer}"):
                _make(HOME / peer)
                _install(python, PACKAGES[peer])
    return str(python)


@contextmanager
def _alone(peer: str) -> Iterator[None]:
    """One process at a time makes an environment: tests ask for it from several."""
    HOME.mkdir(exist_ok=True)
    with open(HOME / f"{peer}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def version_of(python: str, package: str) -> str:
    """The version of a package that an interpreter has."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def levada_as_installed(scratch: str) -> str:
    """An interpreter with this tree's Levada as a wheel and what it needs, compiled, as `pip install` leaves it. Raises Missing."""
    home = HOME / "installed"
    python = home / "bin" / "python"
    if not python.exists():
        _make(home)
    _install(python, "--require-hashes", "-r", str(ROOT / "requirements" / "run.lock"))
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", scratch], cwd=ROOT)
    wheel = next(Path(scratch).glob("levada-*.whl"))
    _install(python, "--no-deps", "--force-reinstall", str(wheel))
    _run([str(python), "-m", "compileall", "-q", str(home / "lib")], check=False)
    return str(python)


def _works(python: Path, code: str) -> bool:
    return python.exists() and subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def _make(home: Path) -> None:
    """A virtual environment by the first means that is there, as tools/make_env.sh does for the main one."""
    home.parent.mkdir(exist_ok=True)
    interpreter = getattr(sys, "_base_executable", sys.executable)
    ways = [[uv, "venv", "--python", interpreter, str(home)]] if (uv := _uv()) else []
    ways += [[interpreter, "-m", "venv", "--clear", str(home)], [interpreter, "-m", "virtualenv", str(home)]]
    reasons = []
    for way in ways:
        try:
            return _run(way)
        except Missing as reason:
            reasons.append(str(reason))
    raise Missing(f"no virtual environment could be made: {'; '.join(reasons)}")


def _install(python: Path, *what: str) -> None:
    uv = _uv()
    if uv:
        what = tuple("--reinstall" if word == "--force-reinstall" else word for word in what)
        return _run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *what])
    return _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *what])


def _uv() -> str | None:
    found = shutil.which("uv")
    works = found and subprocess.run([found, "--version"], capture_output=True).returncode == 0
    return found if works else None


def _run(command: list[str], cwd: Path | None = None, *, check: bool = True) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if check and done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise Missing(f"{' '.join(command[:4])} ...: {lines[-1]}"[:300])
