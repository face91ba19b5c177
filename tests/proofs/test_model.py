"""The model of the lease protocol: it holds, and it would notice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proofs import check

MODEL = check.MODEL.read_text()
README = check.MODEL.with_name("README.md").read_text()


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_the_protocol_holds_and_planted_faults_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The quick set; `make proofs` searches all of it."""
    status = check.main(["--quick"])
    printed = capsys.readouterr().out
    if status == check.SKIPPED:
        pytest.skip(printed.strip())
    assert status == 0, printed
    assert "all as it should be" in printed


def test_every_fault_that_the_model_knows_is_planted_and_described() -> None:
    """A fault that nobody looks for proves nothing."""
    known = set(re.findall(r"\bF_[A-Z_]+\b", MODEL)) - {"F_"}
    planted = {switch for case in check.FAULTS for switch in case.switches if switch.startswith("F_")}
    assert known == planted
    assert {case.name for case in check.FAULTS} == set(re.findall(r"^\| `([a-z-]+)` \|", README, re.MULTILINE))


def test_without_spin_the_check_is_skipped_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check.main(["--quick"]) == check.SKIPPED
    assert "spin and a C compiler are needed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "broken"),
    [
        ("State-vector 9 byte, depth reached 7, errors: 0\n    12 states, stored\n", None),
        ("pan:1: assertion violated (m[s].fence>newest) (at depth 5)\ndepth reached 7, errors: 1\n 12 states, stored\n", "P1 one newest"),
        ("pan:1: invalid end state (at depth 40)\ndepth reached 7, errors: 1\n 12 states, stored\n", "no deadlock"),
        ("error: max search depth too small\ndepth reached 7, errors: 0\n 12 states, stored\n", "the search is not whole"),
        ("Warning: Search not completed\ndepth reached 7, errors: 0\n 12 states, stored\n", "the search is not whole"),
        ("pan: out of memory\n", "the search did not end: pan: out of memory"),
        ("", "the search did not end: it said nothing"),
    ],
)
def test_what_spin_says_is_read_rightly(said: str, broken: str | None) -> None:
    assert check._read(said, 0.0).broken == broken


def test_a_search_that_was_cut_short_has_found_no_fault() -> None:
    """Running out of memory on the way to a fault must not pass for finding it."""
    short = check.Outcome(12, 0.1, "the search is not whole", 7)
    assert not check.is_as_it_should_be(check.FAULTS[0], short)
    assert not check.is_as_it_should_be(check.SOUND[0], short)
    assert check.is_as_it_should_be(check.FAULTS[0], short._replace(broken="P1 one newest"))
    assert not check.is_as_it_should_be(check.FAULTS[0], short._replace(broken=None))
