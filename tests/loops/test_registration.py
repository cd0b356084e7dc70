"""Callbacks that outlive a descriptor's errors, on real descriptors."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from anycan.loops.registration import Registration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOPS: list[Any] = [pytest.param(asyncio.new_event_loop, id="asyncio")]
try:
    import uvloop
except ImportError:
    pass
else:
    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))

pytestmark = [
    pytest.mark.parametrize("make_loop", LOOPS),
    pytest.mark.skipif(sys.platform != "linux", reason="how a refused datagram polls is Linux's"),
]


class Wire:
    """A UDP socket whose peer is not there: what it sends makes poll report an error."""

    def __init__(self) -> None:
        self.own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.own.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            self._peer = other.getsockname()
        self.own.connect(self._peer)
        self.own.setblocking(False)

    def fail(self) -> None:
        self.own.send(b"nobody listens")

    def arrive(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(self._peer)
            other.sendto(b"hello", self.own.getsockname())


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    with wire.own:
        yield wire


class Case:
    """A wire that is registered, and what its callbacks saw."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire) -> None:
        self.wire = wire
        self.seen: list[object] = []
        self.registration = Registration(loop, wire.own.fileno(), self.on_readable)
        self._changed = asyncio.Event()

    def on_readable(self) -> None:
        try:
            self.seen.append(self.wire.own.recv(100))
        except OSError as error:
            self.seen.append(type(error))
            self.registration.renew()
        self._changed.set()

    def on_writable(self) -> None:
        self.seen.append("room")
        self.registration.stop_writing()
        self._changed.set()

    async def sees(self, *expected: object) -> None:
        async with asyncio.timeout(10):
            while len(self.seen) < len(expected):
                self._changed.clear()
                await self._changed.wait()
        assert self.seen == list(expected)
        self.seen.clear()


def run(make_loop: Callable[[], asyncio.AbstractEventLoop], wire: Wire, test: Any) -> None:
    async def main() -> None:
        case = Case(asyncio.get_running_loop(), wire)
        try:
            await test(case)
        finally:
            case.registration.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


def test_reading_goes_on_after_an_error(make_loop: Any, wire: Wire) -> None:
    async def test(case: Case) -> None:
        case.registration.start_reading()
        for _ in range(3):
            wire.fail()
            await case.sees(ConnectionRefusedError)
            wire.arrive()
            await case.sees(b"hello")

    run(make_loop, wire, test)


def test_an_error_that_another_call_took(make_loop: Any, wire: Wire) -> None:
    async def test(case: Case) -> None:
        case.registration.start_reading()
        wire.fail()
        with pytest.raises(ConnectionRefusedError):
            wire.own.send(b"the pending error meets me")
        case.registration.renew()
        wire.arrive()
        await case.sees(b"hello")

    run(make_loop, wire, test)


def test_both_are_on_when_an_error_comes(make_loop: Any, wire: Wire) -> None:
    async def test(case: Case) -> None:
        rooms = 0

        def on_writable() -> None:
            nonlocal rooms
            rooms += 1

        case.registration.start_reading()
        case.registration.start_writing(on_writable)
        wire.fail()
        await case.sees(ConnectionRefusedError)
        before = rooms
        wire.arrive()
        await case.sees(b"hello")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert rooms > before

    run(make_loop, wire, test)


def test_changes_while_a_renewal_is_pending(make_loop: Any, wire: Wire) -> None:
    async def test(case: Case) -> None:
        registration = case.registration
        registration.start_reading()
        registration.renew()
        registration.renew()
        registration.stop_reading()
        registration.start_writing(case.on_writable)
        registration.stop_writing()
        registration.start_writing(case.on_writable)
        wire.arrive()
        await case.sees("room")
        registration.renew()
        registration.start_reading()
        await case.sees(b"hello")

    run(make_loop, wire, test)


def test_closed_while_a_renewal_is_pending(make_loop: Any, wire: Wire) -> None:
    async def test(case: Case) -> None:
        case.registration.start_reading()
        case.registration.start_writing(case.on_writable)
        case.registration.renew()
        case.registration.close()
        wire.arrive()
        for _ in range(3):
            await asyncio.sleep(0)
        assert case.seen == []

    run(make_loop, wire, test)


class RestingCase(Case):
    """A case whose reading rests for longer than the test takes, unless it is behind."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire) -> None:
        super().__init__(loop, wire)
        self.is_behind = False
        self.registration = Registration(
            loop, wire.own.fileno(), self.on_readable, 60.0, lambda: self.is_behind
        )


def rest(make_loop: Callable[[], asyncio.AbstractEventLoop], wire: Wire, test: Any) -> None:
    async def main() -> None:
        case = RestingCase(asyncio.get_running_loop(), wire)
        try:
            case.registration.start_reading()
            wire.arrive()
            await case.sees(b"hello")
            await test(case)
        finally:
            case.registration.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


async def some_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_after_a_read_it_rests(make_loop: Any, wire: Wire) -> None:
    async def test(case: RestingCase) -> None:
        wire.arrive()
        await some_turns()
        assert case.seen == []
        case.registration.stop_reading()
        case.registration.start_reading()  # which ends the rest
        await case.sees(b"hello")

    rest(make_loop, wire, test)


def test_one_that_is_behind_does_not_rest(make_loop: Any, wire: Wire) -> None:
    async def test(case: RestingCase) -> None:
        case.registration.stop_reading()
        case.is_behind = True
        case.registration.start_reading()
        wire.arrive()
        await case.sees(b"hello")
        wire.arrive()
        await case.sees(b"hello")

    rest(make_loop, wire, test)


def test_to_register_anew_does_not_end_a_rest(make_loop: Any, wire: Wire) -> None:
    async def test(case: RestingCase) -> None:
        case.registration.renew()
        wire.arrive()
        await some_turns()
        assert case.seen == []

    rest(make_loop, wire, test)


def test_one_that_is_closed_while_it_rests_reads_no_more(make_loop: Any, wire: Wire) -> None:
    async def test(case: RestingCase) -> None:
        case.registration.close()
        wire.arrive()
        await some_turns()
        assert case.seen == []
        assert not case.registration.reading

    rest(make_loop, wire, test)
