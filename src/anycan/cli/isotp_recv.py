"""``anycan isotp recv``: the PDUs that another node sends here."""

from __future__ import annotations

import math
from typing import Annotated, Final

import anyio
from cyclopts import Parameter

from anycan import InterfaceDownError, IsotpLink, IsotpReceiveError
from anycan.cli.common import (
    COUNT,
    POSITIVE,
    NetworkOption,
    counted,
    say,
    summary_if_interrupted,
)
from anycan.cli.isotp_options import (
    LinkOptions,
    ModeOptions,
    ReceiveOption,
    TransmitOption,
    make_address,
    open_link,
)
from anycan.cli.isotp_text import (
    AsciiOption,
    PduFormatter,
    PduPrinter,
    PlainOption,
    TimestampsOption,
)

_DEFAULT_MODE: Final = ModeOptions()
_DEFAULT_LINK: Final = LinkOptions()


async def recv(
    interface: str,
    /,
    *,
    tx: TransmitOption = None,
    rx: ReceiveOption = None,
    mode: ModeOptions = _DEFAULT_MODE,
    link: LinkOptions = _DEFAULT_LINK,
    listen_only: Annotated[bool, Parameter(group="Link")] = False,
    timestamps: TimestampsOption = "a",
    ascii: AsciiOption = False,  # noqa: A002 - the option's name
    plain: PlainOption = False,
    count: Annotated[int | None, Parameter(name=["--count", "-n"], validator=COUNT)] = None,
    idle_ms: Annotated[
        float | None, Parameter(name=["--idle-ms", "-T"], validator=POSITIVE)
    ] = None,
    network: NetworkOption = None,
) -> int:
    """Print the PDUs that come over ISO-TP, and answer with flow control.

    A PDU that fails in the middle is told on standard error, and the next one waited for. Ctrl-C
    ends it with a summary and the exit status 130.

    Args:
        interface: Where to receive.
        tx: The identifier of the frames sent.
        rx: The identifier of the frames received.
        mode: How the nodes are told apart.
        link: How frames are sent and received.
        listen_only: Send no flow control: the PDUs are meant for somebody else, or for all.
        timestamps: Show when.
        ascii: Show bytes as ASCII too.
        plain: Print PDUs as bytes in hex and nothing else.
        count: End after this many PDUs.
        idle_ms: End when no PDU has come for this many milliseconds.
        network: Where the interfaces are.
    """
    if listen_only and tx is None and rx is not None:
        tx = _another(rx)  # nothing is sent there
    address = make_address(tx, rx, mode)
    printer = PduPrinter(interface, PduFormatter(timestamps, text=ascii), plain=plain)
    receiver = _Receiver(math.inf if idle_ms is None else idle_ms / 1000)
    async with open_link(interface, address, link, network, listen_only=listen_only) as endpoint:
        with summary_if_interrupted(lambda: receiver.summary(endpoint)):
            while count is None or receiver.pdus < count:
                pdu = await receiver.next(endpoint)
                if pdu is None:
                    break
                printer.print(address, pdu)
                receiver.tell_drops(endpoint)
    return 0


def _another(identifier: str) -> str:
    """Give any identifier of the same format that is not this one."""
    zeros = identifier.strip("0") == ""
    return f"{1 if zeros else 0:0{len(identifier)}d}"


class _Receiver:
    """Receives, and counts what does not come whole.

    Args:
        idle: Wait no longer for a PDU, in seconds.

    Attributes:
        pdus: PDUs that came.
    """

    def __init__(self, idle: float) -> None:
        self.pdus = 0
        self._idle = idle
        self._faults = 0
        self._dropped = 0

    async def next(self, endpoint: IsotpLink) -> bytes | None:
        """Wait for the next PDU; None: none came."""
        with anyio.move_on_after(self._idle):
            while True:
                try:
                    pdu = await endpoint.receive()
                except IsotpReceiveError as error:
                    self._faults += 1
                    say(f"{error.strerror}")
                except InterfaceDownError as error:
                    say(f"{error.strerror}")
                else:
                    self.pdus += 1
                    return pdu
        return None

    def tell_drops(self, endpoint: IsotpLink) -> None:
        """Tell of PDUs that were lost."""
        dropped = endpoint.statistics().dropped
        if dropped != self._dropped:
            more = dropped - self._dropped
            self._dropped = dropped
            say(f"{counted(more, 'PDU')} dropped ({dropped:,} in all): they came too fast")

    def summary(self, endpoint: IsotpLink) -> str:
        """Say how many PDUs there were."""
        dropped = endpoint.statistics().dropped
        return (
            f"{counted(self.pdus, 'PDU')} received, {counted(self._faults, 'fault')},"
            f" {dropped:,} dropped"
        )
