"""What a gateway tells of itself, and what one that is none may tell."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import GatewayError
from anycan.cli import gateway_report, main
from anycan.cli.gateway_report import printable, read_report

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = f"test-report-{os.getpid()}"
PORT: Final = {
    "interface": "can0",
    "state": "up",
    "received": 7,
    "not_taken": 0,
    "overflowed": 0,
    "malformed": 0,
    "gaps": 0,
}
RULE: Final = {
    "name": "there",
    "path": "bytes",
    "received": 3,
    "forwarded": 2,
    "dropped": {"rate limit": 1},
    "waiting": 0,
    "latency": {"median": None, "p99": 0.1},
    "destinations": [{"destination": "can1", "forwarded": 2, "dropped": {}, "waiting": 0}],
}
REPORT: Final = {
    "gateway": "door",
    "process": 1,
    "seconds": 0.5,
    "rules": [RULE],
    "ports": [PORT],
}


def read(answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    async def given_answer(_name: str) -> dict[str, Any]:
        return answer

    monkeypatch.setattr(gateway_report, "read_gateway", given_answer)
    return anyio.run(read_report, "door")


def test_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    report = REPORT | {"edges": [], "more": 1}
    assert read(report, monkeypatch) is report


def test_nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        GatewayError, match=r"^gateway 'door' has nothing to show: it begins, or ends$"
    ):
        read({}, monkeypatch)


def rules(**changes: object) -> dict[str, Any]:
    return {"rules": [RULE, RULE | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gateway": 1}, "gateway is not text but 1"),
        ({"process": True}, "process is not a number of something but True"),
        ({"process": -1}, "process is not a number of something but -1"),
        ({"seconds": None}, "seconds is not a time in seconds but None"),
        ({"seconds": float("nan")}, "seconds is not a time in seconds but nan"),
        ({"seconds": True}, "seconds is not a time in seconds but True"),
        ({"seconds": 10**400}, f"seconds is not a time in seconds but 1{'0' * 59}…"),
        ({"rules": {}}, "rules is not a list but an object"),
        ({"ports": None}, "ports is not a list but None"),
        ({"ports": ["x"]}, "ports[0] is not an object but 'x'"),
        ({"ports": [{}]}, "ports[0] has no 'interface'"),
        ({"ports": [PORT | {"gaps": 1.5}]}, "ports[0].gaps is not a number of something but 1.5"),
        ({"ports": [PORT | {"state": "\x1b" * 99}]}, ""),
        (rules(name=[]), "rules[1].name is not text but a list"),
        (rules(dropped=[]), "rules[1].dropped is not an object but a list"),
        (
            rules(dropped={"\x1b": "1"}),
            "rules[1].dropped['\\x1b'] is not a number of something but '1'",
        ),
        (rules(latency={"median": 1}), "rules[1].latency has no 'p99'"),
        (
            rules(latency={"median": "\x1b[2J", "p99": 1}),
            "rules[1].latency.median is not a time in seconds but '\\x1b[2J'",
        ),
        (rules(destinations=[RULE]), "rules[1].destinations[0] has no 'destination'"),
    ],
)
def test_other_answers(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = REPORT | changes
    if not message:  # text is text, whatever is in it
        assert read(answer, monkeypatch) is answer
        return
    with pytest.raises(GatewayError) as caught:
        read(answer, monkeypatch)
    assert str(caught.value) == (
        f"gateway 'door' answered with something that cannot be shown: {message}; is it of another"
        " version of anycan?"
    )


@given(st.text())
def test_printable_text(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # to a terminal that has UTF-8
    if text.isprintable():
        assert shown == text


def test_what_is_not_printable() -> None:
    assert printable("a\x1b[2J\nü\x9b\u202e\ud800") == r"a\x1b[2J\nü\x9b\u202e\ud800"


@contextmanager
def impostor(answer: bytes) -> Iterator[None]:
    """Pose as a gateway that gives an answer once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(f"\0anycan-gateway-fff-{NAME}")
        listening.listen(1)

        def give() -> None:
            client, _ = listening.accept()
            with client:
                client.sendall(answer)

        thread = Thread(target=give)
        thread.start()
        yield
        thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="it needs abstract sockets")
def test_an_impostor_cannot_give_orders_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J[bold]"
    rule = RULE | {"name": evil, "path": evil, "dropped": {evil: 1}}
    rule["destinations"] = [
        {"destination": evil, "forwarded": 2, "dropped": {evil: 1}, "waiting": 0}
    ] * 2
    answer = REPORT | {
        "gateway": evil,
        "rules": [rule],
        "ports": [PORT | {"interface": evil, "state": evil}],
    }
    with impostor(json.dumps(answer).encode()):
        assert main(["gateway", "show", NAME, "--once"]) == 0
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    # Title, rule and path, its reason, two destinations with theirs, interface and state.
    assert out.count(r"\x1b]0;owned\x07\x1b[2J[bold]") == 10


@pytest.mark.skipif(sys.platform != "linux", reason="it needs abstract sockets")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_impostor_with_an_answer_of_its_own(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with impostor(b'{"gateway": "door"}'):
        assert main(["gateway", "show", NAME, *options]) == 1
    assert capsys.readouterr() == (
        "",
        (
            f"anycan: gateway '{NAME}' answered with something that cannot be shown: it has no"
            " 'process'; is it of another version of anycan?\n"
        ),
    )
