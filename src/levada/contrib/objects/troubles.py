"""What clients raise, in our words: what was wrong, and the next step for its kind.

obstore's texts are long, and may hold an address with a signature in it (a SAS token): what goes on from here is short
and has neither; the error itself is cut down too, since a traceback shows it.
"""

from __future__ import annotations

import re

from levada.errors import TargetError, TargetUnreachable, TargetWriteError

_CREDENTIALS = {
    "s3": "They come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity, or the machine's role; not from profiles in ~/.aws.",
    "gs": "They come from GOOGLE_APPLICATION_CREDENTIALS (a file), gcloud's default ones, or the machine's account.",
    "az": "They come from AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_CLIENT_ID and its secret, or the machine's identity.",
}
_ENDPOINT = {
    "s3": "AWS_ENDPOINT_URL, or [s3] endpoint",
    "gs": "GOOGLE_BASE_URL, or [gs] endpoint",
    "az": "AZURE_ENDPOINT, or [az] endpoint",
}
_REFUSED = re.compile(
    r"\b40[13]\b|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|AuthenticationFailed|Unauthenticated|PermissionDenied"
)
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|BucketNotFound|no bucket named|bucket does not exist", re.IGNORECASE)
_NO_CREDENTIALS = re.compile(r"169\.254\.\d+\.\d+|metadata\.google|token request|credential", re.IGNORECASE)
_ELSEWHERE = re.compile(r"redirect|AuthorizationHeaderMalformed", re.IGNORECASE)
_LOST = re.compile(r"error sending request|timed out|timeout|connection|dns|builder error|error decoding response", re.IGNORECASE)


def words(cause: BaseException) -> str:
    """The essence of a client's error: the store's own code and message where it gave them."""
    text = str(cause).partition("\n\nDebug source:")[0]
    status = re.search(r"status code: (\d{3}[^:\n]*)", text)
    code, message = (re.search(rf"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    parts = [match[1].strip().splitlines()[0] for match in (status, code, message) if match and match[1].strip()]
    if not parts:
        parts = [re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", " ".join(text.split()))[:300] or type(cause).__name__]
    return ", ".join(dict.fromkeys(parts))


def unreachable(url: str, cause: BaseException) -> TargetUnreachable:
    """The error of a question that was not answered."""
    hint = f"What depends on it was not started. {next_step(url, cause)}"
    return TargetUnreachable(url, _shortened(cause), hint=hint)


def not_written(url: str, cause: BaseException) -> TargetError:
    """The error of a write that the store did not take."""
    if isinstance(cause, TargetError):
        return cause
    hint = f"{next_step(url, cause)} Nothing half-written can be seen."
    error = TargetWriteError(f"{url}: could not be written: {_shortened(cause)}", hint=hint)
    error.__cause__ = cause
    return error


def next_step(url: str, cause: BaseException) -> str:
    """What a person may do about it."""
    scheme, _, rest = url.partition("://")
    bucket, text = rest.partition("/")[0], f"{type(cause).__name__} {cause}"
    if _NO_BUCKET.search(text) or isinstance(cause, FileNotFoundError):
        return f"Is there a bucket (container) {bucket!r} at this endpoint ({_ENDPOINT[scheme]})?"
    if _NO_CREDENTIALS.search(text):
        return f"No credentials were found. {_CREDENTIALS[scheme]}"
    if _REFUSED.search(text):
        return f"May these credentials read, list and write in {bucket}? {_CREDENTIALS[scheme]}"
    if scheme == "s3" and _ELSEWHERE.search(text):
        return f"Is {bucket} in another region? Set AWS_REGION, or [s3] region."
    if _LOST.search(text):
        return f"Is the store up, and its endpoint right ({_ENDPOINT[scheme]})?"
    return f"Is {bucket} to be had? Try again; if it stays so, look at the store's own log."


def is_refusal(cause: BaseException) -> bool:
    """Whether the store knew who asks, and would not answer."""
    return bool(_REFUSED.search(f"{type(cause).__name__} {cause}")) and not _NO_CREDENTIALS.search(str(cause))


def is_lost(cause: BaseException) -> bool:
    """Whether an answer got lost, so that it is not known what became of a request."""
    return bool(_LOST.search(str(cause)))


def _shortened(cause: BaseException) -> str:
    text = words(cause)
    if not isinstance(cause, OSError):
        cause.args = (text,)
    return text
