"""What holds for the tests of all wings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

STRANGERS = r"ignore:Exception ignored in. <socket\.socket:pytest.PytestUnraisableExceptionWarning"
"""Connections that clients of others (docker, moto, pymongo, ...) left to the collector; it comes by in whichever test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A leak of theirs is no fault of the test that happens to run."""
    here = f"{Path(__file__).parent}{os.sep}"
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.filterwarnings(STRANGERS))
