"""``import luigi`` finds Levada: for a command, a script, a module, a process and its children."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import levada
import levada.luigi
import levada.params
from levada.luigi import absent, door

PROGRAM = """
import subprocess
import sys
from luigi import IntParameter
import luigi

class Note(luigi.Task):
    n = IntParameter()

    def output(self):
        return luigi.LocalTarget(f"note-{self.n}.txt")

    def run(self):
        child = subprocess.run([sys.executable, "-c", "import luigi; print(luigi.__name__)"], capture_output=True, text=True)
        with self.output().open("w") as out:
            out.write(f"{luigi.__name__} {child.stdout.strip()}")

if __name__ == "__main__":
    if "threads" in sys.argv:  # a pool that cannot fork starts its children from nothing
        import threading
        threading.Thread(target=threading.Event().wait, args=(5,), daemon=True).start()
    done = luigi.build([Note(n=n) for n in range(3)], workers=2, local_scheduler=True)
    print(bool(done), sys.argv[1:], __name__)
"""


@pytest.fixture
def program(in_tmp: Path) -> Path:
    (in_tmp / "notes.py").write_text(PROGRAM)
    return in_tmp


def python(*arguments: str, path: str = "") -> str:
    source = os.path.dirname(os.path.dirname(levada.__file__))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, source]))}
    done = subprocess.run([sys.executable, *arguments], env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["-m", "levada.luigi", "notes.py", "x"], ""),
        (["-m", "levada.luigi", "-m", "notes", "x"], ""),
        (["-m", "levada.luigi", "notes.py", "threads"], ""),
        (["-m", "levada", "luigi", "notes.py", "x"], ""),
        (["-m", "levada", "luigi", "-m", "notes", "x"], ""),
        (["notes.py", "x"], door.DOORWAY),
    ],
    ids=["script", "module", "a pool that cannot fork", "levada luigi script", "levada luigi -m", "doorway on the path"],
)
def test_a_program_runs_as_it_is_and_its_children_find_levada_too(program: Path, arguments: list[str], path: str) -> None:
    said = python(*arguments, path=path)

    assert said.splitlines()[-1] == f"True {arguments[-1:]} __main__"
    assert [(program / f"note-{n}.txt").read_text() for n in range(3)] == ["levada.luigi levada.luigi"] * 3


def test_a_sitecustomize_of_others_is_run_as_well(in_tmp: Path) -> None:
    (in_tmp / "sitecustomize.py").write_text("import sys\nsys.of_others = True\n")

    said = python("-c", "import sys, luigi; print(sys.of_others, luigi.__name__)", path=os.pathsep.join([door.DOORWAY, str(in_tmp)]))

    assert said == "True levada.luigi\n"


def test_the_doorway_costs_a_program_without_luigi_no_import_of_ours() -> None:
    said = python("-c", "import sys; print([name for name in sys.modules if name.startswith('levada')])", path=door.DOORWAY)

    assert said == "[]\n"


THREADS = """
import importlib, threading
words = "task worker util contrib.hdfs parameter scheduler tools.range format mock rpc interface"
names = ["luigi", *(f"luigi.{word}" for word in words.split())] * 2
begin, faults = threading.Barrier(len(names)), []
def bring(name):
    begin.wait()
    try:
        importlib.import_module(name)
    except BaseException as fault:
        faults.append(repr(fault))
threads = [threading.Thread(target=bring, args=(name,), daemon=True) for name in names]
for one in threads: one.start()
for one in threads: one.join(30)
print(faults, [one.name for one in threads if one.is_alive()])
"""


@pytest.mark.parametrize(
    ("first", "path"),
    [("from levada.luigi import door; door.install()", ""), ("pass", door.DOORWAY)],
    ids=["an open door", "doorway on the path"],
)
def test_threads_may_import_at_once(first: str, path: str) -> None:
    """Python asks finders under the lock of all imports: one that imported there waited for ever for another thread's import."""
    asked = "import sys; before = set(sys.modules); ours = [one for one in sys.meta_path if type(one).__name__ in ('_Finder', 'Bell')]"
    asked += "; [one.find_spec('luigi.contrib.hdfs.target') for one in ours]"
    asked += "; print(len(ours), {name for name in sys.modules if name.startswith('levada')} - before)"
    assert python("-c", f"{first}\n{asked}", path=path) == "1 set()\n"
    assert python("-c", f"{first}\n{THREADS}", path=path) == "[] []\n"


