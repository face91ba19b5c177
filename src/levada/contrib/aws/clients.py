"""boto3's clients, and what AWS's answers and errors mean; the two engines stand on this.

A request that would do something twice is not repeated by the client (`once`): its answer may have been lost. Questions are, a few times.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

from levada._model.engines import JobSpec
from levada.errors import EngineError, EngineUnreachable, JobRefused

T = TypeVar("T")

AT_ONCE = 100  # jobs that AWS describes in one answer
READING = 12.0  # seconds that an answer may take
_TRIES = 3
SETTLING = 5.0  # seconds after which AWS lists what it has taken
_LINES = 10_000  # of a log that AWS gives in one answer, the newest (or a MB of them)
FROM_OUTSIDE = {137: "SIGKILL", 143: "SIGTERM"}  # the first process of a container cannot send itself these
_AWAY = (
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestExpired",
    "ServiceUnavailable",
    "ServerException",
    "InternalFailure",
    "ExpiredToken",
    "ExpiredTokenException",
)


class Refusal(Exception):
    """AWS answered, and said no. code: its word for machines."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code

    def of(self, title: str, hint: str) -> JobRefused:
        """The error of a job that is not taken."""
        return JobRefused(f"{title}: AWS refused it: {self}", hint=hint)


class Clients:
    """Clients of one region, made when first used. Safe for threads; a forked child makes its own."""

    def __init__(self, address: str, place: str) -> None:
        """place: name or ARN of a queue or cluster. Raises EngineError: no boto3, no name, or no region."""
        try:
            from boto3.session import Session
        except ImportError as cause:
            raise EngineError(f"{address}: needs boto3, which is not installed", hint='pip install "levada[aws]"') from cause
        if not place:
            raise EngineError(
                f"{address}: names nothing to run jobs in", hint="It looks like batch://QUEUE, or ecs://CLUSTER, by name or ARN."
            )
        self.address = address
        self.region = place.split(":")[3] if place.startswith("arn:") and place.count(":") > 4 else Session().region_name
        if not self.region:
            raise EngineError(
                f"{address}: it is not known in which region", hint="Set AWS_REGION, or the region of AWS_PROFILE, or name the ARN."
            )
        self._lock = Lock()
        self._made: dict[tuple[int, str, bool], Any] = {}

    def of(self, service: str, *, once: bool = False) -> Any:
        """The client of a service; once: it asks no second time by itself."""
        with self._lock:
            key = (os.getpid(), service, once)
            if key not in self._made:
                self._made[key] = self._make(service, 1 if once else _TRIES)
            return self._made[key]

    def _make(self, service: str, tries: int) -> Any:
        from boto3.session import Session
        from botocore.config import Config

        patience = Config(connect_timeout=4, read_timeout=READING, retries={"mode": "standard", "total_max_attempts": tries})
        with self.translated():
            return Session().client(service, region_name=self.region, config=patience)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raises EngineUnreachable, or Refusal, for what the client raises in the block."""
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            yield
        except ClientError as cause:
            said = cause.response.get("Error", {})
            code, words = str(said.get("Code", "")), str(said.get("Message") or cause)
            if code in _AWAY or cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
                raise self.unreachable(f"{code}: {words}") from cause
            raise Refusal(code, f"{code}: {words}") from cause
        except ParamValidationError as cause:
            raise Refusal("ParamValidation", " ".join(str(cause).split())) from cause
        except (BotoCoreError, OSError, ValueError) as cause:
            raise self.unreachable(str(cause)) from cause

    @contextmanager
    def told(self) -> Iterator[None]:
        """The same for questions about jobs that were taken: one that may not be asked says nothing of them."""
        try:
            with self.translated():
                yield
        except Refusal as refusal:
            raise self.unreachable(str(refusal)) from refusal

    def ours(self, arn: str) -> str:
        """The last part of an ARN that is a handle. Raises EngineError for another region, which would say that there is none."""
        region = arn.split(":")[3] if arn.count(":") > 4 else ""
        if region != self.region:
            raise EngineError(
                f"{arn}: was started in {region or 'no region'}, and {self.address} leads to {self.region} here",
                hint="Set AWS_REGION as where it was started, or write the ARN in the address.",
            )
        return arn.rpartition("/")[2]

    def unreachable(self, words: str) -> EngineUnreachable:
        """The error of a question that was not answered."""
        return EngineUnreachable(
            f"{self.address}: no answer from {self.region}: {' '.join(words.split())[:500]}",
            hint="Are the credentials good, and is the region right? `aws sts get-caller-identity` tells.",
        )

    def log(self, group: str, stream: str, most: int) -> str:
        """The last bytes of a stream of CloudWatch; "" where there is none, or these credentials may not read it."""
        try:
            with self.translated():
                page = self.of("logs").get_log_events(logGroupName=group, logStreamName=stream, startFromHead=False, limit=_LINES)
        except Refusal:
            return ""
        text = "".join(f"{event['message']}\n" for event in page["events"])
        return text.encode()[-most:].decode(errors="ignore") if most else ""


def looked_for(look: Callable[[], str | None]) -> str | None:
    """What a look finds; where it finds nothing another one, later: AWS may have taken what it does not list yet."""
    found = look()
    if found is None:
        time.sleep(SETTLING)
        found = look()
    return found


def in_parts(items: Sequence[T]) -> Iterator[list[T]]:
    """The items, as many at once as AWS describes."""
    left = iter(items)
    while part := list(islice(left, AT_ONCE)):
        yield part


def environment(job: JobSpec) -> list[dict[str, str]]:
    """The environment of a job, as AWS writes it."""
    return [{"name": name, "value": value} for name, value in job.env.items()]


def no_folder(job: JobSpec) -> None:
    """Raises JobRefused for a job that wants to run in a folder."""
    if job.folder:
        raise JobRefused(
            f"{job.title}: is to run in {job.folder}, and AWS runs it where its image says",
            hint="Leave the folder out, or let the command change to it.",
        )
