"""ISO-TP beside programs of can-utils on the kernel: isotpsend, isotprecv and isotpserver."""

from __future__ import annotations

import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

import anycan
from anycan import Address, FlowControlTimeoutError
from rig.blocking import excuse
from rig.isotp import ONE, IsotpBench, echo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.timeout(120)]

PDU = bytes(number * 5 & 0xFF for number in range(300))


@attrs.frozen
class Case:
    """How both sides are set up: ours, and can-utils'.

    Attributes:
        address: Ours.
        arguments: Theirs, besides the identifiers.
        options: Ours, besides the address.
    """

    address: Address
    arguments: tuple[str, ...] = ()
    options: dict[str, Any] = attrs.Factory(dict)

    def command(self, program: str, interface: str) -> list[str]:
        digits = 8 if self.address.extended_ids else 3
        source, destination = self.address.rx_id, self.address.tx_id
        identifiers = ["-s", f"{source:0{digits}X}", "-d", f"{destination:0{digits}X}"]
        return [program, *identifiers, *self.arguments, interface]


CASES = {
    "normal": Case(Address.normal(0x7E0, 0x7E8)),
    "29 bits": Case(Address.normal(0x123, 0x456, extended=True)),
    "normal fixed": Case(Address.normal_fixed(target=0x10, source=0xF1)),
    "extended": Case(Address.extended(0x6F1, 0x612, target=0x12, source=0xF1), ("-x", "F1:12")),
    "mixed, 11 bits": Case(Address.mixed_11(0x7E0, 0x7E8, extension=0x55), ("-x", "55")),
    "mixed, 29 bits": Case(
        Address.mixed_29(target=0x10, source=0xF1, extension=0x55), ("-x", "55")
    ),
    "padded": Case(
        ONE, ("-p", "AA:BB", "-P", "a"), {"padding": 0xBB, "rx_padding": 0xAA, "block_size": 4}
    ),
    "flexible": Case(ONE, ("-L", "72:64:1"), {"fd": True, "brs": True}),
    "flexible, 12 bytes": Case(ONE, ("-L", "72:12:0"), {"fd": True, "tx_dl": 12}),
}


@pytest.fixture(params=["socket", "engine"])
def bench(request: pytest.FixtureRequest, kernel_links: Links) -> IsotpBench:
    return IsotpBench(kernel_links, kernel_links.add(), request.param)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run these on one back end: what they look at is the other side."""
    return "asyncio", {"use_uvloop": False}


@asynccontextmanager
async def program(command: list[str]) -> AsyncIterator[anyio.abc.Process]:
    """Run a program of can-utils for the length of a block."""
    async with await anyio.open_process(command, stderr=subprocess.STDOUT) as process:
        excuse()
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
    excuse()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_isotpsend_is_understood(bench: IsotpBench, case: Case) -> None:
    async with (
        bench.open(case.address, **case.options) as link,
        program(case.command("isotpsend", bench.name)) as sender,
    ):
        assert sender.stdin is not None
        await sender.stdin.send(PDU.hex(" ").encode())
        await sender.stdin.aclose()
        with anyio.fail_after(60):
            assert await link.receive() == PDU


async def send_until_heard(link: anycan.IsotpLink, pdu: bytes) -> None:
    """Send a PDU to a program that may still be starting."""
    while True:
        try:
            await link.send(pdu)
        except FlowControlTimeoutError:
            continue
        return


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_isotprecv_understands(bench: IsotpBench, case: Case) -> None:
    async with (
        bench.open(case.address, **case.options) as link,
        program(case.command("isotprecv", bench.name)) as receiver,
    ):
        assert receiver.stdout is not None
        with anyio.fail_after(60):
            await send_until_heard(link, PDU)
            heard = b""
            async for part in receiver.stdout:
                heard += part
    assert bytes.fromhex(heard.decode()) == PDU


async def test_isotpserver_passes_pdus_both_ways(bench: IsotpBench) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # noqa: ASYNC221, S607 - once
    excuse()
    case = Case(ONE, ("-l", "29536"))
    async with (
        bench.open() as link,
        program(case.command("isotpserver", bench.name)),
        anyio.create_task_group() as tasks,
    ):
        with anyio.fail_after(60):
            while True:
                try:
                    client = await anyio.connect_tcp("127.0.0.1", 29536)
                    break
                except OSError:
                    await anyio.sleep(0.1)
            tasks.start_soon(echo, link)
            async with client:
                await client.send(b"<" + PDU.hex().encode() + b">")
                heard = b""
                while not heard.endswith(b">\n"):
                    heard += await client.receive()
        tasks.cancel_scope.cancel()
    assert bytes.fromhex(heard.decode().strip("<>\n")) == PDU


@pytest.fixture
def long_pdus() -> Iterator[None]:
    """Have the module can-isotp take long PDUs, in the lab."""
    try:
        _load("max_pdu_size=1000000")
        yield
    finally:
        _load()
        excuse()


def _load(*parameters: str) -> None:
    subprocess.run(["modprobe", "-r", "can-isotp"], check=True)  # noqa: S607 - wherever it is
    subprocess.run(["modprobe", "can-isotp", *parameters], check=True)  # noqa: S603, S607 - as above


@pytest.mark.usefixtures("long_pdus")
async def test_long_pdus_of_the_kernel(kernel_links: Links) -> None:
    bench = IsotpBench(kernel_links, kernel_links.add(), "socket")
    pdu = bytes(1_000_000 // 2) + bytes([1]) * (1_000_000 // 2)
    assert anycan.kernel.max_pdu_size == 1_000_000
    with anyio.fail_after(100):
        async with (
            bench.pair(fd=True, frame_txtime=0) as (one, other),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(echo, other)
            assert await one.request(pdu) == pdu
            tasks.cancel_scope.cancel()


async def test_a_controller_takes_a_transfer_at_its_own_pace(
    controllers: tuple[str, str],
) -> None:
    commands = [f"ip link set {name} up type can bitrate 500000" for name in controllers]
    subprocess.run(["sh", "-c", "; ".join(commands)], check=True)  # noqa: ASYNC221, S603, S607 - as above
    excuse()
    here, there = controllers
    for implementation in ("socket", "engine"):
        with anyio.fail_after(60):
            async with (
                anycan.open_isotp(
                    here, address=ONE, implementation=implementation, padding=0
                ) as one,
                anycan.open_isotp(
                    there,
                    address=ONE.reversed(),
                    implementation=implementation,
                    stmin=0.001,  # the emulated controllers have no bit times, and overrun
                ) as other,
            ):
                await one.send(PDU)
                assert await other.receive() == PDU
