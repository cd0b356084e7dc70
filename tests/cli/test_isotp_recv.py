"""anycan isotp recv, with somebody who sends, well and badly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from anycan import Address, Frame, UserNetwork, open_isotp, open_raw
from anycan.cli import app as app_module
from anycan.cli import common, main
from anycan.cli import isotp_recv as recv_module
from anycan.cli import isotp_text as text_module
from anycan.cli.isotp_options import LinkOptions, ModeOptions, open_link
from anycan.cli.isotp_recv import recv

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from anycan import IsotpLink

DEADLINE: Final = 30
TESTER: Final = Address.normal(0x7E0, 0x7E8)
ECU: Final[dict[str, Any]] = {"tx": "7E8", "rx": "7E0"}
LONG: Final = bytes(range(100))

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Seen:
    """What has been printed and said so far, and whether recv listens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.text = ""
        self.listening = anyio.Event()
        emit, say, wait = common.emit, common.say, recv_module._Receiver.next

        def note(text: str) -> None:
            self.text += text
            emit(text)

        def note_said(text: str) -> None:
            self.text += text
            say(text)

        async def note_listening(receiver: Any, endpoint: IsotpLink) -> bytes | None:
            self.listening.set()
            return await wait(receiver, endpoint)

        monkeypatch.setattr(text_module, "emit", note)
        monkeypatch.setattr(recv_module, "say", note_said)
        monkeypatch.setattr(common, "say", note_said)
        monkeypatch.setattr(recv_module._Receiver, "next", note_listening)

    async def wait_for(self, text: str) -> None:
        while text not in self.text:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


def received(
    seen: Seen,
    act: Callable[[UserNetwork], Coroutine[Any, Any, None]],
    *,
    up: bool = True,
    interrupt: bool = False,
    backend: str = "asyncio",
    **options: Any,
) -> int | None:
    """Run recv on a network, and do something there once it listens.

    Returns:
        Its exit status; None: it was interrupted when that was done.
    """
    status: int | None = None

    async def run() -> None:
        async with UserNetwork(name="recv") as network:
            network.add_vcan("vcan0", up=up)

            async def listen() -> None:
                nonlocal status
                status = await recv("vcan0", network="user:recv", **options)

            with anyio.fail_after(DEADLINE):
                async with anyio.create_task_group() as group:
                    group.start_soon(listen)
                    await seen.listening.wait()
                    await act(network)
                    if interrupt:
                        group.cancel_scope.cancel()

    anyio.run(run, backend=backend)
    return status


def sending(
    *pdus: bytes, address: Address = TESTER, **options: Any
) -> Callable[[UserNetwork], Coroutine[Any, Any, None]]:
    """Give what sends PDUs one after the other."""

    async def act(network: UserNetwork) -> None:
        async with open_isotp("vcan0", address=address, network=network, **options) as link:
            for pdu in pdus:
                await link.send(pdu)

    return act


def injecting(*texts: str) -> Callable[[UserNetwork], Coroutine[Any, Any, None]]:
    """Give what puts frames on the interface, all at once."""

    async def act(network: UserNetwork) -> None:
        for text in texts:
            network.inject("vcan0", Frame.parse(text.replace(" ", "")))

    return act


