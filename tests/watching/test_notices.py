"""Notices from all senders, as they really send them; what is refused; nothing but Refusal is raised."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from levada._wire.notices import FIELDS, NOTICES, TEXT, Notice, answer, read_notice, sign, verify
from levada._wire.problems import Refusal


def read(value: object, headers: Mapping[str, str] | None = None) -> list[Notice]:
    return read_notice(value if isinstance(value, bytes) else json.dumps(value).encode(), headers or {"Content-Type": "application/json"})


def one(value: object, headers: Mapping[str, str] | None = None) -> Notice:
    (found,) = read(value, headers)
    return found


def s3(key: str = "in/2024+x/%C3%A4%2B.csv", event: str = "ObjectCreated:Put", **more: Any) -> dict[str, Any]:
    """A record as S3 sends it."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2024-02-29T10:00:00.000Z",
        "eventName": event,
        "userIdentity": {"principalId": "AWS:X"},
        "requestParameters": {"sourceIPAddress": "10.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D1", "x-amz-id-2": "FMy"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "c",
            "bucket": {"name": "lake", "ownerIdentity": {"principalId": "A"}, "arn": "arn:aws:s3:::lake"},
            "object": {"key": key, "size": 1024, "eTag": "d41d8", "sequencer": "0A1B2C"},
        },
        **more,
    }


def sns(message: object, kind: str = "Notification") -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {"Type": kind, "MessageId": "m-1", "TopicArn": "arn:aws:sns:eu:1:t", "Message": text, "Timestamp": "2024-02-29T10:00:01Z"}


# -- S3 ------------------------------------------------------------------------------------------


def test_an_object_of_s3_is_told_with_its_key_decoded() -> None:
    found = one({"Records": [s3()]})
    assert (found.name, found.urls) == ("ObjectCreated:Put", ("s3://lake/in/2024 x/ä+.csv",))
    fields = dict(found.fields)
    assert (fields["bucket"], fields["key"], fields["size"], fields["etag"]) == ("lake", "in/2024 x/ä+.csv", "1024", "d41d8")


def test_a_removed_object_is_an_event_without_urls() -> None:
    found = one({"Records": [s3(event="ObjectRemoved:Delete")]})
    assert (found.name, found.urls) == ("ObjectRemoved:Delete", ())


def test_minio_and_ceph_are_read_as_s3() -> None:
    minio = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": "lake/in/a.csv",
        "Records": [s3("in%2Fa.csv", "s3:ObjectCreated:Put", eventSource="minio:s3")],
    }
    ceph = {"Records": [s3("in/a.csv", "ObjectCreated:Put", eventSource="ceph:s3", eventId="1")]}
    assert one(minio).urls == one(ceph).urls == ("s3://lake/in/a.csv",)
    assert one(minio).name == "ObjectCreated:Put"


def test_a_delivery_that_comes_again_has_the_same_ids() -> None:
    first, again = s3(), s3(responseElements={"x-amz-request-id": "other"}, eventTime="2024-02-29T10:00:07.000Z")
    assert one({"Records": [first]}).id == one({"Records": [again]}).id == one(sns({"Records": [first]})).id
    assert len(read({"Records": [first, again]})) == 1
    written_again = s3()
    written_again["s3"]["object"]["sequencer"] = "0A1B2D"
    assert one({"Records": [written_again]}).id != one({"Records": [first]}).id


def test_sns_sqs_and_lambdas_forms_of_them_are_looked_into() -> None:
    event = {"Records": [s3("in/a.csv")]}
    queued = {"messageId": "1", "receiptHandle": "x", "body": json.dumps(event), "eventSource": "aws:sqs"}
    through_both = {**queued, "body": json.dumps(sns(event))}
    forms: list[object] = [
        sns(event),
        {"Records": [queued]},
        {"Records": [through_both]},
        {"Messages": [{"MessageId": "1", "ReceiptHandle": "x", "Body": json.dumps(event)}]},
        {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns(event)}]},
    ]
    assert {one(form).id for form in forms} == {one(event).id}


def test_the_test_event_and_a_confirmation_are_told_as_what_they_are() -> None:
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2024", "Bucket": "lake", "RequestId": "R", "HostId": "H"}
    assert (one(test).name, one(test).urls) == ("s3:TestEvent", ())
    assert one(sns(test)) == one(test)
    asked = one({**sns("Confirm it.", "SubscriptionConfirmation"), "SubscribeURL": "https://sns.example/?a=1", "Token": "t"})
    assert asked.name == "sns:SubscriptionConfirmation"
    assert dict(asked.fields)["SubscribeURL"] == "https://sns.example/?a=1"


