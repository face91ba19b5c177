"""Real databases, stores and hosts, as the wings' own tests start them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contrib.conftest import STRANGERS
from tests.contrib.ftp.conftest import pyftpd as pyftpd
from tests.contrib.objects.conftest import azurite as azurite
from tests.contrib.objects.conftest import fake_gcs as fake_gcs
from tests.contrib.objects.conftest import moto as moto
from tests.contrib.sql.conftest import mariadb as mariadb
from tests.contrib.sql.conftest import mysql as mysql
from tests.contrib.sql.conftest import postgresql as postgresql
from tests.contrib.ssh.conftest import sshd as sshd
from tests.store.conftest import database as database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Servers take their time on a busy machine, and clients of others leave connections to the collector."""
    here = f"{Path(__file__).parent}{os.sep}"
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.filterwarnings(STRANGERS))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(120))
