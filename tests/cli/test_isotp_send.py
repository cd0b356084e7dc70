"""anycan isotp send, with somebody at the other end."""

from __future__ import annotations

import os
import re
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from anycan import (
    Address,
    FlowControlOverflowError,
    FlowControlTimeoutError,
    InterfaceDownError,
    IsotpLink,
    UserNetwork,
    open_isotp,
)
from anycan.cli import app as app_module
from anycan.cli import main
from anycan.cli.common import UsageError
from anycan.cli.isotp_options import LinkOptions, ModeOptions
from anycan.cli.isotp_send import send

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

DEADLINE = 30
ECU = Address.normal(0x7E8, 0x7E0)
OTHER_ECU = Address.normal(0x7E9, 0x7E1)
SHORT = 0.05  # seconds that nothing comes for
LONG = bytes(range(200))
TESTER: dict[str, Any] = {"tx": "7E0", "rx": "7E8"}

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def sent(
    act: Callable[[IsotpLink], Coroutine[Any, Any, None]],
    *data: str,
    peers: tuple[Address, ...] = (ECU,),
    peer_options: dict[str, Any] | None = None,
    up: bool = True,
    backend: str = "asyncio",
    **options: Any,
) -> int:
    """Send something on a network, and have each peer do something there meanwhile.

    Returns:
        The exit status.
    """

    async def run() -> int:
        async with UserNetwork(name="send") as network, AsyncExitStack() as stack:
            network.add_vcan("vcan0", up=up)
            with anyio.fail_after(DEADLINE):
                async with anyio.create_task_group() as group:
                    for peer in peers:
                        opening = open_isotp(
                            "vcan0", address=peer, network=network, **(peer_options or {})
                        )
                        group.start_soon(act, await stack.enter_async_context(opening))
                    status = await send("vcan0", *data, network="user:send", **options)
                    while isinstance(act, Peer) and not act:  # noqa: ASYNC110 - it tells nobody
                        await anyio.sleep(0.001)
                    group.cancel_scope.cancel()
        return status

    return anyio.run(run, backend=backend)


class Peer(list[str]):
    """Takes note of what it receives, and replies."""

    def __init__(self, *replies: str) -> None:
        self._replies = replies

    async def __call__(self, link: IsotpLink) -> None:
        async for pdu in link:
            self.append(pdu.hex())
            for reply in self._replies:
                await link.send(bytes.fromhex(reply))


async def nothing(_link: IsotpLink) -> None:
    """Do nothing at the other end."""