def test_event_bridge_does_not_encode_keys() -> None:
    event = {
        "version": "0", "id": "17793124-05d4", "detail-type": "Object Created", "source": "aws.s3", "account": "1",
        "time": "2024-02-29T10:00:00Z", "region": "eu", "resources": ["arn:aws:s3:::lake"],
        "detail": {"bucket": {"name": "lake"}, "object": {"key": "in/a+%20b.csv", "size": 5, "etag": "b1"}, "reason": "PutObject"},
    }  # fmt: skip
    found = one(event)
    assert (found.id, found.name, found.urls) == ("17793124-05d4", "Object Created", ("s3://lake/in/a+%20b.csv",))
    assert dict(found.fields)["object.size"] == "5"
    assert one({**event, "detail-type": "Object Deleted"}).urls == ()


# -- SeaweedFS: as its filer sent it -------------------------------------------------------------


def weed(kind: str, key: str, entry: dict[str, Any] | None, parent: str = "") -> dict[str, Any]:
    message = {"new_entry": entry, "new_parent_path": parent} if entry else {"old_entry": {"name": "x"}}
    return {"event_type": kind, "key": key, "message": {**message, "delete_chunks": True, "signatures": [-273792913]}}


@pytest.mark.parametrize(
    ("event", "urls"),
    [
        (weed("create", "/buckets/lake/in/2024 x/ä.csv", {"name": "ä.csv", "attributes": {"mtime": 1}}, "/buckets/lake/in/2024 x"),
         ("s3://lake/in/2024 x/ä.csv",)),
        (weed("rename", "/buckets/lake/tmp/x", {"name": "a.csv"}, "/buckets/lake/in"), ("s3://lake/in/a.csv",)),
        (weed("create", "/buckets/lake/in", {"name": "in", "is_directory": True}, "/buckets/lake"), ()),
        (weed("create", "/buckets/lake", {"name": "lake", "is_directory": True}, "/buckets"), ()),
        (weed("create", "/buckets/.system/owners/.complete", {"name": ".complete"}, "/buckets/.system/owners"), ()),
        (weed("create", "/buckets/lake/.uploads/1/0001.part", {"name": "0001.part"}, "/buckets/lake/.uploads/1"), ()),
        (weed("create", "/home/a.csv", {"name": "a.csv"}, "/home"), ()),
        (weed("delete", "/buckets/lake/in/b.csv", None), ()),
    ],
)  # fmt: skip
def test_seaweedfs_tells_of_files_in_buckets(event: dict[str, Any], urls: tuple[str, ...]) -> None:
    assert (one(event).name, one(event).urls) == (f"seaweedfs:{event['event_type']}", urls)


# -- Google --------------------------------------------------------------------------------------


def pushed(kind: str = "OBJECT_FINALIZE", **more: str) -> dict[str, Any]:
    data = b64encode(json.dumps({"kind": "storage#object", "name": "in/a.csv", "bucket": "lake"}).encode()).decode()
    about = {
        "bucketId": "lake",
        "objectId": "in/a b.csv",
        "eventType": kind,
        "payloadFormat": "JSON_API_V1",
        "objectGeneration": "17",
        **more,
    }
    message = {"attributes": about, "data": data, "messageId": "136969346945", "message_id": "136969346945", "publishTime": "2024"}
    return {"message": message, "subscription": "projects/p/subscriptions/s"}


def test_an_object_of_gcs_is_told_once_though_two_messages_say_so() -> None:
    assert (one(pushed()).name, one(pushed()).urls) == ("OBJECT_FINALIZE", ("gs://lake/in/a b.csv",))
    other = pushed()
    other["message"]["messageId"] = "2"
    assert one(other).id == one(pushed()).id != one(pushed(objectGeneration="18")).id
    assert one(pushed("OBJECT_DELETE")).urls == ()


def test_another_message_of_pub_sub_may_hold_one_of_ours() -> None:
    data = b64encode(json.dumps({"event": "loaded", "id": "7"}).encode()).decode()
    assert one({"message": {"data": data, "messageId": "1"}, "subscription": "s"}) == Notice("7", "loaded")


