"""``anycan demo``: everything at once, without hardware or rights."""

from __future__ import annotations

import errno
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final, Literal

import anyio
from cyclopts import Parameter, validators

from anycan import (
    CanOSError,
    ErrorFrame,
    ParseError,
    UserNetwork,
    XlFrame,
    kernel,
)
from anycan.cli import vehicle
from anycan.cli.common import POSITIVE, UsageError, counted, emit, say, summary_if_interrupted
from anycan.cli.live import LiveView
from anycan.cli.logfile import STANDARD_INPUT, GarbledLines, check_log_name, open_log
from anycan.cli.scenario import open_scenario

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import AnyFrame, LogRecord, Network

_INTERFACES: Final = ("demo0", "demo1")
_LONGEST: Final = 10.0  # seconds that a replay lasts when nobody says how fast it is to be
_SECONDS: Final = validators.Number(lte=600)  # of driving: 400,000 frames, made before it begins


async def demo(
    *,
    log: Annotated[
        str | None,
        Parameter(name=["--log", "-l"], allow_leading_hyphen=True, validator=check_log_name),
    ] = None,
    network: Literal["user", "kernel"] = "user",
    seconds: Annotated[float | None, Parameter(validator=(*POSITIVE, _SECONDS))] = None,
    speed: Annotated[float | None, Parameter(name=["--speed", "-s"], validator=POSITIVE)] = None,
    fast: Annotated[bool, Parameter(name=["--fast", "-t"])] = False,
    skip_errors: bool = False,
) -> int:
    """Replay a vehicle's traffic through a gateway, with handlers on both sides.

    Traffic goes onto the interface *demo0*; a gateway forwards what its filter takes to *demo1*;
    protocol handlers consume both. At the end every frame is accounted for: replayed = handled +
    filtered + dropped. When that does not add up, the exit status is 1.

    Args:
        log: A candump log to replay, instead of a vehicle that is not there; *-* for standard
            input.
        network: *user*: a network in this program, without any right; *kernel*: two vcan
            interfaces, made for it and removed again, which needs root.
        seconds: How long the vehicle drives, up to 600; without it 10.
        speed: How many times faster than recorded; without it 1, or so much that it takes no more
            than 10 seconds.
        fast: Replay as fast as it goes.
        skip_errors: Leave garbled lines of the log out.
    """
    if fast and speed is not None:
        raise UsageError("--fast leaves nothing for --speed to say: give one of them")
    if log is not None and seconds is not None:
        raise UsageError("--seconds is how long the vehicle drives: a log has its own length")
    records = vehicle.drive(seconds or 10.0) if log is None else await _load(log, skip_errors)
    factor = None if fast else speed or _fitting_speed(records)
    name = {None: "a synthetic vehicle", STANDARD_INPUT: "standard input"}.get(log, log)
    view = LiveView(len(records), vehicle.describe if log is None else _nothing)
    async with (
        _user_network() if network == "user" else _kernel_network() as net,
        open_scenario(net, *_INTERFACES, records, factor, view.note) as scenario,
    ):
        emit(f"replaying {counted(len(records), 'frame')} of {name}, {_pace(factor)}\n")
        with summary_if_interrupted(
            lambda: f"interrupted after {counted(scenario.replayed, 'frame')}"
        ):
            async with anyio.create_task_group() as group:
                group.start_soon(view.run, lambda: scenario.replayed)
                accounts = await scenario.run()
                group.cancel_scope.cancel()
    for role, handled in scenario.handled.items():
        emit(f"handler {role}: {counted(handled, 'frame')}\n")
    for account in accounts:
        emit(f"{account}\n")
    if any(account.missing for account in accounts):
        say("the accounts do not add up: this is a defect of anycan, please report it")
        return 1
    emit("every frame is accounted for\n")
    return 0


async def _load(path: str, skip_errors: bool) -> list[LogRecord]:
    records: list[LogRecord] = []
    garbled = GarbledLines()
    with open_log(path) as log:
        async for piece in log.records(garbled.note if skip_errors else None):
            records += piece
    # A controller's reports never were on a bus, and these interfaces are not made for CAN XL.
    playable = [record for record in records if not isinstance(record.frame, (ErrorFrame, XlFrame))]
    if garbled.count:
        say(f"{counted(garbled.count, 'garbled line')} left out")
    if len(playable) != len(records):
        say(f"{counted(len(records) - len(playable), 'error or CAN XL frame')} left out")
    if not playable:
        raise ParseError(f"{path}: no frames to replay", "")
    return playable


def _fitting_speed(records: list[LogRecord]) -> float:
    """Give 1, or what makes a long recording last ten seconds."""
    recorded = (records[-1].timestamp_ns - records[0].timestamp_ns) / 1e9
    return max(1.0, recorded / _LONGEST)


def _pace(factor: float | None) -> str:
    """Say how fast a replay goes."""
    if factor is None:
        return "as fast as it goes"
    return "at its own speed" if factor == 1 else f"{factor:.3g} times as fast as it was recorded"


def _nothing(_frame: AnyFrame) -> str:
    return ""


@asynccontextmanager
async def _user_network() -> AsyncIterator[Network]:
    async with UserNetwork() as network:
        for interface in _INTERFACES:
            network.add_vcan(interface)
        yield network


@asynccontextmanager
async def _kernel_network() -> AsyncIterator[Network]:
    made: list[str] = []
    try:
        for interface in _INTERFACES:
            await _ip(f"link add dev {interface} type vcan", interface)
            made.append(interface)
            await _ip(f"link set {interface} up", interface)
        yield kernel
    finally:
        with anyio.CancelScope(shield=True):
            for interface in made:
                await _ip(f"link del {interface}", interface)


async def _ip(arguments: str, interface: str) -> None:
    try:
        done = await anyio.run_process(["ip", *arguments.split()], check=False)
    except FileNotFoundError:
        raise CanOSError(
            errno.ENOENT,
            "the program 'ip' is missing (package iproute2); leave out --network kernel to run"
            " without it",
            interface,
        ) from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        raise CanOSError(
            errno.EPERM,
            f"'ip {arguments}' failed ({reason}): it needs root and a kernel with the module vcan,"
            f" and no other interface called {interface}; leave out --network kernel to do without",
            interface,
        )
