from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import anyio
import pytest

from anycan import InterfaceDownError, UserNetwork, open_raw
from anycan.cli import app as app_module
from anycan.cli import common, main
from anycan.cli.cyclic import cyclic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anycan import RawEndpoint

SHORT = 0.002
DEADLINE = 30
NEVER = 1000.0  # a beat that is not seen in a test
DOWN = (
    "anycan: vcan0 is down: what is due meanwhile is lost, and sending goes on when it is up"
    " again\n"
)


class Said:
    """What has been said of the interface so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.text = ""
        say = common.say

        def note(text: str) -> None:
            self.text += text
            say(text)

        monkeypatch.setattr(common, "say", note)

    async def wait_for(self, text: str) -> None:
        while text not in self.text:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    return Said(monkeypatch)


def sent(
    act: Callable[[UserNetwork, RawEndpoint], Awaitable[object]],
    *frames: str,
    up: bool = True,
    interrupt: bool = False,
    **options: object,
) -> int | None:
    """Run cyclic on a network, and do something there meanwhile.

    Returns:
        Its exit status; None: it was interrupted when that was done.
    """
    status: int | None = None

    async def run() -> None:
        async with UserNetwork(name="cyclic") as network:
            network.add_vcan("vcan0", up=up)

            async def send() -> None:
                nonlocal status
                status = await cyclic("vcan0", *frames, network="user:cyclic", **options)  # type: ignore[arg-type]  # any of them

            with anyio.fail_after(DEADLINE):
                async with (
                    open_raw("vcan0", network=network) as can,
                    anyio.create_task_group() as group,
                ):
                    group.start_soon(send)
                    await act(network, can)
                    if interrupt:
                        group.cancel_scope.cancel()
            assert network._stack.timers.deadline is None  # no operation is left behind

    anyio.run(run)
    return status


async def take(can: RawEndpoint, count: int) -> list[str]:
    return [str(await can.receive()) for _ in range(count)]


def test_one_frame_after_the_other_until_the_count_is_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def act(_network: UserNetwork, can: RawEndpoint) -> None:
        assert await take(can, 5) == ["123#00", "123#R1", "124#02", "123#00", "123#R1"]

    assert sent(act, "123#00", "123#R1", "124#02", interval=SHORT, count=5) == 0
    assert capsys.readouterr() == ("", "")


def test_the_count_is_not_exceeded(capsys: pytest.CaptureFixture[str]) -> None:
    with UserNetwork(name="cyclic") as network:
        network.add_vcan("vcan0")
        arguments = ["-g", "0.001", "-n", "3", "--network", "user:cyclic"]
        assert main(["cyclic", "vcan0", "123#11", *arguments]) == 0
        assert [interface.sent for interface in network.interfaces()] == [3]
    assert capsys.readouterr() == ("", "")


def test_each_frame_on_its_own_whatever_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    frames = ["123#00", "123#01", "123##0AA", "12345678#R"]

    async def act(_network: UserNetwork, can: RawEndpoint) -> None:
        # the network marks CAN FD frames, as the kernel does
        marked = [text.replace("##0", "##4") for text in frames]
        assert Counter(await take(can, 12)) == dict.fromkeys(marked, 3)

    assert sent(act, *frames, interval=SHORT, count=3, separate=True) == 0
    assert capsys.readouterr() == ("", "")


def test_without_a_count_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(_network: UserNetwork, can: RawEndpoint) -> None:
        assert await take(can, 5) == ["123#11"] * 5

    assert sent(act, "123#11", interval=SHORT, interrupt=True) is None
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"anycan: 123#11 on vcan0 every 0\.002 s: ended after \d\.\d s\n", err)


def test_after_the_count_it_goes_on_at_the_other_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def act(_network: UserNetwork, can: RawEndpoint) -> None:
        assert await take(can, 6) == ["123#11"] * 6

    assert sent(act, "123#11", interval=SHORT, count=2, then=SHORT / 2, interrupt=True) is None
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"anycan: 123#11 on vcan0 every 0\.002 s, then every 0\.001 s: ended after \d\.\d s,"
        r" with 0 frames of the count to go\n",
        err,
    )


@pytest.mark.parametrize(
    ("frames", "options", "summary"),
    [
        (["123#11"], {"count": 10}, "123#11 # with 9 frames of the count to go"),
        (["123#11"], {"count": 2}, "123#11 # with 1 frame of the count to go"),
        (["123#", "124#"], {"count": 5}, "2 frames in turn # with 4 frames of the count to go"),
        (
            ["123#", "124#"],
            {"count": 5, "separate": True},
            "2 frames at once # with 8 frames of the count to go",
        ),
        (["123#", "124#"], {"separate": True}, "2 frames at once #"),
    ],
)
def test_interrupted_it_says_what_is_known(
    frames: list[str], options: dict[str, object], summary: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(_network: UserNetwork, can: RawEndpoint) -> None:
        await take(can, len(frames) if options.get("separate") else 1)

    assert sent(act, *frames, interrupt=True, **{"interval": NEVER, **options}) is None  # type: ignore[arg-type]  # any of them
    out, err = capsys.readouterr()
    assert out == ""
    what, rest = summary.split(" #")
    assert re.fullmatch(
        rf"anycan: {re.escape(what)} on vcan0 every 1000 s: ended after \d\.\d s{',' * bool(rest)}"
        rf"{rest}\n",
        err,
    )


def test_an_interface_that_goes_down_is_told_and_waited_for(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork, can: RawEndpoint) -> None:
        await take(can, 1)
        network.set_down("vcan0")
        await said.wait_for("is down")
        with pytest.raises(InterfaceDownError):
            await take(can, 100)
        network.set_up("vcan0")
        assert await take(can, 3) == ["123#11"] * 3

    assert sent(act, "123#11", interval=SHORT, interrupt=True) is None
    assert capsys.readouterr().err.startswith(f"{DOWN}anycan: 123#11 on vcan0 every ")


@pytest.mark.parametrize("separate", [False, True])
def test_the_count_goes_on_while_the_interface_is_down(
    separate: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork, can: RawEndpoint) -> None:
        await take(can, 2 if separate else 1)
        network.set_down("vcan0")

    assert sent(act, "123#11", "124#22", interval=0.01, count=4, separate=separate) == 0
    assert capsys.readouterr() == ("", DOWN)


def test_an_interface_that_is_down_from_the_beginning(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork, can: RawEndpoint) -> None:
        await said.wait_for("is down")
        with pytest.raises(InterfaceDownError):
            await can.receive()
        network.set_up("vcan0")
        assert await take(can, 2) == ["123#11"] * 2

    assert sent(act, "123#11", interval=SHORT, up=False, interrupt=True) is None
    assert capsys.readouterr().err.startswith(f"{DOWN}anycan: 123#11 on vcan0 every ")


@pytest.mark.parametrize("options", [{}, {"count": 5}, {"count": 5, "separate": True}])
def test_an_interface_that_is_removed_ends_it(
    options: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork, can: RawEndpoint) -> None:
        await take(can, 2 if "separate" in options else 1)
        network.remove("vcan0")

    with pytest.raises(ExceptionGroup) as caught:
        sent(act, "123#11", "124#22", **{"interval": NEVER, **options})  # type: ignore[arg-type]  # any of them
    assert app_module._report(caught.value) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anycan: vcan0 has been removed")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["12#11"], "not a frame in candump's notation: '12#11'"),
        (["20000004#00"], "an error frame cannot be sent"),
        (["45123#81:00:12345678#1122"], "the broadcast manager sends no CAN XL frames"),
        (["123#11", "123##011"], "all of CAN FD, or all of classical CAN"),
        (["123#11", "20000004#00", "--separate"], "an error frame cannot be sent"),
        (["123#"] * 257, "a transmission has 1 to 256 frames, not 257"),
        (["123#11", "--then", "1"], "--then is the interval after --count times: say how many"),
        (["123#11", "-g", "0"], "Must be >= 1e-06"),
        (["123#11", "-g", "inf"], "Must be a finite number"),
        (["123#11", "-n", "1", "--then", "4e7"], "Must be <= 34560000"),
        (["123#11", "-n", "4294967296"], "Must be <= 4294967295"),
    ],
)
def test_what_cannot_be_sent(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with UserNetwork(name="cyclic") as network:
        network.add_vcan("vcan0")
        options = ["--network", "user:cyclic"]
        if "-g" not in arguments:
            options += ["-g", "0.001"]
        assert main(["cyclic", "vcan0", *arguments, *options]) == 2
        assert [interface.sent for interface in network.interfaces()] == [0]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anycan: ")
    assert message in err
    assert err.endswith("See --help.\n")
    assert err.count("\n") == 1


def test_an_interface_that_takes_no_such_frames(capsys: pytest.CaptureFixture[str]) -> None:
    with UserNetwork(name="cyclic") as network:
        network.add_vcan("vcan0", mtu=16)
        options = ["-g", "1", "--network", "user:cyclic"]
        assert main(["cyclic", "vcan0", "123##011", *options]) == 1
        assert main(["cyclic", "vcan1", "123#11", *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("anycan: vcan0 takes no CAN FD frames")
    assert second.startswith("anycan: there is no interface vcan1")


@pytest.mark.parametrize("missing", ["--interval", "FRAME"])
def test_what_has_to_be_said(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"--interval": ["123#11"], "FRAME": ["-g", "1"]}[missing]
    assert main(["cyclic", "vcan0", *arguments]) == 2
    assert missing in capsys.readouterr().err
