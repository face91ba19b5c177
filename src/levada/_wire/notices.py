"""What others post to say that something happened: from bytes to notices that every later step may trust. Pure.

Known are S3's event notifications (of AWS, MinIO, Ceph; also inside of SNS, SQS and EventBridge), SeaweedFS' webhook, GCS' by
Pub/Sub, Azure's Event Grid, CloudEvents 1.0 (structured, binary, batched), and our own ``{"event": NAME, "id": ..., "fields": {...}}``.
The laws: a body is taken whole or refused whole, and nothing but Refusal is raised; a repeated delivery has the ids of the
first; ``urls`` name what was created and nothing else; no text is longer than 4 KiB or holds a control character.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, unquote_plus, urlsplit

import msgspec
from msgspec import Meta, Struct

from .._model.values import NamedTuple
from . import limits
from .check import CONTROL
from .problems import Refusal
from .words import explained

BODY = 4 << 20  # bytes of what is posted
NOTICES = 1_000  # in one body
TEXT = 4_096  # bytes of one text
FIELDS = 100  # of one notice
WRAPPED = 4  # envelopes inside of each other
WINDOW = 300.0  # seconds that a signature is good for, before and after
TIMESTAMP, SIGNATURE = "levada-timestamp", "levada-signature"
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
_CREATED = {"Microsoft.Storage.BlobCreated": "azure", "google.cloud.storage.object.v1.finalized": "google"}
_SIGNATURES = 8  # that one header may hold: some, while a secret is replaced


class Notice(NamedTuple):
    """Something happened. id: the sender's, or made from the content. urls: what was created, as stores spell it."""

    id: str
    name: str
    urls: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


def read_notice(body: bytes, headers: Mapping[str, str]) -> list[Notice]:
    """The notices of a body, in its order; each id once. Raises Refusal: ``too-large``, ``malformed``, ``invalid-message``."""
    if len(body) > BODY:
        raise Refusal("too-large", f"a body of {len(body):,} bytes, the limit is {BODY:,}")
    known = {name.lower(): value for name, value in headers.items()}
    try:
        notices = {notice.id: notice for notice in _bounded(_notices(body, known))}
    except RecursionError:
        raise Refusal("malformed", "JSON is nested too deeply") from None
    except UnicodeEncodeError:
        raise Refusal("malformed", "a text holds half a character (a lone surrogate)") from None
    return list(notices.values())


def answer(notices: list[Notice]) -> dict[str, str]:
    """What a sender wants to read in the response (as JSON): Event Grid asks once whether it may send. Empty for all others."""
    codes = [dict(notice.fields).get("validationCode", "") for notice in notices if notice.name == VALIDATION]
    return {"validationResponse": codes[0]} if codes else {}


def _bounded(notices: Iterator[Notice]) -> Iterator[Notice]:
    for count, notice in enumerate(notices):
        if count >= NOTICES:
            raise Refusal("too-large", f"more than {NOTICES:,} notices in one body", hint="Send them in several requests.")
        yield notice


# -- signatures ----------------------------------------------------------------------------------


def sign(body: bytes, secret: bytes, now: float) -> dict[str, str]:
    """The headers that go with a body: ``Levada-Timestamp``, and ``Levada-Signature: v1=`` HMAC-SHA256 of ``TIMESTAMP.BODY`` in hex."""
    at = str(int(now))
    return {"Levada-Timestamp": at, "Levada-Signature": f"v1={_mac(at, body, secret)}"}


def verify(body: bytes, headers: Mapping[str, str], secret: bytes, now: float) -> None:
    """Return when one of the signatures is good and not older, or younger, than 5 minutes. Raises Refusal ``unauthenticated``.

    now: seconds since 1970. That the same request does not come twice is for the notices' ids.
    """
    if not secret:
        raise ValueError("a signature without a secret says nothing")
    known = {name.lower(): value for name, value in headers.items()}
    at, said = known.get(TIMESTAMP, "").strip(), known.get(SIGNATURE, "")
    if not at or not said:
        raise Refusal(
            "unauthenticated", "the request is not signed", hint="Send Levada-Timestamp and Levada-Signature; see docs/arrivals.md."
        )
    if re.fullmatch(r"[0-9]{1,12}", at) is None:
        raise Refusal("unauthenticated", "Levada-Timestamp: expected seconds since 1970")
    expected = _mac(at, body, secret).encode()
    offered = [part.strip()[3:] for part in said.split(",")[:_SIGNATURES] if part.strip().startswith("v1=")]
    good = [hmac.compare_digest(expected, one.encode(errors="replace")) for one in offered]
    if not any(good):
        raise Refusal(
            "unauthenticated", "Levada-Signature does not fit to body and timestamp", hint="Is it made of the bytes as they are sent?"
        )
    if abs(now - int(at)) > WINDOW:
        raise Refusal(
            "unauthenticated", f"Levada-Timestamp is {abs(now - int(at)):.0f} s away from the server's clock, the limit is {WINDOW:.0f} s"
        )


