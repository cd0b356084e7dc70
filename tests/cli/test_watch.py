from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, cast

import anyio
import pytest

from anycan import (
    BcmEvent,
    Changed,
    Frame,
    Multiplex,
    TimedOut,
    UserNetwork,
    Watch,
    open_bcm,
)
from anycan.cli import app as app_module
from anycan.cli import changes as changes_module
from anycan.cli import common, main
from anycan.cli import watch as watch_module
from anycan.cli.changes import EventQueue
from anycan.cli.watch import watch
from anycan.cli.watched import WatchedMessage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DEADLINE = 30
SHORT = 0.01
LONGER = 0.05  # than anything that happens meanwhile


class Seen:
    """What has been printed and said so far, and whether watch listens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.text = ""
        self.listening = anyio.Event()
        emit, say, take = common.emit, common.say, EventQueue.take

        def note(text: str) -> None:
            self.text += text
            emit(text)

        def note_said(text: str) -> None:
            self.text += text
            say(text)

        async def note_listening(queue: EventQueue) -> list[BcmEvent]:
            self.listening.set()
            return await take(queue)

        monkeypatch.setattr(changes_module, "emit", note)
        monkeypatch.setattr(changes_module, "say", note_said)
        monkeypatch.setattr(common, "say", note_said)
        monkeypatch.setattr(EventQueue, "take", note_listening)

    async def wait_for(self, text: str) -> None:
        while text not in self.text:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


def watched(
    seen: Seen,
    act: Callable[[UserNetwork], Awaitable[object]],
    *messages: str,
    interface: str = "vcan0",
    up: bool = True,
    interrupt: bool = False,
    **options: object,
) -> int | None:
    """Run watch on a network, and do something there once it listens.

    Returns:
        Its exit status; None: it was interrupted when that was done.
    """
    status: int | None = None

    async def run() -> None:
        async with UserNetwork(name="watch") as network:
            for name in ("vcan0", "long0"):
                network.add_vcan(name, up=up)

            async def listen() -> None:
                nonlocal status
                status = await watch(interface, *messages, network="user:watch", **options)  # type: ignore[arg-type]  # any of them

            with anyio.fail_after(DEADLINE):
                async with anyio.create_task_group() as group:
                    group.start_soon(listen)
                    await seen.listening.wait()
                    await act(network)
                    if interrupt:
                        group.cancel_scope.cancel()

    anyio.run(run)
    return status


def injecting(*texts: str, interface: str = "vcan0") -> Callable[[UserNetwork], Awaitable[None]]:
    """Give what puts frames on an interface, all at once."""

    async def act(network: UserNetwork) -> None:
        for text in texts:
            network.inject(interface, Frame.parse(text))

    return act


def logged(out: str) -> list[str]:
    """Give the frames of log lines."""
    return [line.split()[2] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("message", "options", "frames", "expected"),
    [
        (
            "123",
            {},
            [*("123#1122", "123#1122", "124#AA", "123#1123", "123#R", "123##011"), "123#112300"],
            ["123#1122", "123#1123"],
        ),
        (
            "123",
            {},
            ["123#", "123#00000000000000", "123#0000000000000001"],
            ["123#", "123#0000000000000001"],
        ),
        ("123:00F0", {}, ["123#1122", "123#FF2F", "123#1132"], ["123#1122", "123#1132"]),
        ("123:00", {}, ["123#11", "123#22"], ["123#11"]),
        ("123", {"every": True}, ["123#11", "123#11", "123#R", "123#11"], ["123#11"] * 3),
        (
            "123",
            {"check_length": True},
            ["123#11", "123#11", "123#1100", "123#1100"],
            ["123#11", "123#1100"],
        ),
        (
            "00000123",
            {},
            ["123#11", "00000123#22", "00000123#22", "00000123#33"],
            ["00000123#22", "00000123#33"],
        ),
        (
            "3C0:FF:01=00FF,02=0000FF",
            {},
            [
                *("3C0#01AA01", "3C0#02BB02", "3C0#01AA33", "3C0#0277AA", "3C0#01AB33"),
                *("3C0#03CC03", "3C0#0177AA"),
            ],
            ["3C0#01AA01", "3C0#02BB02", "3C0#0277AA", "3C0#01AB33", "3C0#0177AA"],
        ),
    ],
)
def test_what_changes_is_printed(
    message: str,
    options: dict[str, object],
    frames: list[str],
    expected: list[str],
    seen: Seen,
    capsys: pytest.CaptureFixture[str],
) -> None:
    act = injecting(*frames, "7FF#")  # behind all others
    options = {"log_format": True, "count": len(expected) + 1, **options}
    assert watched(seen, act, message, "7FF", **options) == 0  # type: ignore[arg-type]  # any of them
    out, err = capsys.readouterr()
    assert logged(out) == [*expected, "7FF#"]
    assert err == ""


def test_flexible_data_rate(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    last = "00" * 63
    act = injecting("123#11", f"123##0{last}01", f"123##0{last}01", f"123##1{last}02")
    assert watched(seen, act, "123", fd=True, count=2, log_format=True) == 0
    # the network marks CAN FD frames, as the kernel does
    assert logged(capsys.readouterr().out) == [f"123##4{last}01", f"123##5{last}02"]


def test_the_screen_is_candumps(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    act = injecting("123#1122", "12345678#AA", "123#33")
    assert watched(seen, act, "123", "12345678", timestamps="z", count=3) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"\d{6}\)", "N)", line) for line in lines] == [
        " (000.N)  vcan0  123   [2]  11 22",
        " (000.N)  vcan0  12345678   [1]  AA",
        " (000.N)  vcan0       123   [1]  33",
    ]


def test_a_log_has_stamps_and_interfaces(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(seen, injecting("123#1122"), "123", log_format=True, count=1) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"\(\d{10}\.\d{6}\) vcan0 123#1122\n", out)
    assert err == ""


def test_several_messages_in_the_order_in_which_they_came(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [f"{identifier}#{number:02X}" for number in range(5) for identifier in (123, 124, 125)]
    assert watched(seen, injecting(*frames), "125", "123", "124", log_format=True, count=15) == 0
    assert logged(capsys.readouterr().out) == frames


def test_it_ends_after_so_many_frames_of_a_batch(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    act = injecting("123#01", "123#02", "123#03", "123#04")
    assert watched(seen, act, "123", count=3) == 0
    assert capsys.readouterr() == (
        "  vcan0  123   [1]  01\n  vcan0  123   [1]  02\n  vcan0  123   [1]  03\n",
        "",
    )


def test_all_interfaces(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await injecting("123#01")(network)
        await injecting("123#01", "123#02", interface="long0")(network)

    assert watched(seen, act, "123", interface="any", count=2) == 0
    assert capsys.readouterr().out == "  vcan0  123   [1]  01\n  long0  123   [1]  02\n"


def test_a_timeout_is_a_line_of_its_own(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await injecting("123#11")(network)
        await seen.wait_for("TIMEOUT")
        await injecting("123#11")(network)  # the same again is told, since it has been missing

    assert watched(seen, act, "123", timeout=LONGER, count=2) == 0
    out, err = capsys.readouterr()
    assert out == (
        "  vcan0  123   [1]  11\n"
        "  vcan0  123   TIMEOUT: no frame for 0.05 s\n"
        "  vcan0  123   [1]  11\n"
    )
    assert err == ""


def test_a_timeout_has_a_stamp(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await seen.wait_for("TIMEOUT")
        await injecting("12345678#11")(network)

    assert watched(seen, act, "12345678", timeout=SHORT, timestamps="d", count=1) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == " (000.000000)  vcan0  12345678   TIMEOUT: no frame for 0.01 s"
    assert re.fullmatch(r" \(\d{3}\.\d{6}\)  vcan0  12345678   \[1\]  11", second)


def test_in_a_log_there_are_no_timeouts(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await seen.wait_for("timeout")
        await injecting("123#11")(network)

    options = {"timeout": SHORT, "log_format": True, "count": 1}
    assert watched(seen, act, "123", **options) == 0  # type: ignore[arg-type]  # any of them
    out, err = capsys.readouterr()
    assert logged(out) == ["123#11"]
    assert err == "anycan: timeout on vcan0: no frame for 0.01 s of 123\n"


def test_a_timeout_on_no_interface_in_particular(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(_network: UserNetwork) -> None:
        await seen.wait_for("TIMEOUT")

    assert watched(seen, act, "123", interface="any", timeout=SHORT, interrupt=True) is None
    assert capsys.readouterr() == (
        "  any  123   TIMEOUT: no frame for 0.01 s\n",
        "anycan: 0 frames printed, 1 timeout, 0 dropped\n",
    )


def test_of_quick_changes_the_latest(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    act = injecting("123#01", "123#02", "123#03")
    assert watched(seen, act, "123", throttle=LONGER, count=2) == 0
    assert capsys.readouterr().out == "  vcan0  123   [1]  01\n  vcan0  123   [1]  03\n"


def test_interrupted_it_says_how_much_there_was(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        await injecting("123#11", "123#11", "123#22")(network)
        await seen.wait_for("22\n")

    assert watched(seen, act, "123", interrupt=True) is None
    assert capsys.readouterr() == (
        "  vcan0  123   [1]  11\n  vcan0  123   [1]  22\n",
        "anycan: 2 frames printed, 0 dropped\n",
    )


def test_drops_are_told(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = functools.partial(open_bcm, receive_buffer=4608)
    monkeypatch.setattr(watch_module, "open_bcm", small)

    async def act(network: UserNetwork) -> None:
        await injecting(*(f"123#{number:02X}" for number in range(64)))(network)
        await seen.wait_for("dropped")

    assert watched(seen, act, "123", interrupt=True) is None
    out, err = capsys.readouterr()
    lines = out.count("\n")
    dropped = 64 - lines
    assert dropped > 0
    assert err == (
        f"anycan: {dropped} changes dropped ({dropped} in all): they came faster than they were"
        " printed; --throttle prints fewer of each message\n"
        f"anycan: {lines} frames printed, {dropped} dropped\n"
    )


def test_an_interface_that_goes_down_is_waited_for(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        await injecting("123#11")(network)
        await seen.wait_for("11\n")
        network.set_down("vcan0")
        await seen.wait_for("is down")
        network.set_up("vcan0")
        await injecting("123#22", "124#33")(network)

    assert watched(seen, act, "123", "124", count=3) == 0
    out, err = capsys.readouterr()
    assert out == "  vcan0  123   [1]  11\n  vcan0  123   [1]  22\n  vcan0  124   [1]  33\n"
    assert err.startswith("anycan: vcan0 is down; receiving goes on when it is up again")
    assert err.count("\n") == 1


def test_an_interface_that_is_down_from_the_beginning(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        await seen.wait_for("is down")
        network.set_up("vcan0")
        await injecting("123#22")(network)

    assert watched(seen, act, "123", up=False, count=1) == 0
    assert capsys.readouterr().out == "  vcan0  123   [1]  22\n"


def test_an_interface_that_is_removed_ends_it(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        network.remove("vcan0")

    with pytest.raises(ExceptionGroup) as caught:
        watched(seen, act, "123", "124")
    assert app_module._report(caught.value) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anycan: vcan0 has been removed")
    assert err.count("\n") == 1


def test_a_late_stamp_does_not_move_what_comes_behind() -> None:
    """The kernel stamps a timeout when it is taken, which may be after the next frame came."""

    class Told:
        def __init__(self, *events: BcmEvent) -> None:
            self._events = list(events)

        async def receive(self) -> BcmEvent:
            if not self._events:
                await anyio.sleep_forever()
            return self._events.pop(0)

        def receive_nowait(self) -> BcmEvent:
            if not self._events:
                raise anyio.WouldBlock
            return self._events.pop(0)

    late = TimedOut(0x123, extended=False, interface="can0", timestamp_ns=30)
    one, other, last = (
        Changed(Frame(identifier, timestamp_ns=stamp))
        for identifier, stamp in ((0x123, 20), (0x124, 10), (0x124, 40))
    )

    async def run() -> list[BcmEvent]:
        queue = EventQueue([cast("Watch", Told(late, one)), cast("Watch", Told(other, last))])
        async with anyio.create_task_group() as group:
            group.start_soon(queue.collect)
            events = await queue.take()
            group.cancel_scope.cancel()
        return events

    assert anyio.run(run) == [other, late, one, last]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123", WatchedMessage(0x123, extended=False)),
        ("7ff:Ff00", WatchedMessage(0x7FF, extended=False, mask=b"\xff\0")),
        ("00000123:0F", WatchedMessage(0x123, extended=True, mask=b"\x0f")),
    ],
)
def test_words(text: str, expected: WatchedMessage) -> None:
    assert WatchedMessage.parse(text) == expected
    assert f"{expected}" == text.partition(":")[0].upper()


def test_words_of_a_multiplexed_message() -> None:
    message = WatchedMessage.parse("18FEF100:FF:01=00FF,02=000F")
    assert (message.identifier, message.extended, message.mask) == (0x18FEF100, True, None)
    assert isinstance(message.multiplex, Multiplex)
    assert message.multiplex.mask == b"\xff"
    assert message.multiplex.contents == {b"\1": b"\0\xff", b"\2": b"\0\x0f"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["12"], "not a message to watch: '12'"),
        (["xyz"], "not a message to watch: 'xyz'"),
        (["123:FF:01=FF:"], "not a message to watch: '123:FF:01=FF:'"),
        (["FFF"], "write eight digits, 00000FFF"),
        (["20000004"], "out of range"),
        (["123:"], "not bytes in hex, two digits each: '' in '123:'"),
        (["123:F"], "not bytes in hex, two digits each: 'F' in '123:F'"),
        (["123:FF:01"], "not VALUE=MASK: '01' in '123:FF:01'"),
        (["123:FF:01=FF,01=00"], "the value 01 stands twice"),
        (["123:0F:10=FF"], "has bits beside its mask"),
        (["123:00:00=FF"], "some bit is set"),
        (["123:FFFFFFFFFFFFFFFFFF"], "a mask of 9 bytes is longer than the frame"),
        (["123", "124", "123:FF"], "123 stands twice: put its bits into one mask"),
        (["123", "--every", "--check-length"], "--check-length has nothing to say"),
        (["123:FF", "--every"], "leave the masks of 123 out"),
        (["124", "123:FF:01=FF", "--every"], "leave the masks of 123 out"),
        (["123", "--timeout", "0"], "Must be >= 1e-06"),
        (["123", "--throttle", "nan"], "Must be a finite number"),
        (["123", "-n", "0"], "Must be > 0"),
        (["123", "-t", "q"], "q"),
        ([], "MESSAGE"),
    ],
)
def test_what_cannot_be_watched(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with UserNetwork(name="watch") as network:
        network.add_vcan("vcan0")
        assert main(["watch", "vcan0", *arguments, "--network", "user:watch"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anycan: ")
    assert message in err
    assert err.endswith("See --help.\n")
    assert err.count("\n") == 1
