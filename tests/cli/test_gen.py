from __future__ import annotations

import random
from itertools import islice

import anyio
import pytest

from anycan import AnyFrame, FdFrame, Frame, RemoteFrame, UserNetwork, open_raw
from anycan.cli import main
from anycan.cli.gen import Generator, Mode, gen


def make(count: int, **options: object) -> list[AnyFrame]:
    generator = Generator(random=random.Random(1), **options)  # type: ignore[arg-type]  # any of them
    return list(islice(generator.frames(), count))


def test_random_frames_of_classical_can() -> None:
    frames = make(500)
    assert all(isinstance(frame, Frame) and not frame.extended for frame in frames)
    assert {len(frame.data) for frame in frames} == set(range(9))
    assert make(500) == frames


def test_all_counting_up() -> None:
    assert [str(frame) for frame in make(10, id="i", length="i", data="i")] == [
        "000#00",
        "001#0100",
        "002#020000",
        "003#03000000",
        "004#0400000000",
        "005#050000000000",
        "006#06000000000000",
        "007#0700000000000000",
        "008#08",
        "009#0900",
    ]


def test_all_fixed() -> None:
    options = {"id": 0x42A, "length": 4, "data": bytes.fromhex("1122334455")}
    assert [str(frame) for frame in make(2, **options)] == ["42A#11223344"] * 2
    assert str(make(1, id=0x42A, length=4, data=b"\x11")[0]) == "42A#11000000"


def test_a_fixed_identifier_beyond_eleven_bits_is_extended() -> None:
    assert str(make(1, id=0x12345, length=0)[0]) == "00012345#"


def test_identifiers_counting_up_begin_anew() -> None:
    assert [frame.can_id for frame in make(0x802, id="i", length=0)][-3:] == [0x7FF, 0, 1]


def test_kinds() -> None:
    assert all(frame.can_id >> 31 for frame in make(50, extended=True))
    assert all(isinstance(frame, RemoteFrame) for frame in make(50, remote=True))
    fd = make(200, fd=True, brs=True)
    assert all(isinstance(frame, FdFrame) and frame.brs and not frame.esi for frame in fd)
    assert {len(frame.data) for frame in fd if isinstance(frame, FdFrame)} == {
        *range(9),
        12,
        16,
        20,
        24,
        32,
        48,
        64,
    }


def test_the_mix_has_everything() -> None:
    frames = make(400, mix=True)
    kinds = {(type(frame), bool(frame.can_id >> 31)) for frame in frames}
    assert kinds == {
        (kind, wide) for kind in (Frame, RemoteFrame, FdFrame) for wide in (True, False)
    }


@pytest.mark.parametrize("data", ["r", "i", b"\x01"])
@pytest.mark.parametrize("length", ["r", "i", 0, 8, 64])
def test_every_combination_makes_frames(length: Mode | int, data: Mode | bytes) -> None:
    for fd in (True, False):
        for mix in (True, False):
            assert len(make(20, id="i", length=length, data=data, fd=fd, mix=mix)) == 20


def test_as_fast_as_it_goes_into_a_network() -> None:
    async def run() -> list[AnyFrame]:
        async with UserNetwork(name="gen") as network:
            network.add_vcan("vcan0")
            async with open_raw("vcan0", network=network) as can:
                await gen("vcan0", gap_ms=0, count=100, id="i", length="0", network="user:gen")
                return [await can.receive() for _ in range(100)]

    assert [frame.can_id for frame in anyio.run(run)] == list(range(100))


def test_with_a_gap_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        async with UserNetwork(name="gen") as network:
            network.add_vcan("vcan0")
            await gen(
                "vcan0",
                gap_ms=0.1,
                count=2,
                id="7FF",
                length="1",
                data="AB",
                verbose=True,
                network="user:gen",
            )

    anyio.run(run)
    assert capsys.readouterr() == ("  vcan0  7FF#AB\n" * 2, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--id", "20000000"], "--id is r, i, or 0 to 1FFFFFFF in hex, not '20000000'"),
        (["--id", "xyz"], "--id is r, i, or 0 to 1FFFFFFF in hex, not 'xyz'"),
        (["--length", "9"], "--length is r, i, or 0 to 8 (to 64 with --fd), not '9'"),
        (["--length", "65", "--fd"], "--length is r, i, or 0 to 64, not '65'"),
        (["--length", "٣"], "--length is r, i, or 0 to 8 (to 64 with --fd), not '٣'"),
        (["--data", "123"], "--data is r, i, or bytes in hex, not '123'"),
        (["-R", "-f"], "--remote is for classical CAN: CAN FD has no remote frames"),
        (["-R", "-b"], "--remote is for classical CAN: CAN FD has no remote frames"),
    ],
)
def test_what_cannot_be_generated(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gen", "vcan0", *arguments]) == 2
    assert capsys.readouterr() == ("", f"anycan: {message}. See --help.\n")
