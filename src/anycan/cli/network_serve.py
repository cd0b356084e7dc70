"""``anycan network serve``: a user-space network for many processes."""

from __future__ import annotations

import grp
import logging
import resource
import shlex
import signal
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import anyio
import attrs
from cyclopts import Parameter, validators

from anycan import ServerLimits, UserNetwork
from anycan.cli.common import COUNT, UsageError, counted, emit
from anycan.cli.json_log import LogFormat, LogLevel, logging_to_standard_error
from anycan.cli.network_command import run_command
from anycan.cli.network_devices import add_devices
from anycan.cli.network_place import SCHEME, default_path
from anycan.cli.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from cyclopts import Token

_LOGGER: Final = logging.getLogger("anycan.service")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MANY_FILES: Final = 10_240  # macOS takes no more, whatever it says
_OTHERS: Final = 0o077
_PDU: Final = validators.Number(gte=4095, lte=1_049_600)
_USUAL: Final = ServerLimits()


def _read_mode(_type: object, tokens: Sequence[Token]) -> int:
    text = tokens[0].value
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise ValueError(f"not the rights of a file: {text!r}; write octal digits, such as 0660.")
    return mode


_Names: TypeAlias = Annotated[list[str] | None, Parameter(consume_multiple=True)]
_Mode: TypeAlias = Annotated[int, Parameter(converter=_read_mode)]
_Size: TypeAlias = Annotated[int, Parameter(validator=COUNT)]


@Parameter(name="*", group="Limits")
@attrs.frozen(kw_only=True)
class LimitOptions:
    """What clients may have at most.

    Attributes:
        connections: Clients, all together. Default: 256.
        connections_per_user: Clients of one user. Default: 128.
        sockets: Sockets of one client. Default: 1024.
        buffer: Bytes that each of a socket's two buffers holds, as the kernel counts. Default: 8
            MiB.
        buffers: Bytes that the receive buffers of all sockets of one user hold together. Default:
            5 GiB.
        operations: Cyclic transmissions and watches of one client. Default: 4096.
        interfaces: Interfaces; where there are as many, clients make no more. Default: 4096.
    """

    connections: _Size = _USUAL.connections
    connections_per_user: _Size = _USUAL.connections_per_user
    sockets: _Size = _USUAL.sockets
    buffer: _Size = _USUAL.buffer
    buffers: _Size = _USUAL.buffers
    operations: _Size = _USUAL.operations
    interfaces: _Size = _USUAL.interfaces


async def serve(
    *command: Annotated[str, Parameter(name="COMMAND")],
    path: Path | None = None,
    vcan: _Names = None,
    can: _Names = None,
    slcan: _Names = None,
    mode: _Mode = 0o600,
    group: str | None = None,
    group_writable: bool = False,
    max_pdu_size: Annotated[int, Parameter(validator=_PDU)] = 8300,
    limits: LimitOptions | None = None,
    log_format: LogFormat = "text",
    log_level: LogLevel | None = None,
) -> int:
    """Serve a user-space network to other processes, which need no SocketCAN and no rights.

    They use it with ANYCAN_NETWORK=unix:PATH. Interfaces can be added, set and deleted while it
    runs, by `anycan interfaces` with the same variable. Once it serves, it prints the line for a
    shell that sets that. Ctrl-C, SIGTERM and SIGHUP end it, with the exit status 0. It tells
    systemd (Type=notify) when it serves, and with WatchdogSec that it lives.

    With a command, it serves for as long as that runs, with the variable set for it, and ends with
    its exit status.

    Args:
        command: What to run; put -- before it.
        path: Where: a file that is made, and removed at the end. Without it,
            $XDG_RUNTIME_DIR/anycan.sock, or else /tmp/anycan-UID/anycan.sock; with a command, a
            file of its own.
        vcan: Names of virtual interfaces to begin with.
        can: Controllers to begin with, on simulated buses:
            *NAME[=BITRATE][,data-bitrate=BITRATE][,bus=BUS]*.
        slcan: Serial adapters that speak slcan, as interfaces:
            *NAME=TTY[,bitrate=BITRATE][,listen-only][,no-timestamps][,serial-speed=SPEED]*. One
            without a bit rate stays down.
        mode: The rights of the file, in octal digits: whoever may write to it may connect, send,
            and change interfaces. Default: 0600, this user alone.
        group: A group whose members may connect too, and only listen.
        group_writable: Members of the group may send and change interfaces as well.
        max_pdu_size: The most bytes in a PDU of ISO-TP.
        limits: What clients may have at most.
        log_format: Lines for people, or an object of JSON a line.
        log_level: From which level on: *info*, or with a command *warning*.
    """
    number = None if group is None else _group_number(group)
    level = log_level or ("warning" if command else "info")
    _raise_file_limit()
    with ExitStack() as stack:
        stack.enter_context(logging_to_standard_error(log_format, level))
        signals = stack.enter_context(anyio.open_signal_receiver(*_SIGNALS))
        if path is not None:
            place = str(path)
        elif command:
            place = f"{stack.enter_context(tempfile.TemporaryDirectory(prefix='anycan-'))}/can"
        else:
            if number is not None or mode & _OTHERS:
                raise UsageError(
                    "others do not reach the file where it is by default: name a --path that they"
                    " can go to, for example /run/anycan/can"
                )
            place = default_path(make=True)
        with UserNetwork(max_pdu_size=max_pdu_size) as network:
            add_devices(network, vcan or (), can or (), slcan or ())
            async with anyio.create_task_group() as tasks:
                await tasks.start(
                    partial(
                        network.serve,
                        place,
                        mode=mode,
                        group=number,
                        group_writable=group_writable,
                        limits=ServerLimits(**attrs.asdict(limits or LimitOptions())),
                    )
                )
                status = await _until_the_end(network, place, command, signals)
                tasks.cancel_scope.cancel()
    return status


async def _until_the_end(
    network: UserNetwork,
    path: str,
    command: Sequence[str],
    signals: AsyncIterator[signal.Signals],
) -> int:
    """Tell that it is served, and go on until the command has ended, or a signal comes."""
    name = f"{SCHEME}{path}"
    notifier = Notifier()
    status = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(notifier.keep_watchdog)
        names = [one.name for one in network.interfaces()]
        _LOGGER.info("serving %s at %s", ", ".join(names) or "no interface yet", path)
        notifier.ready(f"serving {counted(len(names), 'interface')} at {path}")
        if command:
            status = await run_command(command, name, signals)
        else:
            emit(f"export ANYCAN_NETWORK={shlex.quote(name)}\n")
            number = await anext(signals)
            _LOGGER.info("%s: ending", signal.Signals(number).name)
        notifier.stopping()
        tasks.cancel_scope.cancel()
    return status


def _group_number(group: str) -> int:
    if group.isascii() and group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"--group: there is no group {group!r}") from None


def _raise_file_limit() -> None:
    """Have as many descriptors as the system lets this process have: a socket takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (hard, _MANY_FILES):
        if soft < limit:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                return
