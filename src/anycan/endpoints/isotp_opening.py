"""Which implementation of ISO-TP an endpoint gets, and opening it."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from anycan.endpoints.isotp_engine import EngineDescriptor
from anycan.exceptions import AddressError, ProtocolUnavailableError
from anycan.sockets.isotp import IsotpSocket
from anycan.sockets.networks import resolve_network
from anycan.wire.isotp import GREATEST_MAXIMUM_PDU, LEAST_MAXIMUM_PDU
from anycan.wire.isotp_address import Address

if TYPE_CHECKING:
    from anycan.network.base import Network
    from anycan.sockets.descriptor import Descriptor
    from anycan.sockets.isotp_options import IsotpSocketOptions

Implementation: TypeAlias = Literal["socket", "engine"]


def make_address(address: Address | None, tx_id: int | None, rx_id: int | None) -> Address:
    """Give the address that an endpoint is opened with.

    Raises:
        AddressError: It is given twice, or not at all.
        TypeError: It is no address.
    """
    if address is None:
        if tx_id is None:
            raise AddressError("say whom to talk to: tx_id= and rx_id=, or address=")
        return Address.normal(tx_id, rx_id)
    if not isinstance(address, Address):
        raise TypeError(f"address= is an anycan.Address, not {address!r}")
    if tx_id is not None or rx_id is not None:
        raise AddressError("say it once: tx_id= and rx_id=, or address=")
    return address


def open_isotp_socket(
    network: Network | str | None,
    interface: str | int,
    address: Address | None,
    tx_id: int | None,
    rx_id: int | None,
    options: IsotpSocketOptions,
    implementation: Literal["auto", "socket", "engine"],
    max_pdu_size: int | None,
) -> tuple[IsotpSocket, Implementation]:
    """Open a socket, by the network's ISO-TP or by the engine; :func:`anycan.open_isotp` says more.

    Returns:
        The socket, and which of both it is.
    """
    whom = make_address(address, tx_id, rx_id)
    if options.broadcast_segmented and not whom.functional:
        raise ValueError(f"broadcast_segmented= is for a functional address, not for {whom!r}")
    if interface is None:
        raise TypeError("an ISO-TP endpoint is for one interface: name it")
    if implementation not in {"auto", "socket", "engine"}:
        raise ValueError(f'implementation= is "auto", "socket" or "engine", not {implementation!r}')
    size: object = max_pdu_size  # whatever was given
    if size is not None and not (
        isinstance(size, int) and LEAST_MAXIMUM_PDU <= size <= GREATEST_MAXIMUM_PDU
    ):
        raise ValueError(
            f"max_pdu_size= is {LEAST_MAXIMUM_PDU} to {GREATEST_MAXIMUM_PDU} bytes, not"
            f" {max_pdu_size}"
        )
    if implementation == "socket" and (options.strict_iso or max_pdu_size is not None):
        raise ValueError(
            'strict_iso= and max_pdu_size= are for anycan\'s engine: leave implementation="auto"'
        )
    found = resolve_network(network)
    needs_engine = options.strict_iso or (max_pdu_size or 0) > found.max_pdu_size
    if implementation != "engine" and not needs_engine:
        try:
            return IsotpSocket(found, interface, whom, options), "socket"
        except ProtocolUnavailableError as error:
            if implementation == "socket" or error.errno == errno.EAFNOSUPPORT:
                raise
    most = max_pdu_size or found.max_pdu_size
    opener = partial(_open_engine, strict=options.strict_iso, maximum_pdu=most)
    return IsotpSocket(found, interface, whom, options, most, opener), "engine"


def _open_engine(
    network: Network, _kind: int, _protocol: int, _module: str, *, strict: bool, maximum_pdu: int
) -> Descriptor:
    return EngineDescriptor(network, maximum_pdu, strict=strict)
