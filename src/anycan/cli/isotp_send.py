"""``anycan isotp send``: a PDU from the command line, and its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
from cyclopts import Parameter

from anycan import Address, IsotpLink, functional_request
from anycan.cli.common import POSITIVE, NetworkOption, UsageError, say
from anycan.cli.isotp_input import parse_data, read_input
from anycan.cli.isotp_options import (
    LinkOptions,
    ModeOptions,
    ReceiveOption,
    TransmitOption,
    as_usage_error,
    make_address,
    open_link,
    parse_pair,
)
from anycan.cli.isotp_text import (
    AsciiOption,
    PduFormatter,
    PduPrinter,
    PlainOption,
    TimestampsOption,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULT_MODE: Final = ModeOptions()
_DEFAULT_LINK: Final = LinkOptions()


async def send(
    interface: str,
    /,
    *data: Annotated[str, Parameter(name="DATA")],
    tx: TransmitOption = None,
    rx: ReceiveOption = None,
    mode: ModeOptions = _DEFAULT_MODE,
    functional: Annotated[bool, Parameter(group="Address")] = False,
    responder: Annotated[tuple[str, ...], Parameter(group="Address")] = (),
    link: LinkOptions = _DEFAULT_LINK,
    broadcast_segmented: Annotated[bool, Parameter(group="Link")] = False,
    file: str | None = None,
    binary: bool = False,
    wait: Annotated[float | None, Parameter(name=["--wait", "-w"], validator=POSITIVE)] = None,
    uds: bool = False,
    timestamps: TimestampsOption = "a",
    ascii: AsciiOption = False,  # noqa: A002 - the option's name
    plain: PlainOption = False,
    network: NetworkOption = None,
) -> int:
    """Send a PDU over ISO-TP, and print the reply.

    It returns when the last frame has been sent. What goes wrong is told, and the exit status is
    1 then: nobody answers with flow control, there is no room for the PDU, no reply comes.

    Args:
        interface: Where to send.
        data: The bytes in hex, with or without spaces. Without any they are read from standard
            input.
        tx: The identifier of the frames sent.
        rx: The identifier of the frames received.
        mode: How the nodes are told apart.
        functional: The address is of a group of nodes: nobody answers with flow control.
        responder: *TX,RX*: with --functional and --wait, a node to wait for; several times for
            several. RX is the identifier it replies from, TX the one its flow control goes to.
            Behind each *:BYTE* may stand, the address byte of its frames.
        link: How frames are sent and received.
        broadcast_segmented: With --functional, send PDUs of several frames, too.
        file: Read the bytes from this file; *-* for standard input.
        binary: What is read from a file or from standard input is the bytes themselves, not hex.
        wait: Wait so many seconds for a reply, and print it.
        uds: Go on waiting after each "response pending" (7F xx 78).
        timestamps: Show when.
        ascii: Show bytes as ASCII too.
        plain: Print PDUs as bytes in hex and nothing else.
        network: Where the interfaces are.
    """
    address = make_address(tx, rx, mode, functional=functional)
    responders = [parse_pair("--responder", text) for text in responder]
    _check(functional, responders, wait, bool(data), file, binary, broadcast_segmented, uds)
    pdu = parse_data(data) if data else await read_input(file, binary=binary)
    printer = PduPrinter(interface, PduFormatter(timestamps, text=ascii), plain=plain)
    pending = _is_pending if uds else _is_never_pending
    more: dict[str, Any] = {"broadcast_segmented": True} if broadcast_segmented else {}
    try:
        if responders and wait is not None:
            options = {**link.arguments(), **more, "network": network}
            return await _ask_all(
                interface, pdu, address, responders, wait, pending, printer, options
            )
        async with open_link(interface, address, link, network, **more) as endpoint:
            await endpoint.send(pdu)
            if wait is None:
                return 0
            return await _wait_for_reply(endpoint, address, wait, pending, printer)
    except ValueError as error:
        raise as_usage_error(error) from None


def _check(
    functional: bool,
    responders: list[Address],
    wait: float | None,
    data: bool,
    file: str | None,
    binary: bool,
    broadcast_segmented: bool,
    uds: bool,
) -> None:
    """Refuse what contradicts itself."""
    if data and (file is not None or binary):
        raise UsageError("DATA stands here already: leave out --file and --binary")
    if broadcast_segmented and not functional:
        raise UsageError("--broadcast-segmented is for --functional")
    if uds and wait is None:
        raise UsageError("--uds says what to wait for: say how long, with --wait")
    if responders and not (functional and wait is not None):
        raise UsageError("--responder is whom to wait for: it needs --functional and --wait")
    if functional and wait is not None and not responders:
        raise UsageError("--functional stands for a group: say whose replies, with --responder")


def _is_pending(reply: bytes) -> bool:
    """Tell whether a reply says that the reply is to come (ISO 14229-1: 0x78)."""
    return len(reply) == 3 and reply[0] == 0x7F and reply[2] == 0x78


def _is_never_pending(_reply: bytes) -> bool:
    return False


async def _wait_for_reply(
    endpoint: IsotpLink,
    address: Address,
    wait: float,
    pending: Callable[[bytes], bool],
    printer: PduPrinter,
) -> int:
    """Print replies up to the last one."""
    while True:
        with anyio.move_on_after(wait) as scope:
            reply = await endpoint.receive()
        if scope.cancelled_caught:
            say(f"no reply within {wait:g} s")
            return 1
        printer.print(address, reply)
        if not pending(reply):
            return 0


async def _ask_all(
    interface: str,
    pdu: bytes,
    address: Address,
    responders: list[Address],
    wait: float,
    pending: Callable[[bytes], bool],
    printer: PduPrinter,
    options: dict[str, Any],
) -> int:
    """Print the replies of several, and tell of whom there is none."""
    async with functional_request(
        interface,
        pdu,
        responders=responders,
        address=address,
        timeout=wait,
        final=lambda reply: not pending(reply),
        **options,
    ) as replies:
        async for responder, reply in replies:
            printer.print(responder, reply)
        for error in replies.errors.values():
            say(f"{error.strerror}")
        for responder in replies.missing:
            if responder not in replies.errors:
                say(f"no reply from {responder.rx_id:0{8 if responder.extended_ids else 3}X}")
        return 1 if replies.missing else 0
