"""The options of an ISO-TP socket, in the user's terms, and setting them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import attrs

from anycan.sockets.options import OptionSetter, check_buffer
from anycan.wire.constants import (
    CAN_ISOTP_LL_OPTS,
    CAN_ISOTP_OPTS,
    CAN_ISOTP_RECV_FC,
    CAN_ISOTP_RX_STMIN,
    CAN_ISOTP_TX_STMIN,
    CAN_MTU,
    CANFD_MTU,
    SOL_CAN_ISOTP,
)
from anycan.wire.isotp import (
    FRAME_TXTIME_ZERO,
    PADDING,
    FlowControlOptions,
    IsotpFlag,
    IsotpOptions,
    LinkLayerOptions,
    encode_stmin,
)
from anycan.wire.options import pack_integer

if TYPE_CHECKING:
    from anycan.wire.isotp_address import Address

_BRS: Final = 0x01  # linux/can.h: CANFD_BRS
_ESI: Final = 0x02  # linux/can.h: CANFD_ESI
_LONGEST: Final = 4.294967295  # seconds: 32 bits of nanoseconds
_CHECKS: Final[dict[str | None, int]] = {
    None: 0,
    "length": IsotpFlag.CHK_PAD_LEN,
    "content": IsotpFlag.CHK_PAD_DATA,
    "both": IsotpFlag.CHK_PAD_LEN | IsotpFlag.CHK_PAD_DATA,
}


@attrs.frozen(kw_only=True)
class IsotpSocketOptions:
    """The options of an ISO-TP socket; :func:`anycan.open_isotp` says what each means."""

    fd: bool = False
    tx_dl: int | None = None
    brs: bool = False
    esi: bool = False
    block_size: int = 0
    stmin: float = 0.0
    padding: int | None = None
    rx_padding: int | None = None
    check_padding: Literal["length", "content", "both"] | None = None
    tx_stmin: float | None = None
    rx_stmin: float | None = None
    frame_txtime: float | None = None
    listen_only: bool = False
    half_duplex: bool = False
    dynamic_flow_control: bool = False
    broadcast_segmented: bool = False
    strict_iso: bool = False
    receive_buffer: int | None = None

    def __attrs_post_init__(self) -> None:
        size: object = self.tx_dl  # whatever was given
        if not isinstance(size, int | None):
            raise TypeError(f"tx_dl= is a number of bytes, not {size!r}")
        if not self._link_layer().possible:
            kind = "12, 16, 20, 24, 32, 48 or 64 (fd=True)"
            raise ValueError(f"tx_dl= is 8, or {kind}, not {self.tx_dl!r}")
        if (self.brs or self.esi) and not self.fd:
            raise ValueError("brs= and esi= are flags of CAN FD frames: they need fd=True")
        _check_byte("block_size", self.block_size)
        for name in ("padding", "rx_padding"):
            if getattr(self, name) is not None:
                _check_byte(name, getattr(self, name))
        check: str | None = self.check_padding  # whatever was given
        if check not in _CHECKS:
            raise ValueError(
                f'check_padding= is "length", "content", "both" or None, not {check!r}'
            )
        if check in {"content", "both"} and self.rx_padding is None:
            raise ValueError("to check the padding's content, rx_padding= says what it is to be")
        self._check_times()
        check_buffer("receive_buffer", self.receive_buffer)

    def _check_times(self) -> None:
        for name in ("tx_stmin", "rx_stmin", "frame_txtime"):
            value = getattr(self, name)
            if value is None:
                continue
            _check_number(name, value)
            if not 0 <= value <= _LONGEST:
                raise ValueError(f"{name}= is 0 to {_LONGEST} s, not {value!r}")
        _check_number("stmin", self.stmin)
        encode_stmin(self.stmin)

    @property
    def frame_size(self) -> int:
        """The most data in a frame sent, in bytes."""
        return self._link_layer().tx_dl

    def _link_layer(self) -> LinkLayerOptions:
        if not self.fd:
            return LinkLayerOptions(CAN_MTU, 8 if self.tx_dl is None else self.tx_dl)
        flags = (_BRS if self.brs else 0) | (_ESI if self.esi else 0)
        return LinkLayerOptions(CANFD_MTU, 64 if self.tx_dl is None else self.tx_dl, flags)

    def _flags(self, address: Address) -> int:
        flags = 0
        flags |= IsotpFlag.LISTEN_MODE if self.listen_only else 0
        flags |= IsotpFlag.HALF_DUPLEX if self.half_duplex else 0
        flags |= IsotpFlag.DYN_FC_PARMS if self.dynamic_flow_control else 0
        flags |= IsotpFlag.TX_PADDING if self.padding is not None else 0
        flags |= IsotpFlag.FORCE_TXSTMIN if self.tx_stmin is not None else 0
        flags |= IsotpFlag.FORCE_RXSTMIN if self.rx_stmin is not None else 0
        if self.rx_padding is not None:
            flags |= IsotpFlag.RX_PADDING
            flags |= _CHECKS[self.check_padding or "both"]
        else:
            flags |= _CHECKS[self.check_padding]
        if address.tx_extension is not None:
            flags |= IsotpFlag.EXTEND_ADDR
            if address.rx_extension != address.tx_extension:
                flags |= IsotpFlag.RX_EXT_ADDR
        if address.functional:
            flags |= IsotpFlag.CF_BROADCAST if self.broadcast_segmented else IsotpFlag.SF_BROADCAST
        return flags

    def values(self, address: Address) -> dict[int, bytes]:
        """Give the value of each socket option that is not the kernel's default.

        Args:
            address: What the socket is for.
        """
        options = IsotpOptions(
            flags=self._flags(address),
            frame_txtime=_frame_txtime(self.frame_txtime),
            ext_address=address.tx_extension or 0,
            txpad=PADDING if self.padding is None else self.padding,
            rxpad=PADDING if self.rx_padding is None else self.rx_padding,
            rx_ext_address=address.rx_extension or 0,
        )
        values = {CAN_ISOTP_OPTS: options.pack()}
        if self.block_size or self.stmin:
            flow_control = FlowControlOptions(self.block_size, encode_stmin(self.stmin))
            values[CAN_ISOTP_RECV_FC] = flow_control.pack()
        if self.fd:
            values[CAN_ISOTP_LL_OPTS] = self._link_layer().pack()
        if self.tx_stmin is not None:
            values[CAN_ISOTP_TX_STMIN] = pack_integer(_nanoseconds(self.tx_stmin))
        if self.rx_stmin is not None:
            values[CAN_ISOTP_RX_STMIN] = pack_integer(_nanoseconds(self.rx_stmin))
        return values


_NAMES: Final = {
    CAN_ISOTP_OPTS: "CAN_ISOTP_OPTS",
    CAN_ISOTP_RECV_FC: "CAN_ISOTP_RECV_FC",
    CAN_ISOTP_TX_STMIN: "CAN_ISOTP_TX_STMIN",
    CAN_ISOTP_RX_STMIN: "CAN_ISOTP_RX_STMIN",
    CAN_ISOTP_LL_OPTS: "CAN_ISOTP_LL_OPTS",
}


def configure(setter: OptionSetter, options: IsotpSocketOptions, address: Address) -> None:
    """Set all options; the kernel takes them before the socket is bound, and not after."""
    for option, value in options.values(address).items():
        setter.set(option, value, _NAMES[option], "5.10", SOL_CAN_ISOTP)
    setter.stamp_messages()
    setter.count_drops()
    setter.set_receive_buffer(options.receive_buffer)


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}= is a number of seconds, not {value!r}")


def _check_byte(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFF:
        raise ValueError(f"{name}= is a byte, 0 to 255, not {value!r}")


def _nanoseconds(seconds: float) -> int:
    return min(round(seconds * 1e9), 0xFFFF_FFFF)


def _frame_txtime(seconds: float | None) -> int:
    if seconds is None:
        return 0  # the kernel's own
    return min(_nanoseconds(seconds), FRAME_TXTIME_ZERO - 1) or FRAME_TXTIME_ZERO