def _mac(at: str, body: bytes, secret: bytes) -> str:
    return hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()


# -- which format it is --------------------------------------------------------------------------


def _notices(body: bytes, headers: Mapping[str, str]) -> Iterator[Notice]:
    if "ce-specversion" in headers:
        return iter((_binary(body, headers),))
    value = _json(body, "the body")
    if value == [] and headers.get("content-type", "").startswith("application/cloudevents-batch+json"):
        return iter(())  # CloudEvents allows that
    return _from_list(value) if isinstance(value, list) else _from_object(value, 0)


def _from_list(values: list[Any]) -> Iterator[Notice]:
    if not values:
        raise Refusal("malformed", "the body is an empty list")
    for at, value in enumerate(values):
        found = next((read for key, read in _LISTED.items() if isinstance(value, dict) and key in value), None)
        if found is None:
            raise Refusal("malformed", f"[{at}]: no notice of a known format", hint=_HINT)
        yield from found(value, 0)


def _from_object(value: Any, depth: int) -> Iterator[Notice]:
    if not isinstance(value, dict):
        raise Refusal("malformed", f"expected an object or a list, got {_kind(value)}", hint=_HINT)
    if depth > WRAPPED:
        raise Refusal("malformed", f"more than {WRAPPED} envelopes in each other")
    for keys, read in _FORMATS:
        if all(key in value for key in keys):
            return read(value, depth)
    shown = ", ".join(repr(_cut(key)) for key in list(value)[:8])
    raise Refusal("malformed", f"no notice of a known format: an object with {shown or 'nothing in it'}", hint=_HINT)


# -- our own -------------------------------------------------------------------------------------


class Plain(Struct, frozen=True, forbid_unknown_fields=True):
    """``{"event": NAME}``, with what its triggers need. Without an id, equal bodies are the same event."""

    event: Annotated[str, Meta(min_length=1, max_length=limits.NAME)]
    id: Annotated[str, Meta(min_length=1, max_length=limits.NAME)] | None = None
    fields: Annotated[dict[str, str | int | float | bool | None], Meta(max_length=FIELDS)] = {}
    urls: Annotated[list[str], Meta(max_length=NOTICES)] = []


def _plain(value: dict[str, Any], _: int) -> Iterator[Notice]:
    given = _converted(value, Plain, "")
    fields = [
        (_text(name, "fields"), _text(_scalar(said), f"fields.{_cut(name)}")) for name, said in given.fields.items() if said is not None
    ]
    urls = tuple(_url(url) for url in given.urls)
    yield Notice(_id(given.id) if given.id is not None else _digest(value), _text(given.event, "event"), urls, tuple(fields))


# -- S3 ------------------------------------------------------------------------------------------


class S3Bucket(Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1)]


class S3Object(Struct, frozen=True):
    key: Annotated[str, Meta(min_length=1)]
    size: int | None = None
    eTag: str | None = None
    versionId: str | None = None
    sequencer: str | None = None


class S3Part(Struct, frozen=True):
    bucket: S3Bucket
    object: S3Object


class S3Record(Struct, frozen=True):
    """What all that speak S3 agree upon; keys are encoded as in a form."""

    eventName: Annotated[str, Meta(min_length=1)]
    s3: S3Part
    eventTime: str | None = None
    awsRegion: str | None = None


def _records(value: dict[str, Any], depth: int) -> Iterator[Notice]:
    records = value["Records"]
    if not isinstance(records, list) or not records:
        raise Refusal("malformed", f"Records: expected a list with something in it, got {_kind(records)}")
    for at, record in enumerate(records):
        if not isinstance(record, dict):
            raise Refusal("malformed", f"Records[{at}]: expected an object, got {_kind(record)}")
        if "s3" in record:
            yield _s3(record, f"Records[{at}].")
        elif isinstance(record.get("Sns"), dict):
            yield from _sns(record["Sns"], depth + 1)
        elif "body" in record:
            yield from _inside(record["body"], f"Records[{at}].body", depth)
        else:
            raise Refusal("malformed", f"Records[{at}]: neither an event of S3, nor a message of SNS or SQS", hint=_HINT)


