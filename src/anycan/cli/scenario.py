"""What the demo runs: a player, a gateway between two interfaces, and handlers on both.

Every frame is counted where it is, by whoever has it, and the counts have to add up.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from anycan import Filter, open_raw
from anycan.cli.common import counted
from anycan.cli.replay import Player

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from anycan import AnyFrame, LogRecord, Network, RawEndpoint

_STALLED: Final = 10.0  # seconds in which nothing moved: what is missing will not come
_POLL: Final = 0.01


@attrs.frozen
class Role:
    """A handler: its name, and the frames that it asks its interface for.

    The filters of the handlers of one interface have no frame in common, so that each frame has
    one handler or none.
    """

    name: str
    filter: Filter


SOURCE_ROLES: Final = (
    Role("chassis", Filter.range(0x000, 0x0FF)),
    Role("powertrain", Filter.range(0x100, 0x1FF)),
    Role("body", Filter.range(0x200, 0x3FF)),
)
FORWARDED: Final = Filter.range(0x100, 0x2FF)
DESTINATION_ROLES: Final = (
    Role("dashboard", Filter.range(0x100, 0x1BF)),
    Role("comfort", Filter.range(0x200, 0x27F)),
)


@attrs.frozen
class Account:
    """What became of the frames that came to one place.

    Attributes:
        place: Where that is, behind the word *frames*.
        frames: How many came.
        verb: What was done to those that were wanted.
        handled: How many that was done to.
        filtered: How many nobody wanted.
        dropped: How many were lost for want of room in a receive buffer.
    """

    place: str
    frames: int
    verb: str
    handled: int
    filtered: int
    dropped: int

    @property
    def missing(self) -> int:
        """How many frames nobody knows of; below 0: how many too many were seen."""
        return self.frames - self.handled - self.filtered - self.dropped

    def __str__(self) -> str:
        return (
            f"{counted(self.frames, 'frame')} {self.place} = {self.handled:,} {self.verb}"
            f" + {self.filtered:,} filtered + {self.dropped:,} dropped"
            + (f" + {self.missing:,} MISSING" if self.missing else "")
        )


@attrs.define(kw_only=True)
class Scenario:
    """One run of the demo. Made by :func:`open_scenario`.

    Attributes:
        source: Name of the interface that traffic is replayed onto.
        destination: Name of the one that the gateway forwards to.
        records: The traffic.
        speed: How many times faster than recorded; None: as fast as it goes.
        on_frame: Sees each frame that a handler handles, with the handler's name.
        handled: How many frames each handler has handled.
    """

    source: str
    destination: str
    records: Sequence[LogRecord]
    speed: float | None
    on_frame: Callable[[str, AnyFrame], object]
    handled: dict[str, int] = attrs.field(factory=dict, init=False)
    _player: RawEndpoint
    _gateway_in: RawEndpoint
    _gateway_out: RawEndpoint
    _source_handlers: Sequence[RawEndpoint]
    _destination_handlers: Sequence[RawEndpoint]
    _gateway_filtered: int = attrs.field(default=0, init=False)
    _destination_filtered: int = attrs.field(default=0, init=False)

    @property
    def replayed(self) -> int:
        """How many frames have been replayed so far."""
        return self._player.statistics().sent

    async def run(self) -> list[Account]:
        """Replay the traffic, wait until the last frame is accounted for, and give the accounts."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._forward)
            for roles, endpoints in (
                (SOURCE_ROLES, self._source_handlers),
                (DESTINATION_ROLES, self._destination_handlers),
            ):
                for role, endpoint in zip(roles, endpoints, strict=True):
                    self.handled[role.name] = 0
                    group.start_soon(self._handle, role.name, endpoint)
            await Player(self._target, self.speed).play(self.records)
            await self._settle()
            accounts = self.accounts()
            group.cancel_scope.cancel()
        return accounts

    async def _target(self, _interface: str) -> list[RawEndpoint]:
        return [self._player]

    async def _forward(self) -> None:
        """Be the gateway: send on what the filter takes."""
        while True:
            frames = await self._gateway_in.receive_many()
            wanted = [frame for frame in frames if FORWARDED.matches(frame)]
            self._gateway_filtered += len(frames) - len(wanted)
            self._destination_filtered += _unwanted(wanted, DESTINATION_ROLES)
            await self._gateway_out.send_many(wanted)

    async def _handle(self, name: str, can: RawEndpoint) -> None:
        """Be a handler: consume what the socket's filter lets through."""
        while True:
            for frame in await can.receive_many():
                self.handled[name] += 1
                self.on_frame(name, frame)

    def accounts(self) -> list[Account]:
        """Give what became of the frames so far, place by place."""
        replayed = self.replayed
        forwarded = self._gateway_out.statistics().sent
        return [
            Account(
                f"replayed onto {self.source}",
                replayed,
                "handled",
                sum(self.handled[role.name] for role in SOURCE_ROLES),
                _unwanted([record.frame for record in self.records[:replayed]], SOURCE_ROLES),
                _dropped(self._source_handlers),
            ),
            Account(
                "at the gateway",
                replayed,
                "forwarded",
                forwarded,
                self._gateway_filtered,
                _dropped([self._gateway_in]),
            ),
            Account(
                f"forwarded to {self.destination}",
                forwarded,
                "handled",
                sum(self.handled[role.name] for role in DESTINATION_ROLES),
                self._destination_filtered,
                _dropped(self._destination_handlers),
            ),
        ]

    async def _settle(self) -> None:
        """Wait until everything adds up, or nothing moves any more."""
        accounts = self.accounts()
        moved = anyio.current_time()
        while any(account.missing > 0 for account in accounts):
            await anyio.sleep(_POLL)
            before, accounts = accounts, self.accounts()
            now = anyio.current_time()
            if accounts != before:
                moved = now
            elif now - moved > _STALLED:
                break


@asynccontextmanager
async def open_scenario(
    network: Network,
    source: str,
    destination: str,
    records: Sequence[LogRecord],
    speed: float | None,
    on_frame: Callable[[str, AnyFrame], object],
) -> AsyncIterator[Scenario]:
    """Open the endpoints of a scenario; see :class:`Scenario` for the arguments."""
    async with AsyncExitStack() as stack:

        async def opened(interface: str, filters: Filter | None) -> RawEndpoint:
            return await stack.enter_async_context(
                open_raw(interface, filters=filters, network=network)
            )

        yield Scenario(
            source=source,
            destination=destination,
            records=records,
            speed=speed,
            on_frame=on_frame,
            player=await opened(source, Filter.none()),
            gateway_in=await opened(source, None),
            gateway_out=await opened(destination, Filter.none()),
            source_handlers=[await opened(source, role.filter) for role in SOURCE_ROLES],
            destination_handlers=[
                await opened(destination, role.filter) for role in DESTINATION_ROLES
            ],
        )


def _unwanted(frames: Sequence[AnyFrame], roles: Sequence[Role]) -> int:
    """Count the frames that no handler's filter takes."""
    return sum(not any(role.filter.matches(frame) for role in roles) for frame in frames)


def _dropped(endpoints: Sequence[RawEndpoint]) -> int:
    return sum(endpoint.statistics().dropped for endpoint in endpoints)