@both_back_ends
def test_pdus_of_one_frame_and_of_many(
    backend: str, seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    act = sending(b"\x22\xf1\x90", LONG)
    assert received(seen, act, count=2, backend=backend, **ECU) == 0
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert re.fullmatch(r" \(\d{10}\.\d{6}\)  vcan0  7E0  \[3\]  22 F1 90", first)
    assert second.endswith(f"  vcan0  7E0  [100]  {LONG.hex(' ').upper()}")
    assert err == ""


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"timestamps": "n"}, "  vcan0  7E0  [3]  22 41 90\n"),
        ({"timestamps": "z", "ascii": True}, " (000.000000)  vcan0  7E0  [3]  22 41 90  '\"A.'\n"),
        ({"plain": True}, "22 41 90\n"),
    ],
)
def test_how_it_looks(
    options: dict[str, Any], line: str, seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    assert received(seen, sending(b"\x22\x41\x90"), count=1, **options, **ECU) == 0
    assert capsys.readouterr().out == line


def test_flow_control_as_asked_for(seen: Seen) -> None:
    sent = []

    async def act(network: UserNetwork) -> None:
        async with open_raw("vcan0", network=network) as can:
            network.inject("vcan0", Frame.parse("7E0#1064000102030405"))
            sent.extend([str(await can.receive()) for _ in range(2)])

    link = LinkOptions(block_size=8, stmin=0.0003, padding="AA")
    assert received(seen, act, interrupt=True, link=link, **ECU) is None
    assert sent == ["7E0#1064000102030405", "7E8#3008F3AAAAAAAAAA"]


def test_29_bits_and_can_fd(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    tester = Address.normal_fixed(target=0x10, source=0xF1)
    mode = ModeOptions(mode="normal-fixed", target="F1", source="10")
    act = sending(LONG, address=tester, fd=True)
    assert received(seen, act, count=1, mode=mode, link=LinkOptions(fd=True), plain=True) == 0
    assert capsys.readouterr().out == f"{LONG.hex(' ').upper()}\n"


@pytest.mark.parametrize("rx", ["7DF", "000"])
def test_what_is_meant_for_all(rx: str, seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    act = sending(b"\x3e\x80", address=Address.normal(int(rx, 16), None))
    assert received(seen, act, rx=rx, listen_only=True, count=1, plain=True) == 0
    assert capsys.readouterr() == ("3E 80\n", "")


def test_it_only_listens(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await injecting("7E0#10 08 00 01 02 03 04 05", "7E0#21 06 07")(network)
        await seen.wait_for("07\n")
        assert [one.sent for one in network.interfaces()] == [0]

    assert received(seen, act, rx="7E0", listen_only=True, plain=True, count=1) == 0
    assert capsys.readouterr().out == "00 01 02 03 04 05 06 07\n"


@both_back_ends
def test_faults_are_told_and_it_goes_on(
    backend: str, seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        await injecting("7E0#10 14 00 01 02 03 04 05", "7E0#22 00 00 00 00 00 00 00")(network)
        await seen.wait_for("7E0")
        await injecting("7E0#02 3E 00")(network)
        await seen.wait_for("3E 00")

    status = received(seen, act, interrupt=True, plain=True, backend=backend, **ECU)
    assert status is None
    out, err = capsys.readouterr()
    assert out == "3E 00\n"
    fault, summary = err.splitlines()
    assert fault.startswith("anycan: ")
    assert "Address.normal(0x7E8, 0x7E0) on vcan0" in fault
    assert summary == "anycan: 1 PDU received, 1 fault, 0 dropped"


def test_an_interface_that_goes_down_is_waited_for(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        network.set_down("vcan0")
        await seen.wait_for("is down")
        network.set_up("vcan0")
        await injecting("7E0#02 3E 00")(network)

    assert received(seen, act, count=1, plain=True, **ECU) == 0
    out, err = capsys.readouterr()
    assert out == "3E 00\n"
    assert err.startswith("anycan: vcan0 is down")


def test_an_interface_that_is_removed_ends_it(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        network.remove("vcan0")

    with pytest.raises(ExceptionGroup) as caught:
        received(seen, act, **ECU)
    assert app_module._report(caught.value) == 1
    assert capsys.readouterr().err.startswith("anycan: vcan0 has been removed")


@both_back_ends
def test_it_ends_when_nothing_comes(
    backend: str, seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"idle_ms": 20.0, "plain": True, "backend": backend, **ECU}
    assert received(seen, injecting("7E0#02 3E 00"), **options) == 0
    assert capsys.readouterr() == ("3E 00\n", "")


def test_drops_are_told(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def small(*arguments: Any, **options: Any) -> Any:
        return open_link(*arguments, receive_buffer=1, **options)

    monkeypatch.setattr(recv_module, "open_link", small)
    act = injecting(*(f"7E0#02 3E {number:02X}" for number in range(100)))
    assert received(seen, act, idle_ms=50, plain=True, **ECU) == 0
    out, err = capsys.readouterr()
    dropped = 100 - out.count("\n")
    assert dropped > 0
    assert err == f"anycan: {dropped} PDUs dropped ({dropped} in all): they came too fast\n"


def test_what_users_type(capsys: pytest.CaptureFixture[str]) -> None:
    with UserNetwork(name="recv") as network:
        network.add_vcan("vcan0")
        arguments = ["isotp", "recv", "vcan0", "-s", "7E8", "-d", "7E0", "-T", "10", "-t", "A"]
        assert main([*arguments, "--network", "user:recv", "--block-size", "8"]) == 0
    assert capsys.readouterr() == ("", "")
