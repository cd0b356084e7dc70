"""``anycan isotp serve``: a node that answers requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from anycan import Address, CanError, serve_isotp
from anycan.cli.common import (
    NetworkOption,
    UsageError,
    counted,
    emit,
    say,
    summary_if_interrupted,
)
from anycan.cli.isotp_options import (
    LinkOptions,
    ModeOptions,
    ReceiveOption,
    TransmitOption,
    as_usage_error,
    make_address,
    parse_functional,
)
from anycan.cli.isotp_replies import ReplyRule
from anycan.cli.isotp_text import AsciiOption, PduFormatter, TimestampsOption

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFAULT_MODE: Final = ModeOptions()
_DEFAULT_LINK: Final = LinkOptions()


async def serve(
    interface: str,
    /,
    *,
    tx: TransmitOption = None,
    rx: ReceiveOption = None,
    mode: ModeOptions = _DEFAULT_MODE,
    functional: Annotated[str | None, Parameter(group="Address")] = None,
    link: LinkOptions = _DEFAULT_LINK,
    reply: Annotated[tuple[str, ...], Parameter(name=["--reply", "-r"])] = (),
    echo: bool = False,
    timestamps: TimestampsOption = "a",
    ascii: AsciiOption = False,  # noqa: A002 - the option's name
    network: NetworkOption = None,
) -> int:
    """Answer requests over ISO-TP, and print them and the replies.

    What goes wrong on the bus is told on standard error, and it goes on. Ctrl-C ends it with a
    summary and the exit status 130.

    Args:
        interface: Where to serve.
        tx: The identifier of the frames sent.
        rx: The identifier of the frames received.
        mode: How the nodes are told apart.
        functional: *IDENTIFIER[:BYTE]*: an identifier by which requests come that are for a group
            of nodes, with the address byte of the group where frames have one.
        link: How frames are sent and received.
        reply: *REQUEST=REPLY*, in hex; several times for several requests, of which the first that
            matches counts. A request that ends with *..* is any that begins like that; a reply
            that ends with *..* goes on as the request does. Without a REPLY there is none.
        echo: Answer every other request with itself.
        timestamps: Show when.
        ascii: Show bytes as ASCII too.
        network: Where the interfaces are.
    """
    rules = [ReplyRule.parse(text) for text in reply]
    if not rules and not echo:
        raise UsageError("say what to answer: --reply REQUEST=REPLY, or --echo")
    address = make_address(tx, rx, mode)
    group = None if functional is None else _group(functional, address)
    formatter = PduFormatter(timestamps, text=ascii)
    responder = _Responder(interface, address, rules, formatter, echo=echo)
    with summary_if_interrupted(responder.summary):
        try:
            await serve_isotp(
                responder.answer,
                interface,
                [address],
                functional=group,
                on_fault=responder.tell_fault,
                network=network,
                **link.arguments(),
            )
        except ValueError as error:
            raise as_usage_error(error) from None
    return 0


def _group(text: str, address: Address) -> Address:
    """Give the address of a group of nodes that one of them is of."""
    group = parse_functional("--functional", text)
    if (group.tx_extension is None) != (address.tx_extension is None):
        raise UsageError(
            "--functional: frames have an address byte in both addresses, or in none: write"
            " IDENTIFIER:BYTE where they have"
        )
    return group


class _Responder:
    """Answers and prints.

    Args:
        interface: Where.
        address: The address of the node that it is.
        rules: What it answers.
        formatter: Makes lines of PDUs.
        echo: Answer everything else with itself.
    """

    def __init__(
        self,
        interface: str,
        address: Address,
        rules: Sequence[ReplyRule],
        formatter: PduFormatter,
        *,
        echo: bool,
    ) -> None:
        self._interface = interface
        self._asking = address.reversed()  # requests stand on the left
        self._rules = rules
        self._formatter = formatter
        self._echo = echo
        self._requests = 0
        self._replies = 0
        self._faults = 0

    async def answer(self, request: bytes) -> bytes | None:
        """Give the reply to a request."""
        self._requests += 1
        self._print("->", request)
        reply = self._find(request)
        if reply is not None:
            self._replies += 1
            self._print("<-", reply)
        return reply

    def _find(self, request: bytes) -> bytes | None:
        for rule in self._rules:
            if rule.matches(request):
                return rule.answer(request)
        return request if self._echo else None

    def _print(self, arrow: Literal["->", "<-"], pdu: bytes) -> None:
        emit(self._formatter.served(self._asking, arrow, self._interface, time.time_ns(), pdu))

    def tell_fault(self, _address: Address, error: CanError) -> None:
        """Tell what went wrong on the bus."""
        self._faults += 1
        say(str(getattr(error, "strerror", error)))

    def summary(self) -> str:
        """Say how many requests there were."""
        return (
            f"{counted(self._requests, 'request')}, {self._replies:,} answered,"
            f" {counted(self._faults, 'fault')}"
        )
