"""luigi.cfg: how it is found and read, and how parameters get their values from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import levada as lv
import levada.luigi as luigi
from levada.luigi import configuration
from levada.luigi.configuration import LuigiConfigParser, LuigiTomlParser
from levada.luigi.parameter import UnconsumedParameterWarning


@pytest.fixture
def cfg(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], object]]:
    monkeypatch.setattr(LuigiConfigParser, "_instance", None)
    monkeypatch.setattr(LuigiTomlParser, "_instance", None)

    def write(text: str) -> object:
        Path("luigi.cfg").write_text(text)
        monkeypatch.setattr(LuigiConfigParser, "_instance", None)
        return configuration.get_config()

    yield write
    LuigiConfigParser._instance = LuigiTomlParser._instance = None


class Cleaning(luigi.Task):  # type: ignore[misc]  # a checker sees Any where it does not read the annex
    rows = lv.IntParameter(default=1)
    old_name = lv.Parameter(default="here", config_path={"section": "files", "name": "folder"})


class Nested(luigi.Task):  # type: ignore[misc]
    task_namespace = "sales"
    rows = lv.IntParameter()


def test_a_section_of_a_family_fills_in_what_code_leaves_out(cfg: Callable[[str], object]) -> None:
    cfg("[Cleaning]\nrows: 7\n[sales.Nested]\nrows = 8\n")

    assert Cleaning().rows == 7
    assert Cleaning(rows=2).rows == 2
    assert Nested().rows == 8


def test_the_file_is_asked_at_each_task(cfg: Callable[[str], object]) -> None:
    cfg("[Cleaning]\nrows: 7\n")
    assert Cleaning().rows == 7

    configuration.get_config().set("Cleaning", "rows", "9")
    assert Cleaning().rows == 9

    cfg("")
    assert Cleaning().rows == 1


def test_an_old_place_of_a_value_counts_and_is_told(cfg: Callable[[str], object]) -> None:
    cfg("[files]\nfolder: there\n")

    with pytest.warns(DeprecationWarning, match=r"folder is deprecated; write \[Cleaning\] old_name"):
        assert Cleaning().old_name == "there"


def test_our_settings_count_more_than_luigis_file(cfg: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    from levada.config.settings import Settings

    settings = Settings({})
    settings.give("Cleaning", "rows", "5", "test")
    lv.task.set_value_source(settings.parameter)
    try:
        cfg("[Cleaning]\nrows: 7\n")
        assert Cleaning().rows == 5
    finally:
        lv.task.set_value_source(None)


def test_a_wrong_value_is_told_with_its_place(cfg: Callable[[str], object]) -> None:
    cfg("[Cleaning]\nrows: many\n")

    with pytest.raises(lv.errors.ParameterError, match=r"'many' is not a whole number.*\(from luigi.cfg: \[Cleaning\] rows\)"):
        Cleaning()


def test_names_that_no_task_has_are_told_once(cfg: Callable[[str], object], recwarn: pytest.WarningsRecorder) -> None:
    cfg("[Cleaning]\nrows: 2\nrose: 3\n")

    Cleaning()
    Cleaning(old_name="x")

    told = [each for each in recwarn if issubclass(each.category, UnconsumedParameterWarning)]
    assert len(told) == 1
    assert "'rose'" in str(told[0].message)


def test_references_to_other_values_and_to_the_environment_are_filled_in(
    cfg: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP", "corner")
    config = configuration.get_config() if cfg("[a]\nb: ${SHOP}\nc: %(b)s/x\nd: ${NOT_SET}\n") else None

    assert config is not None
    assert (config.get("a", "b"), config.get("a", "c")) == ("corner", "corner/x")
    with pytest.raises(configuration.cfg_parser.InterpolationMissingEnvvarError, match=r"\[a\] d is \$\{NOT_SET\}.*export NOT_SET"):
        config.get("a", "d")


def test_values_are_read_by_type_with_defaults(cfg: Callable[[str], object]) -> None:
    cfg("[DEFAULT]\nall: x\n[a]\nn: 3\nf: 0.5\nyes: on\n[sizes]\nram: 4\ncpu: 2\n")
    config = configuration.get_config()

    assert (config.getint("a", "n"), config.getfloat("a", "f"), config.getboolean("a", "yes")) == (3, 0.5, True)
    assert (config.getint("a", "m", 5), config.get("none", "m", None)) == (5, None)
    assert config.getintdict("sizes") == {"ram": 4, "cpu": 2}
    assert config.getintdict("none") == {}
    with pytest.raises(configuration.cfg_parser.NoOptionError):
        config.getint("a", "m", "no default for a number")


def test_a_toml_file_keeps_types_and_can_be_chosen(cfg: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("luigi.toml").write_text("[Cleaning]\nrows = 7\n[b]\nc = {d = [1, 2]}\n")
    monkeypatch.setenv("LUIGI_CONFIG_PARSER", "toml")

    config = configuration.get_config()

    assert isinstance(config, LuigiTomlParser)
    assert Cleaning().rows == 7
    assert config.get("b", "c") == {"d": (1, 2)}
    with pytest.raises(KeyError):
        config.get("b", "e")


def test_a_further_file_counts_for_more(cfg: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LuigiConfigParser, "_config_paths", ["luigi.cfg"])
    cfg("[Cleaning]\nrows: 7\n")
    Path("host.cfg").write_text("[Cleaning]\nrows: 8\n")

    assert configuration.add_config_path("host.cfg")
    assert Cleaning().rows == 8
    with pytest.warns(UserWarning, match="no such configuration file"):
        assert not configuration.add_config_path("none.cfg")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("luigi.cfg", "[core\nx=1\n", "luigi.cfg: File contains no section headers"),
        ("luigi.cfg", "[core]\nworkers=1\nworkers=2\n", "luigi.cfg: .*option 'workers' in section 'core' already exists"),
        ("luigi.toml", "x = [1", "luigi.toml: Unclosed array"),
        ("luigi.toml", "core = 3", r"luigi.toml: core is 3; expected a table, as in \[core\]"),
    ],
)
def test_a_file_that_cannot_be_understood_is_told_and_counts_for_nothing(
    cfg: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, name: str, text: str, told: str
) -> None:
    monkeypatch.setenv("LUIGI_CONFIG_PARSER", name.partition(".")[2])
    Path(name).write_text(text)

    for _ in range(2):  # at the second time, too
        with pytest.raises(lv.errors.ConfigError, match=told):
            configuration.get_config()


def test_values_that_are_no_numbers_and_references_to_nothing_are_told_with_their_place(cfg: Callable[[str], object]) -> None:
    cfg("[resources]\nlicences = many\n[core]\nrpc_retry_wait = soon\n[Cleaning]\nrows = %(nothing)s\n")

    with pytest.raises(lv.errors.ParameterError, match=r"luigi.cfg: \[resources\] licences: .*'many'"):
        configuration.get_config().getintdict("resources")
    with pytest.raises(lv.errors.ParameterError, match=r"luigi.cfg: \[core\] rpc_retry_wait: .*'soon'"):
        luigi.RemoteScheduler()
    with pytest.raises(lv.errors.ConfigError, match=r"luigi.cfg: .*'rows' in section 'Cleaning'.*'nothing'"):
        Cleaning()
