from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from levada._server.alerts.destinations import read, scheme_of, without
from levada._server.alerts.words import Message
from levada.errors import ConfigError
from tests.alerts.sinks import mail_sink, web_sink

TEST = Message("[levada] a test", "one\n  two\n", "failure")
SECRETS = ["hunter22", "TIiajkdnlazkcOXrIdevi7FQ", "T1JJ3T3L2", "ana%40x"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a program that logs everything shows."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mailto://ana:hunter22@host?from=x@y.z", r"to, entry 2 \(mailto\): is no address that can be used\n.*mailto://{"),
        ("slack://T1JJ3T3L2/hunter22", r"entry 2 \(slack\): is no address that can be used\n.*slack://{token_a}"),
        ("ana%40x/hunter22", r"entry 2 \(no scheme\): is no address\n.*mailto://"),
        ("hunter22!://x", r"entry 2 \(no scheme\)"),
        ("https://ana%40x:hunter22@example.org/T1JJ3T3L2", r"entry 2 \(https\).*\n.*json://HOST/PATH posts"),
        ("nosuch://hunter22", r"entry 2 \(nosuch\).*\n  There is no such scheme"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_by_place_and_scheme_and_its_secret_is_not_told(
    url: str, words: str, log: io.StringIO
) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        read(["json://localhost/x", url], {})
    said = f"{refused.value}{refused.value.__cause__}{log.getvalue()}"
    assert not [secret for secret in SECRETS if secret in said]


def test_what_the_library_raises_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(url: str, **_: object) -> None:
        raise TypeError(url)

    monkeypatch.setattr("apprise.Apprise.instantiate", broken)
    with pytest.raises(ConfigError, match="is no address that can be used") as refused:
        read(["json://hunter22"], {})
    assert "hunter22" not in f"{refused.value}{refused.value.__cause__}"


def test_an_owners_address_is_named_by_the_owner() -> None:
    with pytest.raises(ConfigError, match=r"\[alerts.owners\] ana, entry 1 \(foo\)"):
        read([], {"ana": ["foo://x"]})


def test_who_is_told() -> None:
    found = read(["json://a/x"], {"ana": ["json://b/x", "json://c/x"], "ben": ["json://c/x"], "family:Load": ["json://d/x"]})

    def told(owner: str) -> list[str]:
        return [each.url[7] for each in found.of(owner)]

    assert told("") == told("nobody") == ["a"]
    assert told("ana") == ["b", "c"]
    assert told("ana, ben") == ["b", "c"]
    assert told("nobody,ben") == ["c"]
    assert told("family:Load") == ["d"]
    assert len(found.all()) == 5


def test_a_mail_is_plain_text_with_its_lines_as_they_were() -> None:
    with mail_sink() as (mails, url):
        (destination,) = read([url], {}).all()
        assert destination.send(TEST) == ""
    assert mails.got == [(["ops@example.org"], "[levada] a test", "one\n  two\n")]


def test_a_web_server_gets_json() -> None:
    with web_sink() as (posts, url):
        assert read([url], {}).everybody[0].send(TEST) == ""
    assert [(each["title"], each["message"], each["type"]) for each in posts.got] == [("[levada] a test", "one\n  two", "failure")]


def test_why_something_was_not_sent_is_told_without_the_address(log: io.StringIO) -> None:
    with web_sink() as (posts, url):
        posts.status = 503
        why = read([url], {}).everybody[0].send(TEST)
    assert "503" in why
    assert "token0815" not in why + log.getvalue()
    (gone,) = read([url.replace("json://", "json://ana:hunter22@")], {}).everybody
    why = gone.send(TEST)
    assert why
    assert "hunter22" not in why + log.getvalue()
    assert gone.name == "[alerts] to, entry 1 (json)"


def test_a_fault_of_the_library_is_a_reason_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    (destination,) = read(["json://ana:hunter22@localhost/x"], {}).everybody

    def broken(**_: object) -> None:
        raise RuntimeError("cannot log in with hunter22")

    monkeypatch.setattr(destination._sender, "notify", broken)
    assert destination.send(TEST) == "RuntimeError: cannot log in with ***"
    monkeypatch.setattr(destination._sender, "notify", lambda **_: False)
    assert destination.send(TEST) == "no reason was given"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("password p!x1 of ana", "password *** of ***"),
        ("p%21x1", "***"),
        ("json error 5", "json error 5"),
    ],
)
def test_pieces_of_an_address_are_hidden_as_they_stand_there_and_as_they_are_meant(text: str, said: str) -> None:
    assert without(text, "json://ana:p%21x1@host/5") == said


def test_what_is_no_scheme_is_not_shown() -> None:
    assert [scheme_of(each) for each in ("JSON://x", "://x", "x", "a b://x", "x" * 40 + "://")] == ["json", "", "", "", ""]