def _s3(record: dict[str, Any], place: str) -> Notice:
    event = _converted(record, S3Record, place)
    bucket, kept = event.s3.bucket.name, event.s3.object
    name = event.eventName.removeprefix("s3:")
    key = unquote_plus(kept.key, errors="strict") if _is_utf8(kept.key) else _refuse(f"{place}s3.object.key", "is not UTF-8")
    fields = {"bucket": bucket, "key": key, "time": event.eventTime, "region": event.awsRegion, "size": kept.size, "etag": kept.eTag}
    fields |= {"versionId": kept.versionId}
    # AWS gives a repeated delivery the sequencer of the first; a record's other parts may be told anew
    known_by = _digest([bucket, key, name, kept.versionId, kept.sequencer]) if kept.sequencer else _digest(record)
    urls = (_url(f"s3://{bucket}/{key}"),) if name.startswith("ObjectCreated:") else ()
    return Notice(known_by, _text(name, f"{place}eventName"), urls, _fields(fields))


def _test_event(value: dict[str, Any], _: int) -> Iterator[Notice]:
    yield Notice(_digest(value), _text(value["Event"], "Event"), (), _fields({"bucket": value["Bucket"]}))


def _sns(value: dict[str, Any], depth: int) -> Iterator[Notice]:
    """A message of SNS. One that asks for a confirmation is told, with the address: a person looks at it."""
    if value.get("Type", "Notification") == "Notification":
        yield from _inside(value.get("Message"), "Message", depth)
        return
    fields = {name: value.get(name) for name in ("TopicArn", "SubscribeURL", "Message")}
    yield Notice(_digest([value.get("MessageId"), value["Type"]]), f"sns:{_text(value['Type'], 'Type')}", (), _fields(fields))


def _messages(value: dict[str, Any], depth: int) -> Iterator[Notice]:
    """What a queue of SQS gave."""
    messages = value["Messages"]
    if not isinstance(messages, list):
        raise Refusal("malformed", f"Messages: expected a list, got {_kind(messages)}")
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or "Body" not in message:
            raise Refusal("malformed", f"Messages[{at}]: no message of SQS")
        yield from _inside(message["Body"], f"Messages[{at}].Body", depth)


def _event_bridge(value: dict[str, Any], _: int) -> Iterator[Notice]:
    """An event of EventBridge; of S3 it is a creation where ``detail-type`` says so. Keys are not encoded."""
    detail, name = value["detail"], _text(value["detail-type"], "detail-type")
    if not isinstance(detail, dict):
        raise Refusal("malformed", f"detail: expected an object, got {_kind(detail)}")
    urls: tuple[str, ...] = ()
    if value.get("source") == "aws.s3" and name == "Object Created":
        part = _converted(detail, S3Part, "detail.")
        urls = (_url(f"s3://{part.bucket.name}/{part.object.key}"),)
    fields = {**_flat(detail), **{key: value.get(key) for key in ("source", "account", "time", "region")}}
    yield Notice(_id(value["id"]), name, urls, _fields(fields))


# -- SeaweedFS -----------------------------------------------------------------------------------


class SeaweedEntry(Struct, frozen=True):
    name: str
    is_directory: bool = False


class SeaweedMessage(Struct, frozen=True):
    new_entry: SeaweedEntry | None = None
    new_parent_path: str = ""


class Seaweed(Struct, frozen=True):
    """What SeaweedFS' filer posts. Buckets are folders of ``/buckets``."""

    key: str
    event_type: Literal["create", "update", "delete", "rename"]
    message: SeaweedMessage | None = None


def _seaweed(value: dict[str, Any], _: int) -> Iterator[Notice]:
    event = _converted(value, Seaweed, "")
    entry = event.message.new_entry if event.message is not None else None
    path = event.key
    if event.message is not None and entry is not None and event.message.new_parent_path:
        path = f"{event.message.new_parent_path.rstrip('/')}/{entry.name}"
    bucket, slash, key = path.removeprefix("/buckets/").partition("/")
    counts = path.startswith("/buckets/") and entry is not None and not entry.is_directory and event.event_type != "delete"
    counts = counts and bool(key) and not bucket.startswith(".") and not key.startswith(".uploads/")  # pieces of an upload
    urls = (_url(f"s3://{bucket}{slash}{key}"),) if counts else ()
    yield Notice(_digest(value), f"seaweedfs:{event.event_type}", urls, _fields({"path": path}))


