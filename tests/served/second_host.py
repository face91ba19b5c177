"""A second host: a network namespace that a cable joins to this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Hosts(NamedTuple):
    """This machine as another one reaches it, and the words before a command that is to run there."""

    address: str
    second: tuple[str, ...]


@contextmanager
def second_host() -> Iterator[Hosts]:
    """It is there until the block ends. Needs root; see `tests.chaos.nets.can_cut`."""
    mark, third = f"lv{os.getpid()}", os.getpid() % 250
    space, cable = f"{mark}two", f"{mark}c"
    try:
        for words in (
            f"netns add {space}",
            f"link add name {cable} type veth peer name eth0 netns {space}",
            f"address add 10.78.{third}.1/24 dev {cable}",
            f"link set {cable} up",
            f"-n {space} address add 10.78.{third}.2/24 dev eth0",
            f"-n {space} link set lo up",
            f"-n {space} link set eth0 up",
        ):
            subprocess.run(["ip", *words.split()], check=True, capture_output=True)
        yield Hosts(f"10.78.{third}.1", ("ip", "netns", "exec", space))
    finally:
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)  # and the cable with it
