"""What the commands of ``anycan isotp`` share: whom to talk to, and how."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import attrs
from cyclopts import Parameter, validators

from anycan import Address, AddressError, open_isotp
from anycan.cli.common import NOT_NEGATIVE, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import IsotpLink

Mode: TypeAlias = Literal["normal", "normal-fixed", "extended", "mixed-11", "mixed-29"]

_IDENTIFIER: Final = re.compile("[0-9A-Fa-f]{3}|[0-9A-Fa-f]{8}")
_BYTE: Final = re.compile("[0-9A-Fa-f]{1,2}")
_OF_MODE: Final[dict[Mode, tuple[str, ...]]] = {
    "normal": ("tx", "rx"),
    "normal-fixed": ("target", "source"),
    "extended": ("tx", "rx", "target", "source"),
    "mixed-11": ("tx", "rx", "extension"),
    "mixed-29": ("target", "source", "extension"),
}
_WITH_PRIORITY: Final = ("normal-fixed", "mixed-29")
_BYTE_VALUE: Final = validators.Number(gte=0, lte=255)
_STMIN: Final = (*NOT_NEGATIVE, validators.Number(lte=0.127))

TransmitOption = Annotated[
    str | None,
    Parameter(
        name=["--tx", "-s"],
        group="Address",
        help="The identifier of the frames sent, in hex: three digits for 11 bits, eight for 29.",
    ),
]
ReceiveOption = Annotated[
    str | None,
    Parameter(
        name=["--rx", "-d"],
        group="Address",
        help="The identifier of the frames received, likewise.",
    ),
]


@Parameter(name="*", group="Address")
@attrs.frozen(kw_only=True)
class ModeOptions:
    """How the nodes are told apart.

    Attributes:
        mode: How the nodes are told apart: *normal* by --tx and --rx alone; *normal-fixed* by
            --target and --source; *extended* by --tx, --rx, --target and --source; *mixed-11* by
            --tx, --rx and --extension; *mixed-29* by --target, --source and --extension.
        target: The other node's address, in hex.
        source: This node's address, in hex.
        extension: The address extension, in hex.
        priority: The priority in the identifiers of *normal-fixed* and *mixed-29*: 0 (highest) to
            7; without it 6.
    """

    mode: Mode = "normal"
    target: str | None = None
    source: str | None = None
    extension: str | None = None
    priority: Annotated[int | None, Parameter(validator=validators.Number(gte=0, lte=7))] = None


@Parameter(name="*", group="Link")
@attrs.frozen(kw_only=True)
class LinkOptions:
    """How frames are sent and received.

    Attributes:
        fd: Send and receive CAN FD frames.
        tx_dl: The most data in a frame sent, in bytes: 8; with --fd also 12, 16, 20, 24, 32, 48 or
            64, the default.
        brs: Send CAN FD frames with the bit rate switch.
        padding: Fill frames sent up with this byte, in hex.
        rx_padding: Frames received have to be filled up with this byte, in hex.
        block_size: How many frames the peer may send before it waits for flow control, 1 to 255;
            0, the default: all.
        stmin: How many seconds the peer is to wait between frames, to 0.127.
        implementation: Who speaks ISO-TP: *socket*, the network (on Linux the module can-isotp);
            *engine*, this program; *auto*, the default, the first unless it is missing.
        max_pdu_size: The most bytes in a PDU, to 1049600; more than the network takes is the
            engine's.
    """

    fd: bool = False
    tx_dl: int | None = None
    brs: bool = False
    padding: str | None = None
    rx_padding: str | None = None
    block_size: Annotated[int, Parameter(validator=_BYTE_VALUE)] = 0
    stmin: Annotated[float, Parameter(validator=_STMIN)] = 0.0
    implementation: Literal["auto", "socket", "engine"] = "auto"
    max_pdu_size: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Give them as keyword arguments of :func:`anycan.open_isotp`.

        Raises:
            UsageError: A byte is none, or options do not go together.
        """
        if self.max_pdu_size is not None and self.implementation == "socket":
            raise UsageError("--max-pdu-size is the engine's: leave out --implementation socket")
        arguments = attrs.asdict(self)
        arguments["padding"] = parse_byte("--padding", self.padding)
        arguments["rx_padding"] = parse_byte("--rx-padding", self.rx_padding)
        return arguments


# Keyword arguments, which messages name as Python does.
_KEYWORDS: Final = re.compile(
    r"\b(fd|tx_dl|brs|padding|rx_padding|block_size|stmin|max_pdu_size|broadcast_segmented)="
    r"(?:True\b)?"
)


def make_address(
    tx: str | None, rx: str | None, options: ModeOptions, *, functional: bool = False
) -> Address:
    """Make the address that the options stand for.

    Raises:
        UsageError: They stand for none.
    """
    mode = options.mode
    given = {
        "tx": tx,
        "rx": rx,
        "target": options.target,
        "source": options.source,
        "extension": options.extension,
    }
    wanted = _OF_MODE[mode]
    for name, value in given.items():
        if value is not None and name not in wanted:
            names = " and ".join(f"--{one}" for one in wanted)
            raise UsageError(f"--{name} has no meaning in --mode {mode}, which has {names}")
    if options.priority is not None and mode not in _WITH_PRIORITY:
        raise UsageError(f"--priority has no meaning in --mode {mode}: it is in its identifiers")
    if functional and rx is not None:
        raise UsageError("--functional stands for a group of nodes: leave out --rx")
    for name in wanted:
        if given[name] is None and not (functional and name == "rx"):
            hint = ", or --functional for a group of nodes" if name == "rx" else ""
            raise UsageError(f"--mode {mode} needs --{name}{hint}")
    try:
        return _make_address(given, options, functional)
    except AddressError as error:
        raise UsageError(str(error)) from None


