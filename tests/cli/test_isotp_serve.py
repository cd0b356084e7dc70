"""anycan isotp serve, and who asks it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from anycan import Address, Frame, UserNetwork, functional_request, open_isotp
from anycan.cli import app as app_module
from anycan.cli import common
from anycan.cli import isotp_serve as serve_module
from anycan.cli.isotp_options import LinkOptions, ModeOptions
from anycan.cli.isotp_serve import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

DEADLINE: Final = 30
TESTER: Final = Address.normal(0x7E0, 0x7E8)
ECU: Final[dict[str, Any]] = {"tx": "7E8", "rx": "7E0", "timestamps": "n"}
LONG: Final = bytes(range(100))

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def served(
    act: Callable[[UserNetwork], Coroutine[Any, Any, None]],
    *,
    backend: str = "asyncio",
    interrupt: bool = True,
    **options: Any,
) -> None:
    """Run serve on a network, and do something there once it listens."""

    async def run() -> None:
        async with UserNetwork(name="serve") as network:
            network.add_vcan("vcan0")

            async def listen() -> None:
                await serve("vcan0", network="user:serve", **options)

            with anyio.fail_after(DEADLINE):
                async with anyio.create_task_group() as group:
                    group.start_soon(listen)
                    await wait_all_tasks_blocked()
                    await act(network)
                    if interrupt:
                        group.cancel_scope.cancel()

    anyio.run(run, backend=backend)


async def ask(network: UserNetwork, *requests: str, address: Address = TESTER) -> list[str]:
    """Give the replies to requests."""
    async with open_isotp("vcan0", address=address, network=network) as link:
        return [
            (await link.request(bytes.fromhex(request), timeout=DEADLINE)).hex()
            for request in requests
        ]


@both_back_ends
def test_requests_and_replies(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        requests = ["22f190", "22f18c", "3e00", "1003", "8501"]
        assert await ask(network, *requests) == ["62f19041", "7f2231", "7e00", "5003", "8501"]

    rules = ("22F190=62 F1 90 41", "22..=7F2231", "3E..=7E..", "10..=50..")
    served(act, reply=rules, echo=True, backend=backend, **ECU)
    out, err = capsys.readouterr()
    assert out == (
        "  vcan0  7E0 -> 7E8  [3]  22 F1 90\n"
        "  vcan0  7E0 <- 7E8  [4]  62 F1 90 41\n"
        "  vcan0  7E0 -> 7E8  [3]  22 F1 8C\n"
        "  vcan0  7E0 <- 7E8  [3]  7F 22 31\n"
        "  vcan0  7E0 -> 7E8  [2]  3E 00\n"
        "  vcan0  7E0 <- 7E8  [2]  7E 00\n"
        "  vcan0  7E0 -> 7E8  [2]  10 03\n"
        "  vcan0  7E0 <- 7E8  [2]  50 03\n"
        "  vcan0  7E0 -> 7E8  [2]  85 01\n"
        "  vcan0  7E0 <- 7E8  [2]  85 01\n"
    )
    assert err == "anycan: 5 requests, 5 answered, 0 faults\n"


def test_what_is_not_answered(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        async with open_isotp("vcan0", address=TESTER, network=network) as link:
            await link.send(b"\x3e\x80")
            await link.send(b"\x11\x01")
            assert await link.request(b"\x3e\x00", timeout=DEADLINE) == b"\x7e\x00"

    served(act, reply=("3E80=", "3E..=7E.."), **ECU)
    out, err = capsys.readouterr()
    assert [line.split("]  ")[1] for line in out.splitlines()] == [
        "3E 80",
        "11 01",
        "3E 00",
        "7E 00",
    ]
    assert err == "anycan: 3 requests, 1 answered, 0 faults\n"


def test_stamps_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await ask(network, "4142")

    served(act, echo=True, **{**ECU, "timestamps": "a", "ascii": True})
    assert re.fullmatch(
        r"( \(\d{10}\.\d{6}\)  vcan0  7E0 (->|<-) 7E8  \[2\]  41 42  'AB'\n){2}",
        capsys.readouterr().out,
    )


def test_many_frames_in_another_mode(capsys: pytest.CaptureFixture[str]) -> None:
    tester = Address.extended(0x6F1, 0x612, target=0x12, source=0xF1)

    async def act(network: UserNetwork) -> None:
        assert await ask(network, LONG.hex(), address=tester) == [LONG.hex()]

    mode = ModeOptions(mode="extended", target="F1", source="12")
    link = LinkOptions(block_size=4, padding="00")
    served(act, tx="612", rx="6F1", mode=mode, link=link, echo=True, timestamps="n")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("  vcan0  6F1:12 -> 612:F1  [100]  00 01 ")
    assert second.startswith("  vcan0  6F1:12 <- 612:F1  [100]  00 01 ")


@both_back_ends
def test_requests_to_a_group(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        async with functional_request(
            "vcan0", b"\x01\x00", tx_id=0x7DF, responders=[TESTER], network=network
        ) as replies:
            assert [reply.hex() async for _, reply in replies] == ["4100be1fa813"]

    served(act, functional="7DF", reply=("0100=4100BE1FA813",), backend=backend, **ECU)
    assert capsys.readouterr().out.count("\n") == 2


def test_requests_to_a_group_with_an_address_byte() -> None:
    tester = Address.extended(0x6F1, 0x612, target=0x12, source=0xF1)
    group = Address.extended(0x6F1, None, target=0xDF, source=0xF1)

    async def act(network: UserNetwork) -> None:
        async with functional_request(
            "vcan0", b"\x3e\x00", address=group, responders=[tester], network=network
        ) as replies:
            assert [reply.hex() async for _, reply in replies] == ["7e00"]

    mode = ModeOptions(mode="extended", target="F1", source="12")
    served(act, tx="612", rx="6F1", mode=mode, functional="6F1:DF", reply=("3E00=7E00",))


def test_faults_are_told_and_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = anyio.Event()
    say = common.say

    def note(text: str) -> None:
        say(text)
        told.set()

    monkeypatch.setattr(serve_module, "say", note)

    async def act(network: UserNetwork) -> None:
        for text in ("7E0#1014000102030405", "7E0#2200000000000000"):
            network.inject("vcan0", Frame.parse(text))
        await told.wait()
        assert await ask(network, "3e00") == ["3e00"]

    served(act, echo=True, **ECU)
    err = capsys.readouterr().err
    assert err.endswith("anycan: 1 request, 1 answered, 1 fault\n")
    assert err.count("\n") == 2


def test_an_interface_that_is_removed_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        network.remove("vcan0")

    with pytest.raises(ExceptionGroup) as caught:
        served(act, interrupt=False, echo=True, **ECU)
    assert app_module._report(caught.value) == 1
    assert capsys.readouterr().err.startswith("anycan: vcan0 has been removed")
