"""What frameworks on Luigi do to it: programs of ours in the shapes of theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SHAPES = {
    "annotations of old classes are types": """
        import luigi
        class Base(luigi.Task):
            size: int = 1
            day = luigi.Parameter()
        class Child(Base):
            note: str = "x"
        assert [name for name, _ in Child.get_params()] == ["day"]
        assert Child("a").size == 1
    """,
    "keywords that a framework adds to all parameters reach no kind": """
        import luigi
        old = luigi.Parameter.__init__
        def new(self, hidden=False, *args, **kwargs):
            old(self, *args, **kwargs)
            self.hidden = hidden
        luigi.Parameter.__init__ = new
        class T(luigi.Task):
            a = luigi.IntParameter(hidden=True)
            b = luigi.DateParameter(default=None)
            c = luigi.ChoiceParameter(choices=["x"], default="x")
            d = luigi.OptionalIntParameter(hidden=True)
        assert T.a.hidden and not T.b.hidden and T.d.hidden
        assert T(1).a == 1
    """,
    "a metaclass may go past that of tasks": """
        from abc import ABCMeta
        import luigi
        class Meta(luigi.task_register.Register):
            def __new__(mcs, name, bases, body):
                cls = ABCMeta.__new__(mcs, name, bases, body)
                cls._namespace_at_class_time = mcs._get_namespace(cls.__module__)
                mcs._reg.append(cls)
                return cls
        class T(luigi.Task, metaclass=Meta):
            n = luigi.IntParameter(default=1)
        assert T() is T(1) and T() is not T(2)
        assert luigi.task_register.Register.get_task_cls("T") is T
    """,
    "a constructor gets the call as it was written": """
        import luigi
        class T(luigi.Task):
            n = luigi.IntParameter(default=1)
            m = luigi.IntParameter(default=2)
            def __init__(self, *args, **kwargs):
                kwargs.setdefault("m", 5)
                super().__init__(*args, **kwargs)
        assert (T(3).n, T(3).m, T(n=4, m=7).m) == (3, 5, 7)
    """,
    "a class may say itself which values a call means": """
        import luigi
        class T(luigi.Task):
            n = luigi.IntParameter(default=1)
            @classmethod
            def get_param_values(cls, params, args, kwargs):
                return [(name, value + 10) for name, value in super().get_param_values(params, args, kwargs)]
        assert T(1).n == 11 or T(1).n == 21
        assert T(1) is T(1)
    """,
    "what is handed an open target may ask for its name": """
        import luigi
        with luigi.LocalTarget("out.txt").open("w") as out:
            assert isinstance(getattr(out, "name", ""), str), out.name
    """,
    "a text parameter passes what is no text": """
        import warnings
        import luigi
        warnings.simplefilter("ignore")
        class T(luigi.Task):
            of = luigi.Parameter()
        other = T("a")
        assert T.from_str_params({"of": other, "unknown": "x"}).of is other
    """,
    "a class that wraps another takes its name": """
        import luigi
        class T(luigi.Task):
            pass
        @luigi.task._task_wraps(T)
        class Wrapped(T):
            pass
        assert Wrapped.get_task_family() == "T"
        assert luigi.task_register.Register.get_task_cls("T") is Wrapped
    """,
    "a registry that was put aside comes back": """
        import luigi
        from luigi.task_register import Register
        class T(luigi.Task):
            pass
        kept = Register._get_reg()
        Register._reg = [cls for cls in Register._reg if cls is not T]
        assert "T" not in Register.task_names()
        Register._reg = [cls for cls in Register._reg]
        Register._set_reg(kept)
        assert "T" in Register.task_names()
    """,
    "old classes have their own attributes by names that mean something to us": """
        import luigi
        class T(luigi.Task):
            retry = 0
            timeout = "never"
            owners = ("a,b", 3)
            namespace = "mine"
            def output(self):
                return luigi.LocalTarget("t.txt")
            def run(self):
                self.retry += 1
                self.output().open("w").close()
        assert T.get_task_family() == "T"
        assert luigi.build([T()], local_scheduler=True)
    """,
    "a parameter may be called namespace": """
        import luigi
        class T(luigi.Task):
            namespace = luigi.Parameter(default="x")
        assert T.get_task_family() == "T"
    """,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_frameworks_work(shape: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(SHAPES[shape]))

    done = subprocess.run(
        [sys.executable, "-m", "levada.luigi", "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr


def test_a_missing_parameter_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import luigi\nclass T(luigi.Task):\n    n = luigi.IntParameter()\n")

    done = subprocess.run(
        [sys.executable, "-m", "levada", "luigi", "--module", "program", "T"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "") + os.pathsep + str(tmp_path)},
    )

    assert done.returncode == 2, done.stderr
    assert "no value for n" in done.stderr
    assert "Traceback" not in done.stderr
