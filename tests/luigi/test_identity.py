"""One task has one key, whoever registers it."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from levada.luigi.guests.identity import Significant, canonical, id_of, key_of
from levada.luigi.guests.registering import named
from levada.luigi.guests.requests import AddTask
from levada.task import Task
from tests.faults.command import ROOT
from tests.luigi.kinds import KINDS


def _printed(python: str, folder: Path, code: str) -> list[Any]:
    (folder / "kinds.py").write_text(KINDS)
    environ = {"PYTHONPATH": str(ROOT / "src") if python == sys.executable else "", "PATH": "", "HOME": str(folder)}
    done = subprocess.run([python, "-c", code], cwd=folder, env=environ, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_each_kind_of_parameter_gives_a_task_the_key_that_levada_gives_it(tmp_path: Path, luigi_python: str) -> None:
    theirs = _printed(luigi_python, tmp_path, "import kinds")
    ours = _printed(sys.executable, tmp_path, "from levada.luigi.door import opened\nwith opened():\n    import kinds")
    assert len(theirs) == len(ours) > 40
    significant = Significant()
    for (kind, value, name, family, texts, _), (*_, key) in zip(theirs, ours, strict=True):
        found = significant.of(name, family, texts)
        assert found is not None, (kind, value)
        assert key_of(family, canonical(found)).hex() == key, (kind, value, texts)


def test_a_hidden_parameter_is_part_of_our_key_and_not_of_luigis_id(tmp_path: Path, luigi_python: str) -> None:
    code = """
import json, luigi
from importlib import import_module
visibility = import_module("luigi.parameter" if hasattr(luigi, "parameter") else "levada.params.base").ParameterVisibility
class Seen(luigi.Task):
    x = luigi.Parameter(default="1")
    h = luigi.Parameter(default="2", visibility=visibility.HIDDEN)
task = Seen()
texts = (task.to_str_params if hasattr(task, "to_str_params") else task.to_texts)()
print(json.dumps([task.task_id, texts, getattr(task, "key", b"").hex()]))
"""
    name, texts, _ = _printed(luigi_python, tmp_path, code)
    *_, key = _printed(sys.executable, tmp_path, f"from levada.luigi.door import opened\nwith opened():\n    exec({code!r})")
    asked = AddTask(worker="w", task_id=name, family="Seen", params=texts, param_visibilities={"x": 0, "h": 1})
    assert named(asked, Significant()).key.hex() == key


def test_the_significant_parameters_are_found_whichever_they_are() -> None:
    texts = {"day": "2024-02-29", "region": "eu", "retries": "3", "verbose": "False", "name": "x"}
    for count in range(len(texts) + 1):
        for names in combinations(texts, count):
            part = {name: texts[name] for name in names}
            assert Significant().of(id_of("Sales", part), "Sales", texts) == part


def test_a_family_is_not_searched_twice() -> None:
    significant = Significant()
    texts = {f"p{number}": "1" for number in range(40)}
    part = {name: text for name, text in texts.items() if name not in ("p3", "p4")}
    assert significant.of(id_of("Wide", part), "Wide", texts) == part
    other = dict.fromkeys(texts, "2")
    part = {name: text for name, text in other.items() if name not in ("p3", "p4")}
    assert next(iter(significant._subsets("Wide", sorted(other), 100))) == {"p3", "p4"}
    assert significant.of(id_of("Wide", part), "Wide", other) == part


def test_an_id_of_a_programs_own_making_is_not_guessed_at() -> None:
    assert Significant().of("my-own-id", "Sales", {"day": "2024-02-29"}) is None
    assert Significant().of("Sales_2024_0123456789", "Sales", {str(number): "1" for number in range(60)}) is None  # and ends soon


def test_a_family_with_ids_of_its_own_is_soon_not_searched_any_more() -> None:
    significant = Significant()
    texts = {str(number): "1" for number in range(60)}
    for _ in range(5):
        assert significant.of("Own_0123456789", "Own", texts) is None
    assert len(list(significant._subsets("Own", sorted(texts), 100))) == 1
    assert significant.of(id_of("Own", texts), "Own", texts) == texts


def test_a_search_through_long_parameters_is_short() -> None:
    assert len(list(Significant()._subsets("Long", [str(number) for number in range(60)], 200_000))) == 5


def test_a_key_is_that_of_the_task() -> None:
    class Kept(Task):
        day: str
        a: int = 3

    task = Kept(day="2024-02-29")
    assert key_of("Kept", canonical({"day": "2024-02-29", "a": "3"})) == task.key


@pytest.mark.parametrize("family", ["Int", "name.space.Int"])
def test_an_id_is_that_of_luigi(family: str) -> None:
    assert id_of(family, {"x": "-3", "a": "7"}) == f"{family}_7__3_29fe248832"