@both_back_ends
@pytest.mark.parametrize("data", [["22F190"], ["22", "F1", "90"], ["22 F1 90"], [" 22f1", "90 "]])
def test_bytes_of_the_command_line(
    backend: str, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    peer = Peer()
    assert sent(peer, *data, backend=backend, **TESTER) == 0
    assert peer == ["22f190"]
    assert capsys.readouterr() == ("", "")


@both_back_ends
@pytest.mark.parametrize("implementation", ["socket", "engine"])
def test_many_frames(backend: str, implementation: Any) -> None:
    peer = Peer()
    link = LinkOptions(padding="CC", implementation=implementation)
    options = {"rx_padding": 0xCC, "block_size": 4}
    assert sent(peer, LONG.hex(), peer_options=options, backend=backend, link=link, **TESTER) == 0
    assert peer == [LONG.hex()]


def test_can_fd() -> None:
    peer = Peer()
    link = LinkOptions(fd=True, tx_dl=32, brs=True)
    assert sent(peer, LONG.hex(), peer_options={"fd": True}, link=link, **TESTER) == 0
    assert peer == [LONG.hex()]


def test_more_than_the_network_takes() -> None:
    peer = Peer()
    pdu = bytes(10_000).hex()
    link = LinkOptions(max_pdu_size=10_000)
    options = {"max_pdu_size": 10_000}
    assert sent(peer, pdu, peer_options=options, link=link, **TESTER) == 0
    assert peer == [pdu]


def test_another_addressing_mode() -> None:
    peer = Peer()
    mode = ModeOptions(mode="normal-fixed", target="10", source="F1")
    ecu = Address.normal_fixed(target=0xF1, source=0x10)
    assert sent(peer, "3E00", peers=(ecu,), mode=mode) == 0
    assert peer == ["3e00"]


class TestInput:
    @pytest.mark.parametrize(
        ("content", "options"),
        [(b"22 F1\n90\n", {}), (b"\x22\xf1\x90", {"binary": True})],
    )
    def test_a_file(self, tmp_path: Path, content: bytes, options: dict[str, Any]) -> None:
        path = tmp_path / "pdu"
        path.write_bytes(content)
        peer = Peer()
        assert sent(peer, file=str(path), **options, **TESTER) == 0
        assert peer == ["22f190"]

    @both_back_ends
    @pytest.mark.parametrize("options", [{}, {"file": "-"}])
    def test_standard_input(
        self, backend: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader, writer = os.pipe()
        with os.fdopen(reader) as standard_input, os.fdopen(writer, "wb", buffering=0) as file:
            monkeypatch.setattr(sys, "stdin", standard_input)
            file.write(b"22 F1")

            class Writer(Peer):
                async def __call__(self, link: IsotpLink) -> None:
                    await wait_all_tasks_blocked()
                    file.write(b" 90\n")
                    file.close()
                    await super().__call__(link)

            peer = Writer()
            assert sent(peer, backend=backend, **options, **TESTER) == 0
        assert peer == ["22f190"]

    def test_a_file_that_is_not_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["isotp", "send", "vcan0", "--tx", "7E0", "--rx", "7E8"]
        assert main([*arguments, "--file", "/nowhere/pdu"]) == 1
        assert capsys.readouterr().err == "anycan: /nowhere/pdu: No such file or directory\n"

    def test_no_bytes_in_it(self, tmp_path: Path) -> None:
        path = tmp_path / "pdu"
        path.write_bytes(b"\xff\x00")
        with pytest.raises(ExceptionGroup) as caught:
            sent(nothing, file=str(path), **TESTER)
        assert caught.group_contains(UsageError, match="pdu: no bytes in hex")


class TestReplies:
    @both_back_ends
    def test_the_reply_is_printed(self, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert sent(Peer("62F19041"), "22F190", wait=DEADLINE, backend=backend, **TESTER) == 0
        out, err = capsys.readouterr()
        assert re.fullmatch(r" \(\d{10}\.\d{6}\)  vcan0  7E8  \[4\]  62 F1 90 41\n", out)
        assert err == ""

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            ({"timestamps": "n"}, "  vcan0  7E8  [4]  62 F1 90 41\n"),
            ({"timestamps": "n", "ascii": True}, "  vcan0  7E8  [4]  62 F1 90 41  'b..A'\n"),
            ({"plain": True}, "62 F1 90 41\n"),
            ({"timestamps": "z"}, " (000.000000)  vcan0  7E8  [4]  62 F1 90 41\n"),
        ],
    )
    def test_how_it_looks(
        self, options: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert sent(Peer("62F19041"), "22F190", wait=DEADLINE, **options, **TESTER) == 0
        assert capsys.readouterr().out == line

    def test_an_address_byte_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        tester = Address.extended(0x6F1, 0x612, target=0x12, source=0xF1)
        mode = ModeOptions(mode="extended", target="12", source="F1")
        status = sent(
            Peer("7E00"),
            "3E00",
            peers=(tester.reversed(),),
            tx="6F1",
            rx="612",
            mode=mode,
            wait=DEADLINE,
            timestamps="n",
        )
        assert status == 0
        assert capsys.readouterr().out == "  vcan0  612:F1  [2]  7E 00\n"

    def test_the_first_one_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        peer = Peer("7F2278", "62F190")
        assert sent(peer, "22F190", wait=DEADLINE, plain=True, **TESTER) == 0
        assert capsys.readouterr().out == "7F 22 78\n"

    def test_up_to_the_final_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        peer = Peer("7F2278", "7F2278", "62F190", "00")
        assert sent(peer, "22F190", wait=DEADLINE, plain=True, uds=True, **TESTER) == 0
        assert capsys.readouterr().out == "7F 22 78\n7F 22 78\n62 F1 90\n"

    @both_back_ends
    def test_none(self, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert sent(Peer(), "22F190", wait=SHORT, backend=backend, **TESTER) == 1
        assert capsys.readouterr() == ("", "anycan: no reply within 0.05 s\n")

    def test_none_but_pending_ones(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert sent(Peer("7F2278"), "22F190", wait=SHORT, plain=True, uds=True, **TESTER) == 1
        assert capsys.readouterr() == ("7F 22 78\n", "anycan: no reply within 0.05 s\n")


class TestGroups:
    GROUP: Final[dict[str, Any]] = {"tx": "7DF", "functional": True}

    def test_a_request_to_all(self, capsys: pytest.CaptureFixture[str]) -> None:
        peer = Peer()
        listener = Address.normal(0, 0x7DF)
        assert sent(peer, "3E80", peers=(listener,), **self.GROUP) == 0
        assert peer == ["3e80"]
        assert capsys.readouterr() == ("", "")

    def test_in_several_frames(self) -> None:
        peer = Peer()
        listener = Address.normal(0, 0x7DF)
        options = {"listen_only": True}
        arguments = {"peers": (listener,), "peer_options": options, **self.GROUP}
        assert sent(peer, LONG.hex(), broadcast_segmented=True, **arguments) == 0
        assert peer == [LONG.hex()]
        with pytest.raises(ExceptionGroup) as caught:
            sent(peer, LONG.hex(), **arguments)
        assert caught.group_contains(UsageError, match="--broadcast-segmented sends them all")

    @both_back_ends
    def test_replies_of_several(self, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
        async def act(link: IsotpLink) -> None:
            await wait_all_tasks_blocked()
            await link.send(b"\x7f\x01\x78")
            await link.send(LONG if link is links[0] else b"\x41\x00")

        links: list[IsotpLink] = []

        async def note(link: IsotpLink) -> None:
            links.append(link)
            await act(link)

        status = sent(
            note,
            "0100",
            peers=(ECU, OTHER_ECU),
            responder=("7E0,7E8", "7E1,7E9"),
            wait=DEADLINE,
            uds=True,
            timestamps="n",
            backend=backend,
            **self.GROUP,
        )
        out, err = capsys.readouterr()
        assert (status, err) == (0, "")
        lines = out.splitlines()
        assert len(lines) == 4
        for identifier in ("7E8", "7E9"):
            mine = [line for line in lines if f" {identifier} " in line]
            assert mine[0] == f"  vcan0  {identifier}  [3]  7F 01 78"
            assert len(mine) == 2

    def test_one_is_missing(self, capsys: pytest.CaptureFixture[str]) -> None:
        async def act(link: IsotpLink) -> None:
            await wait_all_tasks_blocked()
            await link.send(b"\x41\x00")

        status = sent(
            act,
            "0100",
            responder=("7E0,7E8", "00000001,00000002"),
            wait=4 * SHORT,
            plain=True,
            **self.GROUP,
        )
        assert status == 1
        assert capsys.readouterr() == ("41 00\n", "anycan: no reply from 00000002\n")


class TestFaults:
    def test_nobody_is_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        with UserNetwork(name="send") as network:
            network.add_vcan("vcan0")
            arguments = ["isotp", "send", "vcan0", "--network", "user:send", "--tx", "7E0"]
            assert main([*arguments, "--rx", "7E8", LONG.hex()]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("anycan: no flow control from Address.normal(0x7E0, 0x7E8) on vcan0")
        assert err.count("\n") == 1

    def test_no_room_for_it(self) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            sent(
                nothing,
                bytes(9000).hex(),
                link=LinkOptions(max_pdu_size=9000),
                **TESTER,
            )
        assert caught.group_contains(FlowControlOverflowError)
        assert app_module._report(caught.value) == 1

    @pytest.mark.parametrize(
        ("options", "error"),
        [({"up": False}, InterfaceDownError), ({"up": True}, FlowControlTimeoutError)],
    )
    def test_an_interface_that_is_down(
        self, options: dict[str, Any], error: type[Exception]
    ) -> None:
        async def act(_link: IsotpLink) -> None:
            """Do nothing."""

        with pytest.raises(ExceptionGroup) as caught:
            sent(act, LONG.hex(), peers=() if options["up"] else (ECU,), **options, **TESTER)
        assert caught.group_contains(error)

    def test_an_interface_that_is_not_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        with UserNetwork(name="send"):
            arguments = ["isotp", "send", "vcan7", "22", "--network", "user:send"]
            assert main([*arguments, "--tx", "7E0", "--rx", "7E8"]) == 1
        assert capsys.readouterr().err.startswith("anycan: there is no interface vcan7")

    def test_too_long(self, capsys: pytest.CaptureFixture[str]) -> None:
        with UserNetwork(name="send") as network:
            network.add_vcan("vcan0")
            arguments = ["isotp", "send", "vcan0", bytes(9000).hex(), "--network", "user:send"]
            assert main([*arguments, "--tx", "7E0", "--rx", "7E8"]) == 2
        err = capsys.readouterr().err
        assert "9000" in err.replace(",", "")
        assert "--max-pdu-size" in err


def test_what_users_type(capsys: pytest.CaptureFixture[str]) -> None:
    """A group's options go before the bytes or behind them, and take one value each."""
    with UserNetwork(name="send") as network:
        network.add_vcan("vcan0")
        for arguments in (
            ["3E", "80", "-s", "7DF", "--functional"],
            ["-s", "7DF", "--functional", "--padding", "CC", "3E", "80"],
        ):
            assert main(["isotp", "send", "vcan0", "--network", "user:send", *arguments]) == 0
        waiting = ["--responder", "7E0,7E8", "--responder", "7E1,7E9", "3E80", "-w", "0.05"]
        arguments = ["isotp", "send", "vcan0", "--network", "user:send", "-s", "7DF"]
        assert main([*arguments, "--functional", *waiting]) == 1
        assert [interface.sent for interface in network.interfaces()] == [3]
    assert capsys.readouterr().err == "anycan: no reply from 7E8\nanycan: no reply from 7E9\n"
