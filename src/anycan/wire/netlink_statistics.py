"""The counts that every network interface has (``linux/if_link.h``)."""

from __future__ import annotations

from struct import Struct
from typing import Final

import attrs

from anycan.wire.netlink_attributes import Record


@attrs.frozen
class LinkStatistics:
    """A ``struct rtnl_link_stats64``, up to ``rx_nohandler``: counts since the interface was made.

    Packets are frames, and bytes are those of their data. ``rx_errors`` and ``tx_errors`` are of
    all kinds together; ``rx_dropped`` and ``tx_dropped`` are frames for which there was no room, or
    that made no sense. Of the single kinds drivers of CAN controllers count few:
    ``rx_over_errors`` for frames that were overwritten before they had been read,
    ``tx_aborted_errors`` for those whose sending was given up.
    """

    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_errors: int = 0
    tx_errors: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0
    multicast: int = 0
    collisions: int = 0
    rx_length_errors: int = 0
    rx_over_errors: int = 0
    rx_crc_errors: int = 0
    rx_frame_errors: int = 0
    rx_fifo_errors: int = 0
    rx_missed_errors: int = 0
    tx_aborted_errors: int = 0
    tx_carrier_errors: int = 0
    tx_fifo_errors: int = 0
    tx_heartbeat_errors: int = 0
    tx_window_errors: int = 0
    rx_compressed: int = 0
    tx_compressed: int = 0
    rx_nohandler: int = 0


LINK_STATISTICS: Final = Record(LinkStatistics, Struct("=24Q"), least=23 * 8)
"""How they are written. Before Linux 4.6 there was no ``rx_nohandler``."""
