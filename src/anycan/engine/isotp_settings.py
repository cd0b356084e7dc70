"""How an ISO-TP connection behaves."""

from __future__ import annotations

from typing import Final

import attrs

from anycan.wire.constants import CAN_MTU
from anycan.wire.isotp import (
    BROADCAST,
    CHECK_PADDING,
    DEFAULT_MAXIMUM_PDU,
    FRAME_TXTIME,
    FRAME_TXTIME_ZERO,
    FlowControlOptions,
    IsotpFlag,
    IsotpOptions,
    LinkLayerOptions,
    padded_length,
)

_EXTENDED: Final = int(IsotpFlag.EXTEND_ADDR)
_RX_EXTENDED: Final = int(IsotpFlag.RX_EXT_ADDR)
_RX_PADDING: Final = int(IsotpFlag.RX_PADDING)
_CHECK_LENGTH: Final = int(IsotpFlag.CHK_PAD_LEN)
_CHECK_DATA: Final = int(IsotpFlag.CHK_PAD_DATA)
_CHECK: Final = int(CHECK_PADDING)
_BROADCAST: Final = int(BROADCAST)


@attrs.define
class IsotpSettings:
    """The values of a socket's options; :meth:`set_options` and its like set them.

    Attributes:
        options: ``CAN_ISOTP_OPTS``.
        flow_control: ``CAN_ISOTP_RECV_FC``.
        link_layer: ``CAN_ISOTP_LL_OPTS``.
        tx_stmin: ``CAN_ISOTP_TX_STMIN``, in nanoseconds.
        rx_stmin: ``CAN_ISOTP_RX_STMIN``, in nanoseconds.
        frame_txtime: What is added to the separation time, in nanoseconds.
        maximum_pdu: The most bytes in a PDU.
        strict: Do as ISO 15765-2 says where the kernel does otherwise.
        window: How many consecutive frames may be on their way to the bus at a time where no gap
            is asked for; the kernel has 1.
    """

    options: IsotpOptions = attrs.Factory(IsotpOptions)
    flow_control: FlowControlOptions = attrs.Factory(FlowControlOptions)
    link_layer: LinkLayerOptions = attrs.Factory(LinkLayerOptions)
    tx_stmin: int = 0
    rx_stmin: int = 0
    frame_txtime: int = FRAME_TXTIME
    maximum_pdu: int = DEFAULT_MAXIMUM_PDU
    strict: bool = False
    window: int = 1

    def set_options(self, options: IsotpOptions) -> bool:
        """Take the options.

        Returns:
            Whether they go together: of two kinds of broadcast, single frames are taken.
        """
        if not options.flags & _RX_EXTENDED:
            options = attrs.evolve(options, rx_ext_address=options.ext_address)
        together = options.flags & _BROADCAST != _BROADCAST
        if not together:
            options = attrs.evolve(options, flags=options.flags & ~int(IsotpFlag.CF_BROADCAST))
        self.options = options
        if options.frame_txtime:
            zero = options.frame_txtime == FRAME_TXTIME_ZERO
            self.frame_txtime = 0 if zero else options.frame_txtime
        return together

    @property
    def address_size(self) -> int:
        """How many address bytes each frame begins with: 0 or 1."""
        return 1 if self.options.flags & _EXTENDED else 0

    @property
    def flexible(self) -> bool:
        """Whether frames are of CAN FD."""
        return self.link_layer.mtu != CAN_MTU

    def padding_is_wrong(self, data: bytes, length: int, start: int) -> bool:
        """Tell whether a frame is filled up otherwise than the options ask for.

        Args:
            data: Its data.
            length: How much of it counts.
            start: Where the padding begins.
        """
        flags = self.options.flags
        if not flags & _CHECK:
            return False
        if not flags & _RX_PADDING:
            if not flags & _CHECK_LENGTH:
                return True  # there is nothing to compare it with
            return length != (start if length <= 8 else padded_length(start))
        if flags & _CHECK_LENGTH and length != padded_length(length):
            return True
        if flags & _CHECK_DATA:
            padding = data[start:length]
            return padding != bytes((self.options.rxpad,)) * len(padding)
        return False
