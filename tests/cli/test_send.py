from __future__ import annotations

import anyio
import pytest

from anycan import UserNetwork, open_raw
from anycan.cli import main
from anycan.cli.send import send


def test_frames_of_all_kinds_in_their_order() -> None:
    texts = ["123#DEADBEEF", "12345678#R8", "123##3AABB", "123#1122334455667788_E"]

    async def run() -> list[str]:
        async with UserNetwork(name="send") as network:
            network.add_vcan("vcan0")
            async with open_raw("vcan0", network=network) as can:
                assert (
                    await send("vcan0", *texts, count=2, interval=0.001, network="user:send") == 0
                )
                return [str(await can.receive()) for _ in range(8)]

    # the network marks CAN FD frames, as the kernel does
    assert anyio.run(run) == [text.replace("##3", "##7") for text in texts] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["12#11"], "not a frame in candump's notation: '12#11'"),
        (["FFF#11"], "(in candump's notation: write eight digits, 00000FFF)"),
        (["123#112233445566778899"], "carries 0 to 8 bytes of data, not 9"),
        (["123#11", "123#1"], "odd number of hex digits"),
    ],
)
def test_what_cannot_be_sent(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", "vcan0", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anycan: ")
    assert message in err
    assert err.count("\n") == 1


def test_sending_nothing_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "vcan0"]) == 2
    assert "FRAME" in capsys.readouterr().err
