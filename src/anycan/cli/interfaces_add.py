"""``anycan interfaces add``: make virtual interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from anycan import CanError, create_vcan, create_vxcan
from anycan.cli.common import NetworkOption, UsageError, emit
from anycan.cli.interfaces_options import Mtu  # noqa: TC001 - cyclopts reads annotations
from anycan.cli.interfaces_text import one_line

if TYPE_CHECKING:
    from anycan import Interface


async def add(
    name: Annotated[str, Parameter(name="NAME")],
    /,
    *,
    kind: Literal["vcan", "vxcan"] | None = None,
    peer: str | None = None,
    namespace: str | None = None,
    mtu: Mtu | None = None,
    down: bool = False,
    exist_ok: bool = False,
    network: NetworkOption = None,
) -> int:
    """Make a virtual interface, and print what it is.

    On the kernel it needs CAP_NET_ADMIN; with --namespace CAP_SYS_ADMIN as well, unless --down.

    Args:
        name: Its name.
        kind: *vcan*: what one program sends on it, the others receive; *vxcan*: one of a pair, what
            is sent on it the other one receives. Without it: *vxcan* with --peer, else *vcan*.
        peer: The name of the other end of a vxcan.
        namespace: The network namespace that the other end is in: its name (`ip netns`), its path,
            or the number of a process in it.
        mtu: The bytes of the greatest frame: 16 (classical CAN), 72 (CAN FD too), the default, or
            76 to 2060 (CAN XL too).
        down: Leave it down.
        exist_ok: If there is a vcan of that name, take that: it is brought up unless --down, given
            the MTU if --mtu names one, and otherwise left as it is.
        network: Where to make it.
    """
    kind = kind or ("vcan" if peer is None else "vxcan")
    _check(kind, peer, namespace, exist_ok)
    try:
        if peer is None:
            made = await create_vcan(name, mtu=mtu, up=not down, exist_ok=exist_ok, network=network)
        else:
            made = await _make_pair(name, peer, namespace, mtu or 72, up=not down, network=network)
    except CanError:
        raise
    except ValueError as error:  # no interface can be called that
        raise UsageError(str(error)) from None
    emit(f"{one_line(made)}\n")
    return 0


def _check(kind: str, peer: str | None, namespace: str | None, exist_ok: bool) -> None:
    """Refuse what contradicts itself."""
    if kind == "vxcan":
        if peer is None:
            raise UsageError("a vxcan has another end: name it with --peer")
        if exist_ok:
            raise UsageError("--exist-ok is for a vcan: a vxcan is a pair, and is made anew")
    elif peer is not None:
        raise UsageError("--peer is the other end of a vxcan: leave out --kind vcan")
    elif namespace is not None:
        raise UsageError("--namespace is where the other end of a vxcan is: name it with --peer")


async def _make_pair(
    name: str, peer: str, namespace: str | None, mtu: int, *, up: bool, network: str | None
) -> Interface:
    there: str | int | None = namespace
    if namespace is not None and namespace.isascii() and namespace.isdecimal():
        there = int(namespace)
    try:
        return await create_vxcan(name, peer, namespace=there, mtu=mtu, up=up, network=network)
    except TypeError as error:
        if namespace is None:
            raise
        raise UsageError(f"--namespace is for the kernel's network: {error}") from None