def test_eventarc_speaks_cloud_events() -> None:
    headers = {
        "ce-specversion": "1.0", "ce-id": "1", "ce-type": "google.cloud.storage.object.v1.finalized", "ce-subject": "objects/in/a.csv",
        "ce-source": "//storage.googleapis.com/projects/_/buckets/lake", "content-type": "application/json",
    }  # fmt: skip
    assert one({"bucket": "lake", "name": "in/a.csv", "size": "5"}, headers).urls == ("gs://lake/in/a.csv",)


# -- Azure ---------------------------------------------------------------------------------------

BLOB = {
    "api": "PutBlob",
    "contentLength": 5,
    "url": "https://acc.blob.core.windows.net/lake/in/a%20b.csv",
    "eTag": "0x8D",
    "storageDiagnostics": {"batchId": "b"},
}
SUBJECT = "/blobServices/default/containers/lake/blobs/in/a b.csv"


def test_a_blob_is_told_in_both_of_event_grids_schemas() -> None:
    grid = {"topic": "/subscriptions/s", "subject": SUBJECT, "eventType": "Microsoft.Storage.BlobCreated", "id": "831e", "data": BLOB,
            "dataVersion": "", "metadataVersion": "1", "eventTime": "2024"}  # fmt: skip
    cloud = {"source": "/subscriptions/s", "subject": SUBJECT, "type": "Microsoft.Storage.BlobCreated", "id": "831e", "data": BLOB,
             "specversion": "1.0", "time": "2024"}  # fmt: skip
    found = one([grid])
    assert (found.id, found.name, found.urls) == ("831e", "Microsoft.Storage.BlobCreated", ("az://lake/in/a b.csv",))
    assert one([cloud]).urls == one(cloud, {"Content-Type": "application/cloudevents+json"}).urls == found.urls
    assert one({**cloud, "subject": ""}).urls == found.urls, "by the blob's address"
    assert one([{**grid, "eventType": "Microsoft.Storage.BlobDeleted"}]).urls == ()
    assert answer(read([grid])) == {}


