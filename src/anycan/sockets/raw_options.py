"""The options of a raw CAN socket, and setting them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import attrs

from anycan.sockets.options import OptionSetter, check_buffer
from anycan.wire.constants import (
    CAN_RAW_FD_FRAMES,
    CAN_RAW_JOIN_FILTERS,
    CAN_RAW_LOOPBACK,
    CAN_RAW_RECV_OWN_MSGS,
    CAN_RAW_XL_FRAMES,
    CAN_RAW_XL_VCID_OPTS,
    SO_SNDBUF,
    SO_TIMESTAMPING,
    SOF_TIMESTAMPING_RAW_HARDWARE,
    SOF_TIMESTAMPING_RX_HARDWARE,
    SOF_TIMESTAMPING_RX_SOFTWARE,
    SOF_TIMESTAMPING_SOFTWARE,
    SOL_SOCKET,
)
from anycan.wire.options import VcidOptions, pack_integer, pack_vcid_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.filter import CanFilter, Filter
    from anycan.frame import ErrorClass

_LONGEST_REST: Final = 1.0
_HARDWARE_STAMPS: Final = (
    SOF_TIMESTAMPING_RX_HARDWARE
    | SOF_TIMESTAMPING_RX_SOFTWARE
    | SOF_TIMESTAMPING_SOFTWARE
    | SOF_TIMESTAMPING_RAW_HARDWARE
)


@attrs.frozen(kw_only=True)
class RawOptions:
    """The options of a raw CAN socket; :func:`anycan.open_raw` says what each means."""

    filters: Filter | CanFilter | Iterable[Filter | CanFilter] | None = None
    errors: ErrorClass | int = 0
    fd: bool = True
    xl: bool = False
    vcid: VcidOptions | None = None
    loopback: bool = True
    receive_own: bool = False
    join_filters: bool = False
    timestamps: Literal["software", "hardware"] = "software"
    receive_buffer: int | None = None
    send_buffer: int | None = None
    coalesce: float = 0.0

    def __attrs_post_init__(self) -> None:
        if self.xl and not self.fd:
            raise ValueError("a socket that takes CAN XL frames takes CAN FD too: leave fd=True")
        if self.vcid is not None and not self.xl:
            raise ValueError("vcid= is for CAN XL frames: it needs xl=True")
        if self.timestamps not in {"software", "hardware"}:
            raise ValueError(f'timestamps= is "software" or "hardware", not {self.timestamps!r}')
        if not 0 <= self.coalesce <= _LONGEST_REST:
            raise ValueError(
                f"coalesce= is 0 to {_LONGEST_REST:g} seconds, not {self.coalesce!r}: frames wait"
                " so long in the receive buffer"
            )
        check_buffer("receive_buffer", self.receive_buffer)
        check_buffer("send_buffer", self.send_buffer)


def configure(setter: OptionSetter, options: RawOptions) -> None:
    """Set all but the filters; on a socket that is not bound yet, so that no frame slips in."""
    one = pack_integer(1)
    if not options.loopback:
        setter.set(CAN_RAW_LOOPBACK, pack_integer(0), "CAN_RAW_LOOPBACK", "2.6.25")
    if options.receive_own:
        setter.set(CAN_RAW_RECV_OWN_MSGS, one, "CAN_RAW_RECV_OWN_MSGS", "2.6.25")
    if options.fd:
        setter.set(CAN_RAW_FD_FRAMES, one, "CAN_RAW_FD_FRAMES", "3.6")
    if options.join_filters:
        setter.set(CAN_RAW_JOIN_FILTERS, one, "CAN_RAW_JOIN_FILTERS", "4.1")
    if options.xl:
        setter.set(CAN_RAW_XL_FRAMES, one, "CAN_RAW_XL_FRAMES", "6.1")
    if options.vcid is not None:
        value = pack_vcid_options(options.vcid)
        setter.set(CAN_RAW_XL_VCID_OPTS, value, "CAN_RAW_XL_VCID_OPTS", "6.9")
    if options.timestamps == "hardware":
        value = pack_integer(_HARDWARE_STAMPS)
        setter.set(SO_TIMESTAMPING, value, "SO_TIMESTAMPING", "2.6.30", SOL_SOCKET)
    else:
        setter.stamp_messages()
    setter.count_drops()
    # The kernel doubles both values for its own overhead. A small send buffer, so that a full one
    # (which poll can see) is met before a full interface queue (which poll cannot see): the least
    # the kernel gives, unless told.
    value = pack_integer((options.send_buffer or 0) // 2)
    setter.set(SO_SNDBUF, value, "SO_SNDBUF", "2.0", SOL_SOCKET)
    setter.set_receive_buffer(options.receive_buffer)
