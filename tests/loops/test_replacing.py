"""Other files under the numbers of descriptors that a loop polls, and others have open as well."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from anycan.loops import replacing
from anycan.loops.registration import Registration
from anycan.loops.replacing import forget, replace_file, settle, waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOPS: list[Any] = [pytest.param(asyncio.new_event_loop, id="asyncio")]
try:
    import uvloop
except ImportError:
    pass
else:
    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))


class Polled:
    """One end of a connection, which somebody else has open as well: a server, or a child."""

    def __init__(self) -> None:
        self.own, self.peer = socket.socketpair()
        self.elsewhere = self.own.dup()
        self.fd = self.own.fileno()
        self.called = 0
        self.written = 0

    def hang_up(self) -> None:
        self.own.shutdown(socket.SHUT_RDWR)

    def readable(self) -> None:
        self.called += 1

    def writable(self) -> None:
        self.written += 1

    def close(self) -> None:
        forget(self.fd)
        for one in (self.own, self.peer, self.elsewhere):
            one.close()


@pytest.fixture
def polled() -> Iterator[Polled]:
    polled = Polled()
    yield polled
    polled.close()


def run(make_loop: Callable[[], asyncio.AbstractEventLoop], main: Callable[[Any], Any]) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main(runner.get_loop()))


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("make_loop", LOOPS)
class TestWhereALoopPolls:
    def test_it_is_polled_no_more_though_others_have_it_open(
        self, polled: Polled, make_loop: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        async def main(loop: asyncio.AbstractEventLoop) -> None:
            registration = Registration(loop, polled.fd, polled.readable)
            registration.start_reading()
            polled.hang_up()
            await turns()
            assert polled.called > 1  # it is polled readable all the time
            replace_file(polled.fd, None)
            assert waits(polled.fd)
            registration.renew()
            assert not waits(polled.fd)
            await turns()
            before = polled.called
            await turns()
            assert polled.called == before
            registration.close()
            await turns()
            assert polled.called == before

        run(make_loop, main)

    @pytest.mark.parametrize("writing", [False, True])
    def test_another_one_is_polled(
        self,
        polled: Polled,
        make_loop: Callable[[], asyncio.AbstractEventLoop],
        writing: bool,
    ) -> None:
        async def main(loop: asyncio.AbstractEventLoop) -> None:
            registration = Registration(loop, polled.fd, polled.readable)
            if writing:
                registration.start_writing(polled.writable)
            polled.hang_up()
            await turns()
            fresh, peer = socket.socketpair()
            with peer:
                replace_file(polled.fd, None)
                replace_file(polled.fd, fresh)
                registration.start_reading()
                await turns()
                assert (polled.called, fresh.fileno()) == (0, -1)
                peer.send(b"x")
                await turns()
                assert polled.called > 0
                registration.close()

        run(make_loop, main)

    def test_without_a_descriptor_it_is_not_polled_until_there_is_one(
        self,
        polled: Polled,
        make_loop: Callable[[], asyncio.AbstractEventLoop],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(24, "Too many open files")

        async def main(loop: asyncio.AbstractEventLoop) -> None:
            registration = Registration(loop, polled.fd, polled.readable)
            registration.start_reading()
            polled.hang_up()
            await turns()
            replace_file(polled.fd, None)
            with monkeypatch.context() as patch:
                patch.setattr(replacing.socket, "socket", refuse)  # type: ignore[attr-defined]  # as the module has it
                registration.renew()
                await turns()
                before = polled.called
                await turns()
                assert polled.called == before
            assert waits(polled.fd)
            registration.renew()
            await turns()
            assert (polled.called, waits(polled.fd)) == (before, False)
            registration.close()

        run(make_loop, main)


def test_where_no_loop_polls_it_is_replaced_at_once(polled: Polled) -> None:
    polled.hang_up()
    replace_file(polled.fd, None)
    assert not waits(polled.fd)
    polled.own.setblocking(False)
    with pytest.raises(OSError):  # noqa: PT011 - of an unconnected socket, whichever
        polled.own.send(b"x")
    assert settle(polled.fd)


def test_a_file_that_is_not_wanted_any_more_is_closed(polled: Polled) -> None:
    fresh = socket.socket()

    async def main() -> None:
        replace_file(polled.fd, fresh)

    asyncio.run(main())
    assert fresh.fileno() != -1
    forget(polled.fd)
    assert fresh.fileno() == -1