def _make_address(given: dict[str, str | None], options: ModeOptions, functional: bool) -> Address:
    """Make an address of what its mode has, which is given."""
    (tx_id, tx_extended), (rx_id, rx_extended) = (
        (None, False) if given[name] is None else parse_identifier(f"--{name}", given[name] or "")
        for name in ("tx", "rx")
    )
    if rx_id is not None and tx_extended != rx_extended:
        raise UsageError("--tx and --rx have both 11 bits (three digits) or both 29 (eight digits)")
    target = parse_byte("--target", options.target)
    source = parse_byte("--source", options.source)
    extension = parse_byte("--extension", options.extension)
    priority = 6 if options.priority is None else options.priority
    match options.mode, tx_id, target, source, extension:
        case "extended", int(), int(), int(), _:
            return Address.extended(
                tx_id, rx_id, target=target, source=source, extended=tx_extended
            )
        case "mixed-11", int(), _, _, int():
            return Address.mixed_11(tx_id, rx_id, extension=extension)
        case "mixed-29", _, int(), int(), int():
            return Address.mixed_29(
                target, source, extension=extension, functional=functional, priority=priority
            )
        case "normal-fixed", _, int(), int(), _:
            return Address.normal_fixed(target, source, functional=functional, priority=priority)
    return Address.normal(tx_id or 0, rx_id, extended=tx_extended)


def parse_identifier(name: str, text: str) -> tuple[int, bool]:
    """Read an identifier; give it, and whether it has 29 bits.

    Raises:
        UsageError: It is none.
    """
    if not _IDENTIFIER.fullmatch(text):
        raise UsageError(
            f"{name}: not an identifier in hex: {text!r}; write three digits for 11 bits, eight"
            " for 29 bits"
        )
    return int(text, 16), len(text) == 8


def parse_byte(name: str, text: str | None) -> int | None:
    """Read a byte; None stays None.

    Raises:
        UsageError: It is none.
    """
    if text is None:
        return None
    if not _BYTE.fullmatch(text):
        raise UsageError(f"{name}: not a byte in hex: {text!r}; write 00 to FF")
    return int(text, 16)


def parse_node(name: str, text: str) -> tuple[int, bool, int | None]:
    """Read ``IDENTIFIER[:BYTE]``: where a node's frames come from, and the address byte in them.

    Raises:
        UsageError: It is none.
    """
    digits, colon, byte = text.partition(":")
    identifier, extended = parse_identifier(name, digits)
    return identifier, extended, parse_byte(name, byte) if colon else None


def parse_pair(name: str, text: str) -> Address:
    """Read ``TX,RX``, each ``IDENTIFIER[:BYTE]``.

    Raises:
        UsageError: It is none.
    """
    sent, comma, received = text.partition(",")
    if not comma:
        raise UsageError(f"{name}: not TX,RX: {text!r}; for example 7E0,7E8")
    tx_id, tx_extended, target = parse_node(name, sent)
    rx_id, rx_extended, source = parse_node(name, received)
    if tx_extended != rx_extended or (target is None) != (source is None):
        raise UsageError(
            f"{name}: both of {text!r} have 11 or 29 bits, and an address byte or none"
        )
    try:
        if target is None or source is None:
            return Address.normal(tx_id, rx_id, extended=tx_extended)
        return Address.extended(tx_id, rx_id, target=target, source=source, extended=tx_extended)
    except AddressError as error:
        raise UsageError(f"{name} {text}: {error}") from None


def parse_functional(name: str, text: str) -> Address:
    """Read ``IDENTIFIER[:BYTE]`` of a group of nodes.

    Raises:
        UsageError: It is none.
    """
    tx_id, extended, target = parse_node(name, text)
    try:
        if target is None:
            return Address.normal(tx_id, None, extended=extended)
        return Address.extended(tx_id, None, target=target, source=0, extended=extended)
    except AddressError as error:
        raise UsageError(f"{name} {text}: {error}") from None


def as_usage_error(error: ValueError) -> UsageError:
    """Make of what an endpoint says of its arguments what its user understands."""
    return UsageError(_KEYWORDS.sub(lambda found: f"--{found[1].replace('_', '-')}", str(error)))


@asynccontextmanager
async def open_link(
    interface: str, address: Address, options: LinkOptions, network: str | None, **more: Any
) -> AsyncIterator[IsotpLink]:
    """Open an endpoint.

    Raises:
        UsageError: The options do not go together.
        CanOSError: As :func:`anycan.open_isotp`.
    """
    arguments = options.arguments()
    async with AsyncExitStack() as stack:
        opening = open_isotp(interface, address=address, network=network, **arguments, **more)
        try:
            link = await stack.enter_async_context(opening)
        except ValueError as error:
            raise as_usage_error(error) from None
        yield link
