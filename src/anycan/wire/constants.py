"""Numbers of the kernel's interface that Python's socket module lacks, or lacks in Python 3.11.

Each block names the header it is taken from. They are the same on every architecture but for
``SO_*``, which are those of ``asm-generic/socket.h`` (all but Alpha, MIPS, PA-RISC and SPARC).
"""

from __future__ import annotations

from typing import Final

# linux/socket.h
AF_CAN: Final = 29
MSG_DONTROUTE: Final = 0x04  # on a received CAN frame: it was sent on this host
MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40
MSG_CONFIRM: Final = 0x800  # on a received CAN frame: it was sent by this very socket

# asm-generic/socket.h
SOL_SOCKET: Final = 1
SO_ERROR: Final = 4
SO_SNDBUF: Final = 7
SO_RCVBUF: Final = 8
SO_SNDBUFFORCE: Final = 32
SO_RCVBUFFORCE: Final = 33
SO_TIMESTAMP: Final = 29
SO_TIMESTAMPNS: Final = 35
SO_TIMESTAMPING: Final = 37
SO_RXQ_OVFL: Final = 40
SO_MEMINFO: Final = 55

# linux/sock_diag.h: positions in the u32 array that SO_MEMINFO gives
SK_MEMINFO_VARS: Final = 9
SK_MEMINFO_DROPS: Final = 8

# linux/net_tstamp.h
SOF_TIMESTAMPING_RX_HARDWARE: Final = 1 << 2
SOF_TIMESTAMPING_RX_SOFTWARE: Final = 1 << 3
SOF_TIMESTAMPING_SOFTWARE: Final = 1 << 4
SOF_TIMESTAMPING_RAW_HARDWARE: Final = 1 << 6

# linux/can.h
CAN_RAW: Final = 1
CAN_BCM: Final = 2
CAN_ISOTP: Final = 6
SOL_CAN_BASE: Final = 100
CAN_INV_FILTER: Final = 0x20000000
CAN_MTU: Final = 16
CANFD_MTU: Final = 72
CANXL_HEADER_SIZE: Final = 12
CANXL_MIN_MTU: Final = 76
CANXL_MTU: Final = 2060

# linux/can/raw.h
SOL_CAN_RAW: Final = SOL_CAN_BASE + CAN_RAW
CAN_RAW_FILTER: Final = 1
CAN_RAW_ERR_FILTER: Final = 2
CAN_RAW_LOOPBACK: Final = 3
CAN_RAW_RECV_OWN_MSGS: Final = 4
CAN_RAW_FD_FRAMES: Final = 5
CAN_RAW_JOIN_FILTERS: Final = 6
CAN_RAW_XL_FRAMES: Final = 7
CAN_RAW_XL_VCID_OPTS: Final = 8
CAN_RAW_XL_VCID_TX_SET: Final = 1
CAN_RAW_XL_VCID_TX_PASS: Final = 2
CAN_RAW_XL_VCID_RX_FILTER: Final = 4

# linux/can/isotp.h
SOL_CAN_ISOTP: Final = SOL_CAN_BASE + CAN_ISOTP
CAN_ISOTP_OPTS: Final = 1
CAN_ISOTP_RECV_FC: Final = 2
CAN_ISOTP_TX_STMIN: Final = 3
CAN_ISOTP_RX_STMIN: Final = 4
CAN_ISOTP_LL_OPTS: Final = 5
