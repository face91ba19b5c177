"""Masters that are standby, hang up, or are none: what is asked again, and what is not. The real one is in test_cluster."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from levada._model.engines import JobState
from levada.contrib.spark.master import AnswerLost, Master, rest_addresses
from levada.errors import EngineUnreachable, JobRefused
from tests.contrib.ports import free_port

STANDBY = {"success": False, "message": "Current state is not alive: STANDBY. Can only accept driver submissions in ALIVE state."}


class Odd:
    """Answers each request with what it is told; None hangs up."""

    def __init__(self) -> None:
        self.answer: object = {"success": True, "submissionId": "driver-1"}
        self.asked: list[str] = []
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                odd.asked.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if odd.answer is None:
                    self.connection.close()
                    return
                body = odd.answer if isinstance(odd.answer, bytes) else json.dumps(odd.answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def masters() -> Iterator[tuple[Odd, Odd]]:
    both = Odd(), Odd()
    yield both
    for each in both:
        each.server.shutdown()
        each.server.server_close()


def test_a_standby_is_passed_over(masters: tuple[Odd, Odd]) -> None:
    first, second = masters
    first.answer = STANDBY
    master = Master([first.address, f"http://127.0.0.1:{free_port()}", second.address])
    assert master.create({}) == "driver-1"
    second.answer = STANDBY
    with pytest.raises(EngineUnreachable, match=r"STANDBY.*refused.*STANDBY"):
        master.create({})


def test_a_request_for_a_driver_whose_answer_was_lost_goes_to_nobody_else(masters: tuple[Odd, Odd]) -> None:
    first, second = masters
    first.answer = None
    master = Master([first.address, second.address])
    with pytest.raises(AnswerLost):
        master.create({})
    assert (len(first.asked), second.asked) == (1, [])
    second.answer = {"success": True, "driverState": "RUNNING"}
    assert master.status("driver-1")[0].state is JobState.RUNNING


def test_what_the_master_refuses_is_refused_with_its_words(masters: tuple[Odd, Odd]) -> None:
    masters[0].answer = {"success": False, "message": "no room for 9 cores"}
    with pytest.raises(JobRefused, match="no room for 9 cores"):
        Master([masters[0].address]).create({})


@pytest.mark.parametrize("answer", [b"<html>", b"[1]"])
def test_what_is_no_master_is_said(masters: tuple[Odd, Odd], answer: bytes) -> None:
    masters[0].answer = answer
    with pytest.raises(EngineUnreachable, match=r"no master|answered \[1\]"):
        Master([masters[0].address]).status("driver-1")


@pytest.mark.parametrize(
    ("word", "state"),
    [("SUBMITTED", JobState.PENDING), ("RELAUNCHING", JobState.PENDING), ("ERROR", JobState.FAILED), ("KILLED", JobState.KILLED)],
)
@pytest.mark.slow
def test_states_are_told_in_our_words(masters: tuple[Odd, Odd], word: str, state: JobState) -> None:
    masters[0].answer = {
        "success": True,
        "driverState": word,
        "message": "Exception from the cluster:\njava.io.IOException: gone\n\tat java",
    }
    status, _ = Master([masters[0].address]).status("driver-1")
    assert (status.state, status.message) == (state, "java.io.IOException: gone")


def test_addresses_are_those_of_the_hosts_unless_configured() -> None:
    assert rest_addresses("spark://a", "") == ["http://a:6066"]
    assert rest_addresses("spark://a:7077", "https://b:443/, http://c:1") == ["https://b:443", "http://c:1"]
