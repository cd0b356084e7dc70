"""An slcan adapter as an interface, with the test for an adapter."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.drivers.conftest import ANSWERS, OPENING

import anycan
from anycan import (
    CanErrorCounters,
    CanMode,
    CanState,
    ConfigurationError,
    ErrorFrame,
    Frame,
    InterfaceChanged,
    InterfaceError,
    InterfaceStateChanged,
    LinkCondition,
    RemoteFrame,
    SlcanAdapter,
    configure_interface,
    get_interface,
    open_raw,
)
from anycan.drivers.serial_line import SerialLine
from anycan.wire.netlink_can import CanParameters

if TYPE_CHECKING:
    from pathlib import Path

    from tests.drivers.conftest import Bench, PlayedAdapter


pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


def add(bench: Bench, adapter: PlayedAdapter, **options: object) -> SlcanAdapter:
    device = SlcanAdapter(adapter.path, **{"bitrate": 500_000, **options})  # type: ignore[arg-type]  # by name
    bench.network.add_device("can0", device)
    return device


async def hear_marker(can: anycan.RawEndpoint, adapter: PlayedAdapter) -> list[anycan.AnyFrame]:
    """Let a frame come from the bus, and give what the endpoint has received before it."""
    adapter.tell(b"t7FF0\r")
    frames = []
    with anyio.fail_after(10):
        while (frame := await can.receive()) != Frame(0x7FF):
            frames.append(frame)
    return frames


async def test_frames_both_ways(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    async with (
        open_raw("can0", network=bench.network, receive_own=True) as one,
        open_raw("can0", network=bench.network) as other,
    ):
        sent: list[anycan.AnyFrame] = [
            Frame(0x123, b"\x01\xab"),
            Frame(0x1ABCDEF, b""),
            RemoteFrame(0x7FF, 3),
        ]
        await one.send_many(sent)
        await adapter.hear(b"t123201AB\rT01ABCDEF0\rr7FF3\r")
        adapter.tell(b"z\rZ\rz\r")
        assert await hear_marker(one, adapter) == sent
        assert [await other.receive() for _ in range(4)] == [*sent, Frame(0x7FF)]
        adapter.tell(b"T1FFFFFFF211220010\r")
        received = await other.receive()
        assert received == Frame(0x1FFFFFFF, b"\x11\x22")
        assert not received.local
        assert (device.version, device.serial_number) == ("1013", "4242")
        assert device.statistics == anycan.SlcanStatistics(acknowledged=3, connections=1)
    (state,) = bench.network.interfaces()
    assert (state.sent, state.received, state.mtu) == (3, 5, 16)


async def test_it_is_set_as_a_controller_is(bench: Bench, adapter: PlayedAdapter) -> None:
    network = bench.network
    network.add_device("can0", SlcanAdapter(adapter.path, timestamps=False), up=False)
    with pytest.raises(InterfaceError, match="can0 has no bit rate yet"):
        await configure_interface("can0", up=True, network=network)
    with pytest.raises(ConfigurationError, match="no bit rate of 300000, but 10000, 20000"):
        await configure_interface("can0", bitrate=300_000, network=network)
    with pytest.raises(ConfigurationError, match=r"no mode ONE_SHOT; it has LISTENONLY"):
        await configure_interface("can0", modes=CanMode.ONE_SHOT, network=network)
    with pytest.raises(ConfigurationError, match="no CAN FD"):
        await configure_interface("can0", data_bitrate=2_000_000, network=network)
    now = await configure_interface(
        "can0", bitrate=125_000, modes=CanMode.LISTENONLY, restart=0.1, up=True, network=network
    )
    await adapter.open_with(b"\r\rC\rV\rN\rS4\rL\rF\r", b"\rV1\rN1\r\r\rF00\r")
    assert (now.bitrate, now.modes, now.state) == (
        125_000,
        CanMode.LISTENONLY,
        CanState.ERROR_ACTIVE,
    )
    assert (now.kind, now.mtu, now.queue_length, now.carrier) == ("can", 16, 10, True)
    async with open_raw("can0", network=network) as can:
        await can.send(Frame(1))  # as on the kernel, it is dropped and counted
    assert network.interfaces()[0].send_dropped == 1
    # What is set anew is set down first.
    await configure_interface("can0", bitrate=1_000_000, modes=CanMode(0), network=network)
    await adapter.hear(b"\rC\r")
    await adapter.open_with(b"\r\rC\rV\rN\rS8\rO\rF\r", b"\rV1\rN1\r\r\rF00\r")
    await anycan.set_down("can0", network=network)
    await adapter.hear(b"\rC\r")
    assert (await get_interface("can0", network=network)).state is CanState.STOPPED


async def test_a_line_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    network = bench.network
    device = SlcanAdapter(tmp_path / "ttyACM7", bitrate=500_000)
    with pytest.raises(InterfaceError, match=r"can0 does not come up: there is no .*ttyACM7: is"):
        network.add_device("can0", device)
    assert network.interfaces() == ()
    network.add_device("can1", device, up=False)
    with pytest.raises(InterfaceError, match=r"can1 does not come up: there is no .*ttyACM7: is"):
        await anycan.set_up("can1", network=network)
    assert not network.interfaces()[0].up


async def test_a_file_that_is_no_line(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InterfaceError, match="file cannot be used: it is no serial line") as told:
        bench.network.add_device("can0", SlcanAdapter(tmp_path / "file", bitrate=10_000))
    assert told.value.errno == errno.ENOTTY


async def test_an_adapter_is_one_interfaces(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    with pytest.raises(ValueError, match=r"<SlcanAdapter .*> is can0's already"):
        bench.network.add_device("can1", device)
    with anycan.UserNetwork() as other:
        with pytest.raises(ValueError, match=r"<SlcanAdapter .*> is can0's already"):
            other.add_device("can0", device)
        bench.network.remove("can0")
        other.add_device("can7", device, up=False)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bitrate": 5}, "no bit rate of 5; those of S0 to S8 are 10000, "),
        ({"serial_speed": 5}, "serial_speed= is one of 50, 75, .* not 5"),
    ],
)
def test_what_it_cannot_be_made_with(options: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SlcanAdapter("/dev/ttyACM0", **options)  # type: ignore[arg-type]  # by name


def test_it_comes_up_in_an_event_loop(bench: Bench, adapter: PlayedAdapter) -> None:
    with pytest.raises(RuntimeError, match="set its interface up where one runs"):
        add(bench, adapter)
    assert bench.network.interfaces() == ()


async def test_frames_wait_for_a_line_that_takes_no_more(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    add(bench, adapter)
    await adapter.open()
    async with (
        open_raw("can0", network=bench.network, send_buffer=100_000) as one,
        open_raw("can0", network=bench.network) as other,
    ):
        held = adapter.hold_up()
        for number in range(10):
            one.send_nowait(Frame(number))
        with pytest.raises(anyio.WouldBlock):
            one.send_nowait(Frame(10))
        bench.wait(1)  # no question for its status: it would wait, too
        assert other.statistics().received == 0
        await adapter.hear(bytes(held))
        await adapter.hear(b"".join(b"t%03X0\r" % number for number in range(10)))
        with anyio.fail_after(10):
            assert [await other.receive() for _ in range(10)] == [
                Frame(number) for number in range(10)
            ]
        one.send_nowait(Frame(10))
        await adapter.hear(b"t00A0\r")
    assert bench.network.interfaces()[0].sent == 11


async def test_frames_that_wait_are_lost_with_the_link(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network, send_buffer=100_000) as can:
        adapter.hold_up()
        for number in range(10):
            can.send_nowait(Frame(number))
        bench.network.set_down("can0")
    assert bench.network.interfaces()[0].send_dropped == 10


async def wait_for_change(watch: anycan.InterfaceWatch, *, carrier: bool) -> anycan.Interface:
    with anyio.fail_after(10):
        async for event in watch:
            if isinstance(event, InterfaceChanged) and event.interface.carrier is carrier:
                assert event.changed == ("carrier",)
                return event.interface
    raise AssertionError


async def test_an_adapter_that_is_unplugged(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    network = bench.network
    async with (
        anycan.watch_interfaces(network=network) as watch,
        open_raw("can0", network=network) as can,
    ):
        adapter.unplug()
        gone = await wait_for_change(watch, carrier=False)
        assert (gone.up, gone.condition) == (True, LinkCondition.NO_CARRIER)
        await can.send(Frame(1))
        assert network.interfaces()[0].send_dropped == 1
        bench.wait(0.1)
        bench.wait(0.2)
        bench.wait(0.39)
        adapter.plug()
        assert device.statistics.connections == 1
        bench.wait(0.01)
        await adapter.open()
        back = await wait_for_change(watch, carrier=True)
        assert (back.condition, back.carrier_changes) == (LinkCondition.UP, 3)
        await can.send(Frame(2))
        await adapter.hear(b"t0020\r")
        assert await hear_marker(can, adapter) == []
    assert device.statistics.connections == 2


async def test_one_that_is_configured_while_it_is_unplugged(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    """The link is up again, and the adapter is still looked for, now with another bit rate."""
    add(bench, adapter)
    await adapter.open()
    network = bench.network
    async with anycan.watch_interfaces(network=network) as watch:
        adapter.unplug()
        await wait_for_change(watch, carrier=False)
        now = await configure_interface("can0", bitrate=250_000, network=network)
        assert (now.up, now.bitrate) == (True, 250_000)
        assert now.condition is LinkCondition.NO_CARRIER
        adapter.plug()
        bench.wait(0.1)
        await wait_for_change(watch, carrier=True)
    await adapter.open_with(OPENING.replace(b"S6", b"S5"), ANSWERS)
    network.set_down("can0")
    adapter.unplug()
    with pytest.raises(InterfaceError, match="can0 does not come up: there is no"):
        network.set_up("can0")


async def test_one_that_is_configured_and_does_not_come_back(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    add(bench, adapter, reconnect=False)
    await adapter.open()
    network = bench.network
    async with anycan.watch_interfaces(network=network) as watch:
        adapter.unplug()
        await wait_for_change(watch, carrier=False)
    with pytest.raises(anycan.CanOSError, match=r"there is no .*ttyACM0.*; it is down now"):
        await configure_interface("can0", bitrate=250_000, network=network)
    now = await get_interface("can0", network=network)
    assert (now.up, now.bitrate) == (False, 500_000)


async def test_who_answers_while_frames_wait_is_heard_behind_them(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    add(bench, adapter)
    await adapter.open()
    network = bench.network
    async with (
        anycan.open_bcm("can0", network=network) as bcm,
        open_raw("can0", network=network) as log,
        open_raw("can0", network=network, send_buffer=100_000) as can,
        bcm.answer_remote(Frame(0x321, b"\x2a")),
    ):
        await hear_marker(can, adapter)
        await log.receive()
        held = adapter.hold_up()
        sent: list[anycan.AnyFrame] = [RemoteFrame(0x321), Frame(1), Frame(2)]
        for frame in sent:
            can.send_nowait(frame)
        await adapter.hear(bytes(held))
        await adapter.hear(b"r3210\rt0010\rt0020\rt32112A\r")
        with anyio.fail_after(10):
            heard = [await log.receive() for _ in range(4)]
    assert heard == [*sent, Frame(0x321, b"\x2a")]


async def test_restarts_do_not_pile_up_while_the_line_takes_nothing(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    device = add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network, errors=anycan.ErrorClass.ALL) as can:
        await hear_marker(can, adapter)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SerialLine, "_put", lambda *_: 0)
            for _ in range(5):
                adapter.tell(b"sb000256\r")
                await can.receive()
                device.restart()
                await can.receive()
        await adapter.hear(b"\r\rC\r")
        adapter.tell(b"\r")
        await hear_marker(can, adapter)
        bench.wait(0.2)
        await adapter.open()


async def test_an_endpoint_waits_for_an_adapter_that_is_unplugged(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    add(bench, adapter)
    await adapter.open()
    async with (
        anycan.watch_interfaces(network=bench.network) as watch,
        open_raw("can0", network=bench.network, on_link_loss="wait") as can,
        anyio.create_task_group() as tasks,
    ):
        adapter.unplug()
        await wait_for_change(watch, carrier=False)
        tasks.start_soon(can.send, Frame(1))
        await anyio.wait_all_tasks_blocked()
        adapter.plug()
        bench.wait(0.1)
        await adapter.open()
        await adapter.hear(b"t0010\r")


async def test_it_is_missed_first_on_sending(bench: Bench, adapter: PlayedAdapter) -> None:
    add(bench, adapter)
    await adapter.open()
    async with (
        anycan.watch_interfaces(network=bench.network) as watch,
        open_raw("can0", network=bench.network, send_buffer=100_000) as can,
    ):
        adapter.hold_up()
        can.send_nowait(Frame(1))
        adapter.unplug()
        can.send_nowait(Frame(2))
        await wait_for_change(watch, carrier=False)
        now = await get_interface("can0", network=bench.network)
        assert now.condition is LinkCondition.NO_CARRIER
        assert bench.network.interfaces()[0].send_dropped == 2
        await can.send(Frame(3))  # nothing is held any more that would keep it from being sent


async def test_it_is_missed_first_on_writing(bench: Bench, adapter: PlayedAdapter) -> None:
    add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network) as can:
        adapter.unplug()
        can.send_nowait(Frame(1))
        assert not (await get_interface("can0", network=bench.network)).carrier
    (now,) = bench.network.interfaces()
    assert (now.up, now.sent, now.send_dropped) == (True, 0, 1)


async def test_it_is_missed_first_on_asking(bench: Bench, adapter: PlayedAdapter) -> None:
    add(bench, adapter)
    await adapter.open()
    adapter.unplug()
    bench.wait(1)
    adapter.plug()
    bench.wait(0.1)
    await adapter.open()


async def test_it_is_missed_first_on_a_restart(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network, errors=anycan.ErrorClass.ALL) as can:
        adapter.tell(b"sb000256\r")
        await can.receive()
        adapter.unplug()
        device.configure(CanParameters(restart=1))
        with pytest.raises(OSError, match="is not bus-off"):
            device.restart()
        adapter.plug()
        bench.wait(0.1)
        await adapter.open()
        assert (await get_interface("can0", network=bench.network)).carrier


async def test_it_is_lost_while_it_is_opened(
    bench: Bench, adapter: PlayedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_line: SerialLine, _data: bytes) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(SerialLine, "write", fail)
    with pytest.raises(InterfaceError, match="can0 does not come up: Input/output error"):
        add(bench, adapter)


async def test_one_that_is_not_to_be_looked_for(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter, reconnect=False)
    async with anycan.watch_interfaces(network=bench.network) as watch:
        adapter.unplug()
        await wait_for_change(watch, carrier=False)
    adapter.plug()
    bench.wait(10)
    assert device.statistics.connections == 1
    bench.network.set_down("can0")
    bench.network.set_up("can0")
    assert (await get_interface("can0", network=bench.network)).carrier


async def test_one_that_is_set_down_is_not_looked_for(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    async with anycan.watch_interfaces(network=bench.network) as watch:
        adapter.unplug()
        await wait_for_change(watch, carrier=False)
    bench.network.set_down("can0")
    adapter.plug()
    bench.wait(10)
    assert device.statistics.connections == 1


@pytest.mark.parametrize("refused", [3, 5])
async def test_one_that_refuses_to_work(bench: Bench, adapter: PlayedAdapter, refused: int) -> None:
    add(bench, adapter)
    async with anycan.watch_interfaces(network=bench.network) as watch:
        heard = b"".join(OPENING.split(b"\r", 8)[i] + b"\r" for i in range(refused + 3))
        answers = b"\aV1\rN1\r" + b"\r" * (refused - 3) + b"\a"
        await adapter.open_with(heard, answers)
        await wait_for_change(watch, carrier=False)
        await adapter.hear(b"\rC\r")
        bench.wait(0.1)
        await adapter.open()
        await wait_for_change(watch, carrier=True)


async def test_what_else_may_be_refused(bench: Bench, adapter: PlayedAdapter) -> None:
    """It was closed, has no version, no number, no time stamps and no status."""
    device = add(bench, adapter)
    async with open_raw("can0", network=bench.network) as can:
        await adapter.hear(b"\r\rC\r")
        adapter.tell(b"\a\a\a")
        await adapter.hear(b"V\r")
        adapter.tell(b"\a")
        assert await hear_marker(can, adapter) == []
        bench.wait(0.2)  # a refusal might be one of the carriage returns
        await adapter.hear(b"N\r")
        adapter.tell(b"\a\r\a\r\a")
        await adapter.hear(b"S6\rZ1\rO\rF\r")
        assert await hear_marker(can, adapter) == []
        bench.wait(10)
        await can.send(Frame(1))
        await adapter.hear(b"t0010\r")  # and no question for its status
        assert (await get_interface("can0", network=bench.network)).carrier
    assert device.statistics.refused == 0


async def test_one_that_tells_its_version_in_its_own_words(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    device = add(bench, adapter)
    await adapter.open_with(OPENING, b"\rb158aa7 github.com/x/y.git\r\a\r\r\r\a")
    async with open_raw("can0", network=bench.network) as can:
        assert await hear_marker(can, adapter) == []
    assert device.statistics == anycan.SlcanStatistics(connections=1)


async def test_frames_wait_until_it_is_open(bench: Bench, adapter: PlayedAdapter) -> None:
    add(bench, adapter)
    network = bench.network
    async with (
        open_raw("can0", network=network, receive_own=True) as one,
        open_raw("can0", network=network) as other,
    ):
        await one.send_many([Frame(1), Frame(2)])
        assert network.interfaces()[0].sent == 0
        await adapter.hear(b"\r\rC\r")
        adapter.tell(b"\rV1013\rN4242\r\r\r\r")
        await adapter.hear(b"V\rN\rS6\rZ1\rO\rF\r")
        adapter.tell(b"F00\r")
        await adapter.hear(b"t0010\rt0020\r")
        for can in (one, other):
            assert [await can.receive(), await can.receive()] == [Frame(1), Frame(2)]
        # Now a refusal is a frame's.
        adapter.tell(b"\a")
        await hear_marker(one, adapter)
    assert network.interfaces()[0].sent == 2


async def test_frames_that_wait_for_the_opening_go_out(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    add(bench, adapter)
    async with open_raw("can0", network=bench.network) as can:
        await can.send(Frame(1))
    await adapter.hear(b"\r\rC\r")
    bench.network.set_down("can0")
    await adapter.hear(b"V\rN\rS6\rZ1\rO\rF\r" + b"t0010\r" + b"\rC\r")
    assert bench.network.interfaces()[0].sent == 1


async def test_one_that_begins_to_run_when_it_is_opened(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    device = add(bench, adapter)
    bench.wait(1)
    await adapter.hear(OPENING + b"\r\rC\r")  # all of it into the void
    adapter.tell(ANSWERS)
    await adapter.hear(OPENING.removeprefix(b"\r\rC\r"))
    async with open_raw("can0", network=bench.network) as can:
        assert await hear_marker(can, adapter) == []
    assert device.statistics == anycan.SlcanStatistics(connections=1)


async def test_one_that_begins_to_run_while_it_is_opened(
    bench: Bench, adapter: PlayedAdapter
) -> None:
    """It has heard the last command alone, and knows of no open channel."""
    add(bench, adapter)
    async with open_raw("can0", network=bench.network) as can:
        bench.wait(0.6)
        await adapter.hear(OPENING)
        adapter.tell(b"\a")
        assert await hear_marker(can, adapter) == []
        bench.wait(0.4)
        await adapter.open()


async def test_one_that_is_reset(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network, errors=anycan.ErrorClass.ALL) as can:
        assert await hear_marker(can, adapter) == []
        await can.send(Frame(1))
        await adapter.hear(b"t0010\r")
        bench.wait(1)
        await adapter.hear(b"F\r")
        adapter.tell(b"\a")
        assert await hear_marker(can, adapter) == []
        bench.wait(1)
        await adapter.open()
        assert await hear_marker(can, adapter) == []
        bench.wait(1)
        await adapter.hear(b"F\r")
        adapter.tell(b"\aF00\r")  # what it refused was a frame
        assert str(await can.receive()) == "20000004#0002000000000000"
        bench.wait(1)
        await adapter.hear(b"F\r")
    assert device.statistics.refused == 1


async def test_states_and_error_frames(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    network = bench.network
    async with (
        anycan.watch_interfaces(network=network) as watch,
        open_raw("can0", network=network, errors=anycan.ErrorClass.ALL) as can,
    ):
        events = aiter(watch)
        adapter.tell(b"sw100003\r")
        assert str(await can.receive()) == "20000204#0004000000000364"
        event = await anext(events)
        assert isinstance(event, InterfaceStateChanged)
        assert event.state is CanState.ERROR_WARNING
        assert event.interface.error_counters == CanErrorCounters(transmit=3, receive=100)
        adapter.tell(b"e1c\r")
        assert str(await can.receive()) == "20000088#0000010800000000"
        adapter.tell(b"sb000256\r")
        assert isinstance(await can.receive(), ErrorFrame)
        event = await anext(events)
        assert isinstance(event, InterfaceStateChanged)
        assert event.interface.condition is LinkCondition.BUS_OFF
        assert not event.interface.carrier
        await can.send(Frame(1))
        assert network.interfaces()[0].send_dropped == 1
        await anycan.restart_interface("can0", network=network)
        await adapter.open()
        event = await anext(events)
        assert isinstance(event, InterfaceStateChanged)
        assert (event.state, event.restarted) == (CanState.ERROR_ACTIVE, True)
        assert str(await can.receive()) == "20000100#0000000000000000"
        with pytest.raises(OSError, match="it is not bus-off"):
            device.restart()
        with pytest.raises(InterfaceError, match="is not bus-off"):
            await anycan.restart_interface("can0", network=network)
        now = await get_interface("can0", network=network)
        assert now.can_statistics == anycan.CanStatistics(
            bus_error=1, error_warning=1, bus_off=1, restarts=1
        )
        assert now.carrier


async def test_it_restarts_by_itself(bench: Bench, adapter: PlayedAdapter) -> None:
    network = bench.network
    device = SlcanAdapter(adapter.path, bitrate=500_000)
    network.add_device("can0", device, up=False)
    await configure_interface("can0", restart=0.2, up=True, network=network)
    await adapter.open()
    async with open_raw("can0", network=network, errors=anycan.ErrorClass.ALL) as can:
        adapter.tell(b"sb000256\r")
        await can.receive()
        bench.wait(0.2)
        await adapter.open()
        assert str(await can.receive()) == "20000100#0000000000000000"
        with pytest.raises(OSError, match="it restarts by itself"):
            device.restart()
    network.set_down("can0")
    with pytest.raises(OSError, match="it is down: set it up"):
        device.restart()


async def test_it_is_asked_for_its_status_each_second(bench: Bench, adapter: PlayedAdapter) -> None:
    add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network, errors=anycan.ErrorClass.ALL) as can:
        await hear_marker(can, adapter)
        for answer, report in (
            (b"FA4\r", "2000008C#0030000000000000"),
            (b"F00\r", "20000004#0040000000000000"),
        ):
            bench.wait(1)
            await adapter.hear(b"F\r")
            adapter.tell(answer)
            assert str(await can.receive()) == report
    state = (await get_interface("can0", network=bench.network)).can_statistics
    assert state == anycan.CanStatistics(bus_error=1, error_passive=1)


async def test_one_that_never_answers(bench: Bench, adapter: PlayedAdapter) -> None:
    add(bench, adapter)
    async with open_raw("can0", network=bench.network) as can:
        await can.send(Frame(1))
        bench.wait(0.65)
        await adapter.hear(OPENING + b"t0010\r")
        bench.wait(10)
        await can.send(Frame(2))
        await adapter.hear(3 * OPENING + b"t0020\r")
        assert await hear_marker(can, adapter) == []


async def test_a_flood_of_refusals(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network, errors=anycan.ErrorClass.ALL) as can:
        await can.send(Frame(1))
        adapter.tell(b"\a" * 500)
        reports = await hear_marker(can, adapter)
        assert len(reports) <= 2  # one for what comes in one piece
    assert device.statistics.refused == 500


async def test_frames_that_are_refused(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network, errors=anycan.ErrorClass.ALL) as can:
        await can.send(Frame(1))
        adapter.tell(b"\a")
        assert str(await can.receive()) == "20000004#0002000000000000"
    assert device.statistics.refused == 1


async def test_noise(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network) as can:
        for noise in (bytes(range(14, 256)), b"t12345\r", b"x" * 1000, b"\r"):
            adapter.tell(noise)
            await checkpoint()
        assert await hear_marker(can, adapter) == []
    assert device.statistics.garbage == 2


async def test_time_stamps(bench: Bench, adapter: PlayedAdapter) -> None:
    add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network) as can:
        adapter.tell(b"t0010EA5E\rt00200003\r")
        first, second = await can.receive(), await can.receive()
        # Of one piece, both have the time of its reading at most, which stands still here.
        assert first.timestamp_ns == second.timestamp_ns == bench.clock.stamp_ns()
        bench.wait(0.02)
        adapter.tell(b"t00100008\rt00200014\r")
        third, fourth = await can.receive(), await can.receive()
        assert second.timestamp_ns is not None
        assert third.timestamp_ns is not None
        assert fourth.timestamp_ns is not None
        assert third.timestamp_ns - second.timestamp_ns == pytest.approx(5e6, abs=3e5)
        assert fourth.timestamp_ns - third.timestamp_ns == pytest.approx(12e6, abs=3e5)


async def test_it_goes_with_its_interface(bench: Bench, adapter: PlayedAdapter) -> None:
    device = add(bench, adapter)
    await adapter.open()
    bench.network.remove("can0")
    await adapter.hear(b"\rC\r")
    bench.network.add_device("can5", device)
    await adapter.open()


async def test_error_frames_do_not_go_to_the_bus(bench: Bench, adapter: PlayedAdapter) -> None:
    add(bench, adapter)
    await adapter.open()
    async with open_raw("can0", network=bench.network) as can:
        await can.send(ErrorFrame(anycan.ErrorClass.BUS_OFF))
        await can.send(Frame(2))
        await adapter.hear(b"t0020\r")
    assert bench.network.interfaces()[0].send_dropped == 1


async def test_on_a_clock_that_runs(adapter: PlayedAdapter) -> None:
    """The same on the event loop's timers: the adapter comes back by itself."""
    async with anycan.UserNetwork() as network:
        network.add_device("can0", SlcanAdapter(os.fspath(adapter.path), bitrate=500_000))
        await adapter.open()
        async with anycan.watch_interfaces(network=network) as watch:
            adapter.unplug()
            await wait_for_change(watch, carrier=False)
            adapter.plug()
            await wait_for_change(watch, carrier=True)
        await adapter.open()
        async with open_raw("can0", network=network) as can:
            assert await hear_marker(can, adapter) == []
