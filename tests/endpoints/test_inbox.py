"""An inbox that is lent: another one reads the socket, and gives it back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan.endpoints.inbox import INBOX_CAPACITY, AsyncioInbox, Inbox, open_inbox
from anycan.exceptions import CanOSError, InterfaceDownError, InterfaceRemovedError
from anycan.frame import AnyFrame, Frame
from anycan.network.user import UserNetwork
from anycan.sockets.raw import RECEIVE_BATCH, RawSocket
from anycan.sockets.raw_options import RawOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

LIMIT = 5.0  # seconds: that something has gone wrong


class Case:
    """An inbox with its socket, and whoever sends to it."""

    def __init__(self, network: UserNetwork) -> None:
        self.network = network
        self.socket = RawSocket(network, "vcan0", RawOptions())
        self.sender = RawSocket(network, "vcan0", RawOptions())
        self.inbox: Inbox[AnyFrame] = open_inbox(self.socket)
        self.closings = 0
        self.told: list[CanOSError] = []

    def on_close(self) -> None:
        self.closings += 1

    def lend(self) -> list[AnyFrame]:
        return self.inbox.lend(self.on_close, self.told.append)

    def lent(self) -> bool:
        return self.inbox.lent

    def busy(self) -> bool:
        return self.inbox.busy

    async def next(self) -> AnyFrame:
        with anyio.fail_after(LIMIT):
            while not self.inbox.items:
                await self.inbox.wait()
        return self.inbox.items.popleft()


@contextmanager
def open_case() -> Iterator[Case]:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        case = Case(network)
        try:
            yield case
        finally:
            case.inbox.close()
            case.socket.close()
            case.sender.close()


async def turns() -> None:
    for _ in range(5):
        await checkpoint()


async def test_what_was_not_taken_goes_with_it() -> None:
    with open_case() as case:
        frames = [Frame(number) for number in range(4)]
        case.sender.send(frames)
        assert await case.next() == frames[0]
        assert not case.lent()
        items = case.inbox.items
        assert case.lend() == frames[1:]
        assert case.lent()
        assert case.inbox.items is items  # whoever holds it need not ask for it again
        assert len(items) == 0


async def test_lent_it_reads_nothing() -> None:
    with open_case() as case:
        assert case.lend() == []
        case.sender.send([Frame(1)])
        await turns()
        assert len(case.inbox.items) == 0
        with pytest.raises(anyio.BusyResourceError):
            case.inbox.read()
        with pytest.raises(anyio.BusyResourceError):
            await case.inbox.wait()
        assert case.socket.receive() == [Frame(1)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # elsewhere each wait registers anew
async def test_whoever_has_it_may_read_by_its_registration() -> None:
    with open_case() as case:
        read: list[AnyFrame] = []
        assert isinstance(case.inbox, AsyncioInbox)
        case.lend()
        registration = case.inbox.registration
        registration.redirect(lambda: read.extend(case.socket.receive()))
        registration.start_reading()
        with pytest.raises(anyio.BusyResourceError):
            await case.inbox.wait()  # though the loop reads
        case.sender.send([Frame(1)])
        await turns()
        assert read == [Frame(1)]
        registration.stop_reading()
        case.inbox.take_back([])
        case.sender.send([Frame(2)])
        assert await case.next() == Frame(2)
        assert read == [Frame(1)]


async def test_taken_back_it_reads_on() -> None:
    with open_case() as case:
        for number in range(3):
            case.lend()
            case.sender.send([Frame(number)])
            await turns()
            case.inbox.take_back([])
            assert not case.lent()
            assert await case.next() == Frame(number)
            case.sender.send([Frame(0x7FF)])
            assert await case.next() == Frame(0x7FF)


async def test_what_was_not_handed_on_comes_first() -> None:
    with open_case() as case:
        frames = [Frame(number) for number in range(8)]
        case.sender.send(frames[:4])
        assert await case.next() == frames[0]
        borrowed = case.lend()
        case.inbox.items += frames[3:4]  # of which there are none, but it says who comes first
        case.inbox.take_back(iter(borrowed[:2]))
        assert list(case.inbox.items) == frames[1:4]
        case.sender.send(frames[4:])
        assert [await case.next() for _ in range(7)] == frames[1:]
        assert case.inbox.discarded == 0


async def test_what_was_given_back_can_be_lent_again() -> None:
    with open_case() as case:
        frames = [Frame(number) for number in range(4)]
        case.sender.send(frames)
        await case.next()
        for left in (3, 2, 1):
            borrowed = case.lend()
            assert borrowed == frames[-left:]
            case.inbox.take_back(borrowed[1:])
        assert case.lend() == []


async def test_it_is_lent_to_one() -> None:
    with open_case() as case:
        case.lend()
        with pytest.raises(anyio.BusyResourceError):
            case.lend()
        assert case.lent()
        case.inbox.take_back([])
        case.lend()


async def test_it_is_not_lent_while_a_task_waits() -> None:
    with open_case() as case:
        received: list[AnyFrame] = []

        async def receive() -> None:
            received.append(await case.next())

        async with anyio.create_task_group() as tasks:
            assert not case.busy()
            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            assert case.busy()
            with pytest.raises(anyio.BusyResourceError):
                case.lend()
            assert not case.lent()
            case.sender.send([Frame(1)])  # and the task waits on, undisturbed
        assert received == [Frame(1)]
        assert not case.busy()
        case.lend()


async def test_closed_it_is_not_lent() -> None:
    with open_case() as case:
        case.inbox.close()
        with pytest.raises(anyio.ClosedResourceError):
            case.lend()
        assert not case.lent()


async def test_whoever_has_it_is_told_that_it_is_closed() -> None:
    with open_case() as case:
        case.lend()
        assert case.closings == 0
        case.inbox.close()
        assert case.closings == 1
        with pytest.raises(anyio.ClosedResourceError):
            case.inbox.read()


async def test_what_is_given_back_as_it_is_closed_is_counted() -> None:
    with open_case() as case:
        case.sender.send([Frame(number) for number in range(4)])
        await case.next()
        borrowed: list[AnyFrame] = []
        borrowed += case.inbox.lend(lambda: case.inbox.take_back(borrowed[1:]), case.told.append)
        assert len(borrowed) == 3
        case.inbox.close()
        assert case.inbox.discarded == 2
        assert len(case.inbox.items) == 0


async def test_what_is_not_given_back_is_not_counted() -> None:
    with open_case() as case:
        case.sender.send([Frame(number) for number in range(4)])
        await case.next()
        case.lend()
        case.inbox.close()
        assert case.inbox.discarded == 0


async def test_once_it_is_taken_back_nobody_is_told() -> None:
    with open_case() as case:
        case.lend()
        case.inbox.take_back([])
        case.inbox.close()
        assert case.closings == 0


async def test_taken_back_when_it_is_closed_it_stays_closed() -> None:
    with open_case() as case:
        case.inbox.lend(lambda: case.inbox.take_back([]), case.told.append)
        case.inbox.close()
        case.sender.send([Frame(1)])
        await turns()
        assert len(case.inbox.items) == 0
        with pytest.raises(anyio.ClosedResourceError):
            case.inbox.read()


async def test_what_a_send_call_was_told_goes_to_whoever_has_it() -> None:
    with open_case() as case:
        case.lend()
        for _ in range(2):
            case.network.set_down("vcan0")
            with pytest.raises(InterfaceDownError):
                case.socket.send([Frame(1)])
            case.network.set_up("vcan0")
            assert case.socket.send([Frame(1)]) == 1
        assert [type(error) for error in case.told] == [InterfaceDownError] * 2
        assert case.inbox.errors == 0  # it is for whoever has it to count them
        case.inbox.take_back([])
        case.network.set_down("vcan0")
        with pytest.raises(InterfaceDownError):
            case.socket.send([Frame(1)])
        assert len(case.told) == 2
        with pytest.raises(InterfaceDownError):
            await case.next()
        assert case.inbox.errors == 1


async def test_a_removal_that_was_noted_is_told_for_ever() -> None:
    with open_case() as case:
        case.lend()
        case.network.remove("vcan0")
        with pytest.raises(InterfaceRemovedError):
            case.socket.receive()
        case.inbox.note_removal()
        case.inbox.take_back([])
        for _ in range(2):
            with pytest.raises(InterfaceRemovedError):
                await case.next()
        with pytest.raises(InterfaceRemovedError):
            case.inbox.read()


async def test_of_an_interface_that_is_gone_it_is_not_lent() -> None:
    with open_case() as case:
        case.network.remove("vcan0")
        await turns()  # in which asyncio's inbox reads the error
        with pytest.raises(InterfaceRemovedError):
            await case.next()
        for _ in range(2):
            with pytest.raises(InterfaceRemovedError):
                case.lend()
            assert not case.lent()
        with pytest.raises(InterfaceRemovedError):
            await case.next()


async def test_of_a_removal_that_nobody_had_been_told_whoever_borrows_is() -> None:
    with open_case() as case:
        case.network.remove("vcan0")
        with pytest.raises(InterfaceRemovedError):
            case.inbox.read()  # the socket tells no second time
        for _ in range(2):
            with pytest.raises(InterfaceRemovedError):
                case.lend()
        with pytest.raises(InterfaceRemovedError):
            await case.next()


def go_down_untold(case: Case) -> None:
    """Have the inbox know of an interface that went down and is back, and nobody else."""
    case.network.set_down("vcan0")
    with pytest.raises(InterfaceDownError):
        case.socket.send([Frame(1)])
    case.network.set_up("vcan0")
    assert case.inbox.errors == 1


async def test_a_passing_error_that_nobody_had_been_told_is_for_whoever_borrows() -> None:
    with open_case() as case:
        go_down_untold(case)
        case.lend()
        assert isinstance(case.inbox.take_error(), InterfaceDownError)
        assert case.inbox.take_error() is None
        assert case.told == []  # it is asked for, and is not told unasked
        case.inbox.take_back([])
        case.sender.send([Frame(2)])
        assert await case.next() == Frame(2)
        assert case.inbox.errors == 1


async def test_where_there_was_no_error_there_is_none_to_take() -> None:
    with open_case() as case:
        case.lend()
        assert case.inbox.take_error() is None


async def test_an_error_that_was_not_taken_is_told_after_all() -> None:
    with open_case() as case:
        go_down_untold(case)
        case.lend()
        case.inbox.take_back([])
        case.sender.send([Frame(2)])  # something to wake up for, were it not told
        with pytest.raises(InterfaceDownError):
            await case.next()
        assert await case.next() == Frame(2)


@pytest.mark.parametrize("before", [99, 100, 127, 128, 256])
async def test_an_error_is_told_before_what_came_after_it(before: int) -> None:
    with open_case() as case:
        frames = [Frame(1)] * before
        while frames:
            frames = frames[case.sender.send(frames) :]
        await turns()  # asyncio's loop reads them
        case.network.set_down("vcan0")
        case.network.set_up("vcan0")
        for _ in range(9):
            case.sender.send([Frame(2)])
        await turns()
        log: list[str] = []
        while len(log) < before + 10:
            try:
                log.append(str((await case.next()).id))
            except InterfaceDownError:
                log.append("down")
        assert log[before + 1 :] == ["2"] * 9
        assert log[: before + 1].count("1") == before


async def test_what_is_given_back_to_a_full_inbox_is_not_added_to() -> None:
    with open_case() as case:
        for _ in range(12):
            case.sender.send([Frame(1)] * RECEIVE_BATCH)
            await turns()
        if not isinstance(case.inbox, AsyncioInbox):
            pytest.skip("elsewhere an inbox reads when it is asked, and is never full")
        for _ in range(4):
            items = case.lend()
            case.inbox.take_back(items)
            await turns()
        assert INBOX_CAPACITY <= len(case.inbox.items) < INBOX_CAPACITY + RECEIVE_BATCH
        for _ in range(12 * RECEIVE_BATCH):
            await case.next()
