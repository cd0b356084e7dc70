"""Random programs of subscriptions, frames and faults, beside a model that is a list of filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

import anycan
from anycan import Filter, Frame, HandlerSubscription, RemoteFrame, Router, UserNetwork, byte

if TYPE_CHECKING:
    from anycan import AnyFrame, RoutingFault, Subscription

LIMIT: Final = 20.0  # seconds: that something has gone wrong
MARKER: Final = Frame(0x7FF)

FRAMES: Final[list[AnyFrame]] = [
    Frame(0x100, b"\x00"),
    Frame(0x100, b"\x01"),
    Frame(0x101, b"\x00"),
    Frame(0x102, b"\x01"),
    Frame(0x100, b"\x01", extended=True),
    Frame(0x18DA00F1, b"\x00\x01"),
    RemoteFrame(0x100),
]
FILTERS: Final = [
    Filter.all(),
    Filter.none(),
    Filter.id(0x100),
    Filter.id(0x101) | Filter.id(0x18DA00F1),
    Filter.range(0x100, 0x101),
    Filter.mask(0x100, 0x7FC),
    Filter.standard() - Filter.id(0x100),
    Filter.id(0x100) & (byte(0) == 1),
    byte(0) == 0,
    Filter.where(lambda frame: frame.can_id & 1 == 0),
    Filter.remote(0x100),
    Filter.extended(),
]
KINDS: Final = ["plain", "coroutine", "batch", "protocol", "stream"]


@attrs.frozen
class Subscribe:
    """Have a new subscription, which raises at each frame whose data begin with 1, or does not."""

    kind: str
    wanted: int
    fails: bool


@attrs.frozen
class Unsubscribe:
    """End one of those there are."""

    which: int


@attrs.frozen
class Send:
    """Send frames, and wait until they have got where they are to."""

    frames: tuple[int, ...]


Step = Subscribe | Unsubscribe | Send

sends = st.builds(
    Send, st.lists(st.integers(0, len(FRAMES) - 1), min_size=1, max_size=6).map(tuple)
)
steps = st.one_of(
    st.builds(Subscribe, st.sampled_from(KINDS), st.integers(0, len(FILTERS) - 1), st.booleans()),
    st.builds(Unsubscribe, st.integers(0, 9)),
    sends,
    sends,
)


@attrs.frozen
class Program:
    """What is to be done: before the router runs, while it does, and at the end."""

    before: list[Step]
    steps: list[Step]
    last: Send
    drain: bool


programs = st.builds(
    Program,
    st.lists(steps.filter(lambda step: not isinstance(step, Send)), max_size=4),
    st.lists(steps, min_size=1, max_size=16),
    sends,
    st.booleans(),
)


class Taker:
    """A subscription, and what the model says of it."""

    def __init__(self, router: Router, step: Subscribe) -> None:
        self.wanted = FILTERS[step.wanted]
        self.fails = step.fails
        self.got: list[AnyFrame] = []
        self.expected: list[AnyFrame] = []
        self.raised = 0
        self.subscription = self._subscribe(router, step.kind)
        self.open = True

    def _subscribe(self, router: Router, kind: str) -> Subscription:
        handlers: dict[str, Any] = {"plain": self.take, "coroutine": self.wait, "batch": self.each}
        if kind == "protocol":
            return router.attach(self.wanted, self, allow_empty=True)
        if kind == "stream":
            stream = router.subscribe(self.wanted, allow_empty=True)
            stream.enter()
            return stream
        return router.add(self.wanted, handlers[kind], batch=kind == "batch", allow_empty=True)

    def take(self, frame: AnyFrame) -> None:
        self.got.append(frame)
        if self.fails and getattr(frame, "data", b"").startswith(b"\x01"):
            self.raised += 1
            raise ValueError(frame)

    frame_received = take

    async def wait(self, frame: AnyFrame) -> None:
        await checkpoint()
        self.take(frame)

    def each(self, frames: list[AnyFrame]) -> None:
        self.got += frames
        if self.fails:
            self.raised += 1
            raise ValueError(frames)

    def read(self) -> None:
        """Take what waits, if it is a stream."""
        if isinstance(self.subscription, anycan.FrameSubscription):
            while self.subscription.statistics().waiting:
                self.got.append(self.subscription.receive_nowait())

    @property
    def settled(self) -> bool:
        """Whether it has been called with all that waited, and does nothing."""
        subscription = self.subscription
        return not isinstance(subscription, HandlerSubscription) or (
            not subscription.statistics().waiting and subscription._since is None
        )

    def check(self) -> None:
        """Compare it with the model."""
        assert self.got == self.expected
        statistics = self.subscription.statistics()
        assert statistics.delivered == len(self.expected)
        assert statistics.dropped == statistics.waiting == 0
        assert statistics.faults == self.raised


class Machine:
    """A router and a model of it, which do the same."""

    def __init__(self, other: anycan.RawEndpoint) -> None:
        self.faults: list[RoutingFault] = []
        self.router = Router(on_fault=self.faults.append)
        self.other = other
        self.takers: list[Taker] = []

    async def do(self, step: Step) -> None:
        match step:
            case Subscribe():
                self.takers.append(Taker(self.router, step))
            case Unsubscribe():
                open_takers = [taker for taker in self.takers if taker.open]
                if open_takers:
                    taker = open_takers[step.which % len(open_takers)]
                    taker.subscription.close()
                    taker.open = False
            case Send():
                frames = self.expect(step)
                async with self.router.subscribe(Filter.id(MARKER.id)) as marker:
                    await self.other.send_many([*frames, MARKER])
                    await marker.receive()
                self.expect_marker()
                while not all(taker.settled for taker in self.takers):
                    await checkpoint()
        for taker in self.takers:
            taker.read()
            taker.check()
        assert list(self.router.subscriptions) == [
            taker.subscription for taker in self.takers if taker.open
        ]
        assert len(self.faults) == sum(taker.raised for taker in self.takers)

    def expect(self, step: Send) -> list[AnyFrame]:
        frames = [FRAMES[number] for number in step.frames]
        for taker in self.takers:
            if taker.open:
                taker.expected += filter(taker.wanted.matches, frames)
        return frames

    def expect_marker(self) -> None:
        for taker in self.takers:
            if taker.open and taker.wanted.matches(MARKER):
                taker.expected.append(MARKER)

    async def end(self, can: anycan.RawEndpoint, frames: list[AnyFrame]) -> None:
        """Compare, after a stop in the middle of frames."""
        taken: set[int] = set()
        for taker in self.takers:
            taker.read()
            statistics = taker.subscription.statistics()
            assert taker.got == taker.expected[: len(taker.got)]
            assert statistics.delivered == len(taker.got)
            assert statistics.waiting == 0
            assert statistics.faults == taker.raised
            if taker.open and taker.wanted == Filter.all():
                taken.add(len(taker.expected) - statistics.delivered - statistics.dropped)
        # What the router did not read is the endpoint's: as much for each who takes all.
        assert len(taken) <= 1
        for left in taken:
            rest = [can.receive_nowait() for _ in range(left)]
            assert rest == frames[len(frames) - left :]
        assert len(self.faults) == sum(taker.raised for taker in self.takers)


async def run(program: Program) -> None:
    with anyio.fail_after(LIMIT):
        async with UserNetwork() as network:
            network.add_vcan("vcan0")
            async with (
                anycan.open_raw("vcan0", network=network) as can,
                anycan.open_raw("vcan0", network=network) as other,
            ):
                machine = Machine(other)
                for step in program.before:
                    await machine.do(step)
                async with anyio.create_task_group() as tasks:
                    await tasks.start(machine.router.run, can)
                    for step in program.steps:
                        await machine.do(step)
                    frames = machine.expect(program.last)
                    for frame in frames:
                        other.send_nowait(frame)
                    for _ in range(len(frames) // 2):
                        await checkpoint()
                    machine.router.stop(drain=program.drain)
                await machine.end(can, frames)
                for taker in machine.takers:
                    taker.subscription.close()
                assert machine.router.subscriptions == ()


@pytest.mark.parametrize(
    ("backend", "examples"),
    [
        pytest.param("asyncio", 100, id="asyncio"),
        pytest.param("trio", 25, id="trio"),
    ],
)
def test_it_does_what_a_list_of_filters_would(backend: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(program=programs)
    def check(program: Program) -> None:
        anyio.run(run, program, backend=backend)

    check()
