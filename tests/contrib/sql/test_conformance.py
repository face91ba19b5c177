"""Updates of tables keep to the laws of markers, in each database."""

from __future__ import annotations

from typing import Any

import pytest

from levada.contrib.sql import SqlTarget
from levada.testing.conformance import MarkerConformance

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sql")]


class TestSqlTarget(MarkerConformance):
    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def make_target(self, name: str) -> Any:
        return SqlTarget(self.url, "numbers", name)

    def mark(self, target: Any) -> None:
        with target.writing():
            pass