ORDERS = [
    ["import luigi.tools.range as a", "import levada.luigi.tools.range as b"],
    ["import levada.luigi.tools.range as a", "from luigi.tools import range as b"],
    ["from luigi.tools import range as a", "from levada.luigi.tools import range as b"],
    ["import luigi", "a = luigi.range", "import luigi.tools.range as b"],
]


@pytest.mark.parametrize("statements", ORDERS)
def test_a_module_is_one_by_both_names_in_any_order(statements: list[str]) -> None:
    code = "; ".join(["from levada.luigi import door", "door.install()", *statements, "print(a is b)"])

    assert python("-c", code) == "True\n"


@pytest.fixture
def open_door() -> Iterator[None]:
    with door.opened():
        yield


def test_classes_are_those_of_the_house(open_door: None) -> None:
    luigi = __import__("luigi")
    parameter = __import__("luigi.parameter", fromlist=["DateParameter"])

    assert luigi is levada.luigi
    assert luigi.Task is levada.Task
    assert luigi.task_register.Register is levada.Register
    assert parameter.DateParameter is luigi.DateParameter is levada.params.DateParameter
    assert luigi.date_interval.Month is levada.params.intervals.Month


def test_a_door_inside_of_another_shuts_nothing(open_door: None) -> None:
    with door.opened():
        pass

    assert __import__("luigi") is levada.luigi


@pytest.mark.parametrize("name", sorted(absent.LEFT_OUT))
@pytest.mark.parametrize("package", ["luigi", "levada.luigi"])
def test_what_is_left_out_says_so_and_what_to_use(open_door: None, package: str, name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"luigi.{name} is left out of Levada. [A-Z].*"):
        __import__(f"{package}.{name}")


def test_every_public_name_is_listed_and_a_misspelt_one_is_told() -> None:
    assert {"Task", "DynamicRequirements", "OptionalDateParameter", "RPCError", "task_register", "range"} <= set(levada.luigi.__all__)
    assert set(levada.luigi.__all__) <= set(dir(levada.luigi))
    assert levada.luigi.__version__ == "3.8.1"
    with pytest.raises(AttributeError, match="Tusk"):
        levada.luigi.Tusk  # type: ignore[attr-defined]  # noqa: B018 - the point of it


def test_a_program_ends_with_the_code_that_it_says(in_tmp: Path) -> None:
    (in_tmp / "ends.py").write_text("import sys, luigi\nsys.exit(int(sys.argv[1]) if sys.argv[1:] else 'no number')\n")
    source = os.path.dirname(os.path.dirname(levada.__file__))
    environ = {**os.environ, "PYTHONPATH": source}

    for words, code in ((["3"], 3), (["0"], 0), ([], 1)):
        done = subprocess.run(
            [sys.executable, "-m", "levada", "luigi", "ends.py", *words], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
    assert "no number" in done.stderr


def test_what_a_program_raises_is_told_as_its_own_fault(in_tmp: Path) -> None:
    (in_tmp / "broken.py").write_text("import luigi\nluigi.Task.nothing\n")
    done = _levada_luigi("broken.py")
    assert done.returncode == 1, "as `python broken.py`"
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Traceback")
    assert "broken.py" in lines[1], "nothing of ours stands above the program"
    assert "report it" not in done.stderr


def test_a_script_knows_the_whole_path_of_its_file(in_tmp: Path) -> None:
    """`Path(__file__).parent.parent` finds the project; a chdir changes nothing."""
    (in_tmp / "where.py").write_text("import luigi\nprint(__file__)\n")
    assert _levada_luigi("where.py").stdout.strip() == str(in_tmp / "where.py")


@pytest.mark.parametrize(("words", "told"), [(["gone.py"], "there is no file gone.py"), (["-m", "gone.away"], "cannot run -m gone.away")])
def test_a_program_that_is_not_there_is_told_without_a_traceback(in_tmp: Path, words: list[str], told: str) -> None:
    done = _levada_luigi(*words)
    assert done.returncode == 2
    assert told in done.stderr
    assert str(in_tmp) in done.stderr, "the folder in which it was looked for"
    assert "Traceback" not in done.stderr


def _levada_luigi(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(levada.__file__))}
    return subprocess.run(
        [sys.executable, "-m", "levada", "luigi", *words], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_folder_for_a_pythonpath_is_told() -> None:
    assert python("-m", "levada", "luigi", "--doorway") == f"{door.DOORWAY}\n"