# -- Google --------------------------------------------------------------------------------------


class PubSubMessage(Struct, frozen=True):
    attributes: dict[str, str] = {}
    data: str = ""
    messageId: str = ""


class PubSub(Struct, frozen=True):
    """What Pub/Sub pushes."""

    message: PubSubMessage


def _pub_sub(value: dict[str, Any], depth: int) -> Iterator[Notice]:
    message = _converted(value, PubSub, "").message
    about = message.attributes
    if "objectId" not in about or "bucketId" not in about:
        yield from _inside(_decoded(message.data, "message.data"), "message.data", depth)
        return
    kind, bucket, key = (_text(about.get(name, ""), name) for name in ("eventType", "bucketId", "objectId"))
    generation = about.get("objectGeneration")
    known_by = _digest([bucket, key, kind, generation, about.get("eventTime")]) if generation else _id(message.messageId or _digest(value))
    urls = (_url(f"gs://{bucket}/{key}"),) if kind == "OBJECT_FINALIZE" else ()
    fields = {"bucket": bucket, "key": key, "time": about.get("eventTime"), "generation": generation}
    yield Notice(known_by, kind or "pubsub", urls, _fields(fields))


# -- Azure ---------------------------------------------------------------------------------------


class GridEvent(Struct, frozen=True):
    """Event Grid's own schema."""

    id: Annotated[str, Meta(min_length=1)]
    eventType: Annotated[str, Meta(min_length=1)]
    subject: str = ""
    topic: str = ""
    eventTime: str = ""
    data: Any = None


def _grid(value: dict[str, Any], _: int) -> Iterator[Notice]:
    event = _converted(value, GridEvent, "")
    url = _azure(event.subject, event.data) if _CREATED.get(event.eventType) == "azure" else None
    fields = {"subject": event.subject, "source": event.topic, "time": event.eventTime, **_flat(event.data)}
    name = _text(event.eventType, "eventType")
    yield Notice(_id(event.id), name, () if url is None else (url,), _fields(fields))


def _azure(subject: str, data: object) -> str | None:
    """``az://container/blob``, of the subject ``/blobServices/default/containers/CONTAINER/blobs/BLOB``, or of the blob's address."""
    found = re.fullmatch(r"/blobServices/[^/]+/containers/([^/]+)/blobs/(.+)", subject, re.DOTALL)
    if found is not None:
        return _url(f"az://{found[1]}/{found[2]}")
    address = data.get("url") if isinstance(data, dict) else None
    if not isinstance(address, str):
        raise Refusal("invalid-message", f"neither subject nor data.url names a blob: {_cut(subject)!r}")
    try:
        path = urlsplit(address).path
    except ValueError:
        path = ""
    return _url(f"az://{unquote(path.lstrip('/'))}")


# -- CloudEvents ---------------------------------------------------------------------------------


