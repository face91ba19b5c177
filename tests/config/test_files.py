from __future__ import annotations

import os
from pathlib import Path

import pytest

from levada.config import files
from levada.config.settings import load
from levada.errors import ConfigError


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


def test_the_nearest_folder_upward_counts(tmp_path: Path) -> None:
    found = write(tmp_path / "a" / "levada.toml", "")
    write(tmp_path / "levada.toml", "")
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)

    assert files.project_files(str(deep)) == [found]


def test_the_search_ends_at_a_repository(tmp_path: Path) -> None:
    write(tmp_path / "levada.toml", "")
    repository = tmp_path / "r"
    (repository / ".git").mkdir(parents=True)

    assert files.project_files(str(repository)) == []


def test_a_pyproject_counts_only_when_it_speaks_of_levada(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", "[project]\nname = 'x'\n")
    (tmp_path / ".git").mkdir()
    assert files.project_files(str(tmp_path)) == []

    write(tmp_path / "pyproject.toml", "[tool.levada]\nmodules = ['x']\n")
    assert files.project_files(str(tmp_path)) == [path]


def test_levada_toml_is_stronger_than_pyproject_and_that_than_the_users_own(tmp_path: Path) -> None:
    project, home = tmp_path / "p", tmp_path / "home"
    write(project / "levada.toml", "[run]\nworkers = 2\n")
    write(project / "pyproject.toml", "[tool.levada.run]\nworkers = 3\nattempts = 4\n")
    write(home / "levada" / "levada.toml", "[run]\nworkers = 5\nattempts = 6\ngrace = 7\n")

    settings = load({"XDG_CONFIG_HOME": str(home)}, str(project))

    assert settings.section("run") == {"workers": 2, "attempts": 4, "grace": 7}
    assert [Path(path).name for path in settings.files] == ["levada.toml", "pyproject.toml", "levada.toml"]


def test_keys_of_tool_levada_itself_are_the_levada_section(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool.levada]\nmodules = ['flights', 'reports']\n")

    assert load({}, str(tmp_path)).get("levada", "modules") == ("flights", "reports")


def test_a_named_file_stands_for_those_of_the_project(tmp_path: Path) -> None:
    write(tmp_path / "levada.toml", "[run]\nworkers = 2\n")
    other = write(tmp_path / "other.toml", "[run]\nattempts = 9\n")

    settings = load({"LEVADA_CONFIG": other}, str(tmp_path))

    assert settings.section("run") == {"attempts": 9}


def test_a_named_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load({"LEVADA_CONFIG": "nowhere.toml"}, str(tmp_path))


@pytest.mark.parametrize("mode", [0o666, 0o602])
def test_a_file_that_everybody_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "levada.toml", "")
    os.chmod(path, mode)

    with pytest.raises(ConfigError, match="everybody may write") as refused:
        load({}, str(tmp_path))
    assert "chmod go-w" in str(refused.value)


def test_a_group_may_write_only_if_it_is_the_users_own(tmp_path: Path) -> None:
    """Where each user has a group of the same number, files are group-writable and still private."""
    path = write(tmp_path / "levada.toml", "")
    os.chmod(path, 0o664)
    stat = os.stat(path)
    private = os.stat_result((stat.st_mode, 0, 0, 1, os.getuid(), os.getuid(), 0, 0, 0, 0))
    shared = os.stat_result((stat.st_mode, 0, 0, 1, os.getuid(), os.getuid() + 1, 0, 0, 0, 0))

    files.refuse_if_open_to_others(path, private)
    with pytest.raises(ConfigError, match="its group may write"):
        files.refuse_if_open_to_others(path, shared)


def test_a_file_that_somebody_else_planted_above_is_refused(tmp_path: Path) -> None:
    stranger = os.stat_result((0o100644, 0, 0, 1, os.getuid() + 4242, 0, 0, 0, 0, 0))

    with pytest.raises(ConfigError, match="belongs to user"):
        files.refuse_if_open_to_others("/shared/levada.toml", stranger, str(tmp_path))


def test_wrong_toml_is_told_with_its_line(tmp_path: Path) -> None:
    write(tmp_path / "levada.toml", "[run]\nworkers = \n")

    with pytest.raises(ConfigError, match=r"levada\.toml: Invalid value \(at line 2"):
        load({}, str(tmp_path))


def test_a_key_outside_of_a_section_is_told(tmp_path: Path) -> None:
    write(tmp_path / "levada.toml", "workers = 3\n")

    with pytest.raises(ConfigError, match="'workers' stands outside of a section"):
        load({}, str(tmp_path))


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "levada.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "levada.toml").chmod(0o644)

    with pytest.raises(ConfigError, match="is not UTF-8"):
        load({}, str(tmp_path))
