"""The pages can be believed: what they show runs, and what they point to is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
EVERY_PAGE = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = [
    path
    for folder in ("src", "tests", "bench", "tools", "examples", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md", ".sh", ".toml")
] + [*EVERY_PAGE, ROOT / "pyproject.toml", ROOT / "Makefile"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PAGE_NAME = re.compile(r"[\w./-]*\b[A-Z]{4,}\.md\b")


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page))], ids=lambda page: page.name)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path) -> None:
    environ = dict(os.environ)
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])
    environ["PYTHONPATH"] = str(ROOT / "src")
    run = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tests/docs/pages.py"), str(page)],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert run.returncode == 0, f"{run.stdout}{run.stderr}"


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in EVERY_PAGE:
        for link in LINK.findall(page.read_text()):
            path = link.partition("#")[0]
            if path and "://" not in path and not (page.parent / path).exists():
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_no_text_speaks_of_a_page_that_is_not_here() -> None:
    """The repository explains itself: who reads a comment can open what it names."""
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in TEXTS
        for name in PAGE_NAME.findall(path.read_text())
        if not ((ROOT / name.lstrip("/")).exists() or (path.parent / name).exists())
    }
    assert missing == set()


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md" and f"({page.name})" not in index] == []


def test_the_code_map_names_every_file() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    modules = [path.relative_to(ROOT / "src/levada") for path in (ROOT / "src/levada").rglob("*.py")]
    assert [str(path) for path in modules if path.name != "__init__.py" and f"{path.name}`" not in page] == []