def test_event_grids_question_whether_it_may_send_has_its_answer() -> None:
    asked = [{"id": "2d17", "topic": "/subscriptions/s", "subject": "", "data": {"validationCode": "512d-38c6"},
              "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "eventTime": "2024"}]  # fmt: skip
    assert answer(read(asked)) == {"validationResponse": "512d-38c6"}


# -- CloudEvents, and our own --------------------------------------------------------------------

CLOUD = {"specversion": "1.0", "id": "A1", "source": "/shop", "type": "day.closed", "datacontenttype": "application/json", "extension": 5}


def test_a_cloud_event_is_the_same_in_all_three_modes() -> None:
    data = {"day": "2024-02-29", "shop": {"city": "Graz", "open": False}, "list": [1], "none": None, "count": 7}
    structured = one({**CLOUD, "data": data}, {"content-type": "application/cloudevents+json; charset=utf-8"})
    headers = {f"CE-{name}": str(CLOUD[name]) for name in ("specversion", "id", "source", "type")}
    binary = one(data, {**headers, "Content-Type": "application/json"})
    (batched,) = read([{**CLOUD, "data": data}], {"content-type": "application/cloudevents-batch+json"})
    encoded = one({**CLOUD, "data_base64": b64encode(json.dumps(data).encode()).decode()})
    assert structured == binary == batched == encoded
    assert structured.name == "day.closed"
    wanted = {"id": "A1", "source": "/shop", "day": "2024-02-29", "shop.city": "Graz", "shop.open": "false", "count": "7"}
    assert dict(structured.fields) == wanted


def test_two_sources_may_use_the_same_id() -> None:
    assert one(CLOUD).id != one({**CLOUD, "source": "/other"}).id


def test_data_that_is_no_json_and_an_empty_batch_are_events_all_the_same() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t%20%C3%A4", "content-type": "text/plain"}
    assert one(b"\xff\x00 plain", headers).name == "t ä"
    assert one(b"", headers).name == "t ä"
    assert read([], {"content-type": "application/cloudevents-batch+json"}) == []


def test_our_own_is_short() -> None:
    assert one({"event": "loaded", "id": "7", "fields": {"day": "2024-02-29", "rows": 5, "ok": True, "none": None}}) == Notice(
        "7", "loaded", (), (("day", "2024-02-29"), ("rows", "5"), ("ok", "true"))
    )
    assert one({"event": "there", "urls": ["s3://lake/a", "/data/b"]}).urls == ("s3://lake/a", "/data/b")
    assert one({"event": "a", "fields": {"x": 1, "y": 2}}).id == one(b'{"fields": {"y": 2, "x": 1},  "event": "a"}').id
    assert one({"event": "a"}).id != one({"event": "b"}).id
    assert len(read([{"event": "a"}, {"event": "b"}, {"event": "a"}])) == 2


BARE = {"eventType": "Microsoft.Storage.BlobCreated", "id": "1", "subject": "x"}


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (b"", "malformed", "no JSON"),
        (b"{", "malformed", "no JSON"),
        (b"\xff\xfe", "malformed", "no JSON|UTF-8"),
        (b'{"event": "\xff"}', "malformed", "UTF-8"),
        (b"[" * 100_000, "malformed", "JSON"),
        (5, "malformed", "expected an object or a list, got a number"),
        ({}, "malformed", "nothing in it"),
        ([], "malformed", "empty list"),
        ([5], "malformed", r"\[0\]"),
        ({"hello": 1}, "malformed", "'hello'"),
        ({"event": ""}, "invalid-message", "event"),
        ({"event": 5}, "invalid-message", "event: expected a text, got a whole number"),
        ({"event": "a", "feilds": {}}, "invalid-message", "no field 'feilds'"),
        ({"event": "a", "fields": {"x": [1]}}, "invalid-message", "fields"),
        ({"event": "a\u0007"}, "invalid-message", "control"),
        ({"event": "a", "fields": {"x": "b\nc"}}, "invalid-message", "fields.x"),
        ({"event": "a", "fields": {"x": "ä" * (TEXT // 2 + 1)}}, "invalid-message", "more than 4,096 bytes"),
        ({"event": "a", "fields": {str(number): 1 for number in range(FIELDS + 1)}}, "invalid-message", "fields"),
        ({"event": "a", "urls": ["data/x"]}, "invalid-message", "neither a URL"),
        ({"event": "a", "urls": ["s3://bucket"]}, "invalid-message", "names no object"),
        ({"event": "a", "id": ""}, "invalid-message", "id"),
        ([{"event": str(number)} for number in range(NOTICES + 1)], "too-large", "more than 1,000"),
        (b" " * (5 << 20), "too-large", "limit"),
        ({"Records": []}, "malformed", "Records"),
        ({"Records": [{}]}, "malformed", r"Records\[0\]"),
        ({"Records": [5]}, "malformed", r"Records\[0\]"),
        ({"Records": [{"s3": {}, "eventName": "x"}]}, "invalid-message", r"Records\[0\]\..*bucket"),
        ({"Records": [s3("%ff")]}, "invalid-message", "UTF-8"),
        ({"Records": [s3("a%0ab")]}, "invalid-message", "control"),
        ({"Records": [{"body": "no"}]}, "malformed", r"Records\[0\].body is no JSON"),
        (sns("no"), "malformed", "Message is no JSON"),
        (sns(sns(sns(sns(sns(sns({})))))), "malformed", "envelopes"),
        ({"message": {"data": "!"}, "subscription": "s"}, "malformed", "base64"),
        ([{**BARE, "data": {"url": "https://[/x"}}], "invalid-message", "names no object"),
        ([BARE], "invalid-message", "names a blob"),
        ({**CLOUD, "specversion": "0.3"}, "invalid-message", "specversion"),
        ({"specversion": "1.0", "id": "1", "type": "t"}, "invalid-message", "source"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused_with_the_reason(value: object, code: str, said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        read(value)
    assert refused.value.code == code


def test_what_a_stranger_sends_besides_is_left_out_where_it_cannot_be_told() -> None:
    data = {"fine": "x", "long": "y" * 5000, "lines": "a\nb", **{f"f{number}": 1 for number in range(500)}}
    fields = dict(one({**CLOUD, "data": data}).fields)
    assert fields["fine"] == "x"
    assert "long" not in fields
    assert "lines" not in fields
    assert len(fields) <= FIELDS


def test_a_thousand_notices_are_taken() -> None:
    assert len(read({"Records": [s3(f"in/{number}.csv") for number in range(NOTICES)]})) == NOTICES


TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["s3", "ObjectCreated:Put", "1.0", "%ff", "\x00", "\ud800", "a" * 5000]))
KEYS = st.sampled_from(
    "Records s3 bucket name object key eventName body Sns Type TopicArn Message Messages Body Event Bucket Service detail-type detail id "
    "source message subscription attributes bucketId objectId eventType data event_type new_entry new_parent_path subject specversion type "
    "data_base64 event fields urls size".split()
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS | TEXTS, inner, max_size=8)), max_leaves=30
)
HEADERS = st.dictionaries(
    st.sampled_from(["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "Content-Type"]), TEXTS, max_size=6
)


def check(body: bytes, headers: Mapping[str, str]) -> None:
    try:
        found = read_notice(body, headers)
    except Refusal as refused:
        codes, _ = {refused.code}, str(refused).encode()
        assert codes <= {"too-large", "malformed", "invalid-message"}
        return
    assert len({notice.id for notice in found}) == len(found) <= NOTICES
    assert found == read_notice(body, headers)
    for notice in found:
        for text in (notice.id, notice.name, *notice.urls, *(text for field in notice.fields for text in field)):
            assert len(text.encode()) <= TEXT
            assert "\n" not in text
            assert "\x00" not in text
        assert notice.id
        assert notice.name


@given(VALUES, HEADERS)
@example({"event": "a", "id": 10**30}, {})
@example({"event": "a", "fields": {"x": 1e400}}, {})
def test_nothing_but_refusal_is_raised(value: object, headers: dict[str, str]) -> None:
    check(json.dumps(value).encode(), headers)


@given(st.binary(max_size=200), HEADERS)
def test_nothing_but_refusal_is_raised_for_any_bytes(body: bytes, headers: dict[str, str]) -> None:
    check(body, headers)


GOOD: list[Any] = [
    {"Records": [s3()]},
    sns({"Records": [s3()]}),
    pushed(),
    [{"eventType": "x", "id": "1", "subject": "s", "data": BLOB}],
    {**CLOUD, "data": BLOB},
    weed("create", "/buckets/lake/a", {"name": "a"}, "/buckets/lake"),
    {"event": "a", "fields": {"x": 1}, "urls": ["s3://b/k"]},
]


@given(st.sampled_from(GOOD), st.data())
def test_nothing_but_refusal_is_raised_where_one_value_of_a_good_body_is_another(body: Any, data: st.DataObject) -> None:
    changed = json.loads(json.dumps(body))
    here = changed
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(here[key], (dict, list)) and here[key] and data.draw(st.booleans()):
            here = here[key]
            continue
        here[key] = data.draw(VALUES)
        break
    check(json.dumps(changed).encode(), {})


# -- signatures ----------------------------------------------------------------------------------


def test_a_signature_is_good_for_its_body_its_time_and_its_secret() -> None:
    headers = sign(b"body", b"secret", 1_700_000_000)
    verify(b"body", headers, b"secret", 1_700_000_299)
    verify(b"body", {name.lower(): value for name, value in headers.items()}, b"secret", 1_700_000_000 - 299)
    verify(b"body", {**headers, "Levada-Signature": f"v1=00, v2=x, {headers['Levada-Signature']}"}, b"secret", 1_700_000_000)
    for body, secret, now in ((b"Body", b"secret", 0), (b"body", b"Secret", 0), (b"body", b"secret", 301), (b"body", b"secret", -301)):
        with pytest.raises(Refusal) as refused:
            verify(body, headers, secret, 1_700_000_000 + now)
        assert refused.value.code == "unauthenticated"


def test_the_time_is_part_of_what_is_signed() -> None:
    headers = {**sign(b"body", b"secret", 1_700_000_000), "Levada-Timestamp": "1700000100"}
    with pytest.raises(Refusal, match="does not fit"):
        verify(b"body", headers, b"secret", 1_700_000_100)


def test_the_signature_is_what_the_page_says() -> None:
    """`printf '%s.%s' 1700000000 body | openssl dgst -sha256 -hmac secret`"""
    assert (
        sign(b"body", b"secret", 1_700_000_000.9)["Levada-Signature"]
        == "v1=42ac6f0448c1d9c3e1e82b9726248f58fef84afffcbad5188246e96070e0ea46"
    )


def test_nobody_signs_with_nothing() -> None:
    with pytest.raises(ValueError, match="without a secret"):
        verify(b"", sign(b"", b"", 0), b"", 0)


@given(
    st.dictionaries(
        st.sampled_from(["Levada-Timestamp", "levada-signature"]), st.text(max_size=30) | st.just("v1=é") | st.just("1700000000")
    )
)
def test_no_headers_break_the_look_at_a_signature(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        verify(b"body", headers, b"secret", 1_700_000_000)