class CloudEvent(Struct, frozen=True):
    """CloudEvents 1.0; other attributes (extensions) are passed over."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    type: Annotated[str, Meta(min_length=1)]
    subject: str = ""
    time: str = ""
    data: Any = None
    data_base64: str | None = None


def _cloud_event(value: dict[str, Any], _: int) -> Iterator[Notice]:
    event = _converted(value, CloudEvent, "")
    data = event.data
    if event.data_base64 is not None:
        data = _perhaps_json(_decoded(event.data_base64, "data_base64"))
    yield _of_cloud(event, data)


def _binary(body: bytes, headers: Mapping[str, str]) -> Notice:
    attributes = {name[3:]: unquote(said) for name, said in headers.items() if name.startswith("ce-")}
    return _of_cloud(_converted(attributes, CloudEvent, "ce-"), _perhaps_json(body))


def _of_cloud(event: CloudEvent, data: object) -> Notice:
    fields = {"id": event.id, "source": event.source, "subject": event.subject, "time": event.time, **_flat(data)}
    kind, url = _CREATED.get(event.type), None
    if kind == "azure":
        url = _azure(event.subject, data)
    elif kind == "google":
        bucket, key = event.source.rpartition("/buckets/")[2], event.subject.removeprefix("objects/")
        if not event.subject.startswith("objects/") or "/" in bucket or not bucket:
            raise Refusal("invalid-message", f"source and subject name no object: {_cut(event.source)!r}, {_cut(event.subject)!r}")
        url = _url(f"gs://{bucket}/{key}")
    urls = () if url is None else (url,)
    return Notice(_digest([event.source, event.id]), _text(event.type, "type"), urls, _fields(fields))


# -- parts ---------------------------------------------------------------------------------------

_Reader = Callable[[dict[str, Any], int], Iterator[Notice]]
_FORMATS: tuple[tuple[tuple[str, ...], _Reader], ...] = (
    (("specversion",), _cloud_event),
    (("Records",), _records),
    (("Type", "TopicArn"), _sns),
    (("Messages",), _messages),
    (("Event", "Bucket", "Service"), _test_event),
    (("detail-type", "detail", "id"), _event_bridge),
    (("message", "subscription"), _pub_sub),
    (("event_type", "key"), _seaweed),
    (("eventType", "id"), _grid),
    (("event",), _plain),
)
_LISTED: Mapping[str, _Reader] = {"specversion": _cloud_event, "eventType": _grid, "event": _plain}
_HINT = 'Known are notices of S3, GCS and Azure, CloudEvents 1.0, and {"event": NAME, "id": ..., "fields": {...}}; see docs/arrivals.md.'
_Kind = TypeVar("_Kind", bound=Struct)


def _json(data: bytes | str, place: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as cause:
        said = str(cause).removeprefix("JSON is malformed: ")[:300]
        raise Refusal("malformed", f"{place} is no JSON: {said}", hint=_HINT) from None
    except UnicodeError as cause:
        raise Refusal("malformed", f"{place} is not UTF-8: {getattr(cause, 'reason', cause)}") from None


def _perhaps_json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        return None  # data of another kind: an event all the same


def _inside(value: object, place: str, depth: int) -> Iterator[Notice]:
    if not isinstance(value, (str, bytes)):
        raise Refusal("malformed", f"{place}: expected a text, got {_kind(value)}")
    return _from_object(_json(value, place), depth + 1)


def _decoded(text: str, place: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NoBase64, ValueError):
        raise Refusal("malformed", f"{place} is no base64") from None


def _converted(value: object, kind: type[_Kind], place: str) -> _Kind:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as cause:
        words, hint = explained(str(cause), kind)
        raise Refusal("invalid-message", f"{place}{words}"[:300], hint=hint or _HINT) from None


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise Refusal("invalid-message", f"{place}: expected a text, got {_kind(value)}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Refusal("invalid-message", f"{place}: half a character") from None
    if size > TEXT:
        raise Refusal("invalid-message", f"{place}: more than {TEXT:,} bytes")
    if CONTROL.search(value) is not None:
        raise Refusal("invalid-message", f"{place}: got {value[:80]!r}, expected a text without control characters")
    return value


def _id(value: object) -> str:
    """A sender's own id; one that is long is told by its digest."""
    text = _text(value, "id")
    return text if 0 < len(text) <= limits.NAME else _digest(text)


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:32]


def _url(url: str) -> str:
    text = _text(url, "url")
    scheme, mark, rest = text.partition("://")
    place, _, path = rest.partition("/")
    if mark and not (scheme and path and (place or scheme in ("file", "memory"))):
        raise Refusal("invalid-message", f"{_cut(text)!r} names no object")
    if not mark and not text.startswith("/"):
        raise Refusal("invalid-message", f"{_cut(text)!r} is neither a URL nor a path from the root")
    return text


def _fields(values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Fields of a format that is not ours: what cannot be told as text is left out."""
    texts = ((name, _scalar(value)) for name, value in values.items() if value is not None and value != "")
    return tuple((name, text) for name, text in texts if _fits(name) and _fits(text))[:FIELDS]


def _flat(data: object) -> dict[str, object]:
    """The values of an object by name; those of objects in it as ``outer.inner``. Lists are left out."""
    found: dict[str, object] = {}
    left: list[tuple[str, object, int]] = [("", data, 0)]
    while left and len(found) < FIELDS:
        prefix, value, depth = left.pop()
        if isinstance(value, dict) and depth < WRAPPED:
            left += [(f"{prefix}.{name}" if prefix else name, inner, depth + 1) for name, inner in reversed(value.items())]
        elif prefix and isinstance(value, (str, int, float, bool)):
            found[prefix] = value
    return found


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _fits(text: str) -> bool:
    try:
        return len(text) <= TEXT and len(text.encode()) <= TEXT and CONTROL.search(text) is None
    except UnicodeEncodeError:
        return False


def _is_utf8(encoded: str) -> bool:
    try:
        unquote_plus(encoded, errors="strict")
    except UnicodeError:
        return False
    return True


def _refuse(place: str, what: str) -> str:
    raise Refusal("invalid-message", f"{place} {what}")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "something else")


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."
