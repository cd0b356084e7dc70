"""What a served network tells of its clients and their sockets: values, and JSON between them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
from attrs.validators import deep_iterable, ge, instance_of, optional

if TYPE_CHECKING:
    from collections.abc import Iterable

# An answer has room for these, with the longest names and the greatest numbers.
MOST_CLIENTS: Final = 256
MOST_SOCKETS: Final = 256

_Value = TypeVar("_Value")

_IS_COUNT: Final = [instance_of(int), ge(0)]
_IS_TEXT: Final = instance_of(str)
_IS_TIME: Final = [instance_of(float), ge(0.0)]


@attrs.frozen(kw_only=True)
class SocketStatus:
    """A socket of a served network's client, as it is at this moment.

    Attributes:
        kind: ``"raw"``, ``"bcm"``, ``"isotp"``; ``"links"``: it watches interfaces.
        interface: The name of the interface it is bound or connected to; None: none, or all.
        queued: How many messages wait in its receive buffer.
        drops: How many found no room there.
        operations: How many cyclic transmissions and receptions of the broadcast manager it has.
        buffer: What its receive buffer holds, in bytes as the kernel counts.
    """

    kind: str = attrs.field(validator=_IS_TEXT)
    interface: str | None = attrs.field(default=None, validator=optional(_IS_TEXT))
    queued: int = attrs.field(default=0, validator=_IS_COUNT)
    drops: int = attrs.field(default=0, validator=_IS_COUNT)
    operations: int = attrs.field(default=0, validator=_IS_COUNT)
    buffer: int = attrs.field(default=0, validator=_IS_COUNT)


@attrs.frozen(kw_only=True)
class ClientStatus:
    """A client of a served network, as it is at this moment: a connection.

    A process may have several.

    Attributes:
        number: Its number; never given twice while the server runs.
        process: The number of its process, as the server's system tells it (``SO_PEERCRED``); 0:
            one that the server cannot see, such as of another container; None: it is not told.
        user: The number of its user; None: it is not told.
        writable: It may send and change interfaces; else it may only listen.
        requests: How many requests it has made.
        sockets: Its sockets.
        sockets_left_out: How many more it has, for which there was no room here.
    """

    number: int = attrs.field(validator=_IS_COUNT)
    process: int | None = attrs.field(validator=optional(instance_of(int)))
    user: int | None = attrs.field(validator=optional(instance_of(int)))
    writable: bool = attrs.field(validator=instance_of(bool))
    requests: int = attrs.field(validator=_IS_COUNT)
    sockets: tuple[SocketStatus, ...] = attrs.field(
        validator=deep_iterable(instance_of(SocketStatus))
    )
    sockets_left_out: int = attrs.field(default=0, validator=_IS_COUNT)


@attrs.frozen(kw_only=True)
class NetworkStatus:
    """A served network's server and its clients, as they are at this moment.

    What there is to know of its interfaces, :func:`list_interfaces` tells.

    Attributes:
        name: What the network is called in its own process: ``"user"``, ``"user:NAME"``.
        path: Where it is served.
        process: The number of the server's process.
        seconds: For how many seconds it has been served.
        refused: How many clients have been turned away.
        clients: Its clients, this one too, in the order in which they came.
        clients_left_out: How many more there are, for which there was no room here.
    """

    name: str = attrs.field(validator=_IS_TEXT)
    path: str = attrs.field(validator=_IS_TEXT)
    process: int = attrs.field(validator=_IS_COUNT)
    seconds: float = attrs.field(validator=_IS_TIME)
    refused: int = attrs.field(validator=_IS_COUNT)
    clients: tuple[ClientStatus, ...] = attrs.field(
        validator=deep_iterable(instance_of(ClientStatus))
    )
    clients_left_out: int = attrs.field(default=0, validator=_IS_COUNT)


def pack_status(status: NetworkStatus) -> bytes:
    """Give a status as JSON that an answer has room for; what it has none for is counted."""
    clients = status.clients[:MOST_CLIENTS]
    fitting = attrs.evolve(
        status,
        clients=_with_fewer_sockets(clients),
        clients_left_out=len(status.clients) - len(clients),
    )
    return json.dumps(attrs.asdict(fitting), separators=(",", ":")).encode()


def _with_fewer_sockets(clients: tuple[ClientStatus, ...]) -> tuple[ClientStatus, ...]:
    """Leave sockets out, of those clients first that have the most."""
    room = MOST_SOCKETS
    fitting: dict[int, ClientStatus] = {}
    for client in sorted(clients, key=lambda one: len(one.sockets)):
        told = client.sockets[:room]
        room -= len(told)
        fitting[client.number] = attrs.evolve(
            client, sockets=told, sockets_left_out=len(client.sockets) - len(told)
        )
    return tuple(fitting[client.number] for client in clients)


def unpack_status(data: bytes) -> NetworkStatus:
    """Read a status.

    Raises:
        ValueError: It is none.
    """
    try:
        told = json.loads(data)
        clients = [
            _made(ClientStatus, one | {"sockets": _all(SocketStatus, one["sockets"])})
            for one in told["clients"]
        ]
        return _made(NetworkStatus, told | {"clients": tuple(clients)})
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"no status of a network: {error}") from None


def _all(kind: type[_Value], told: Iterable[dict[str, Any]]) -> tuple[_Value, ...]:
    return tuple(_made(kind, one) for one in told)


def _made(kind: type[_Value], told: dict[str, Any]) -> _Value:
    """Make a value of what is known of it; a newer server may tell more."""
    known = {one.name for one in attrs.fields(kind)}  # type: ignore[arg-type]  # an attrs class
    return kind(**{name: value for name, value in told.items() if name in known})
