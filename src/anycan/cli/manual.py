"""What ``--help`` shows of a command besides its options, known without importing the command."""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen
class Page:
    """A command's part of the manual.

    Attributes:
        usage: What stands behind the command's name.
        examples: Command lines, in Markdown.
    """

    usage: str
    examples: str


PAGES: Final = {
    "dump": Page(
        "[OPTIONS] [SOURCE...]",
        """\
**Examples**

    anycan dump can0
    anycan dump -ta can0,123:7FF,400~7F0 can1
    anycan dump -e any,0:0,#FFFFFFFF
    anycan dump -L can0 > trip.log
""",
    ),
    "send": Page(
        "[OPTIONS] INTERFACE FRAME...",
        """\
**Examples**

    anycan send can0 123#DEADBEEF
    anycan send can0 18DAF110#021003 123#R 456##3AABB
    anycan send can0 123#00 --count 10 --interval 0.1
""",
    ),
    "cyclic": Page(
        "[OPTIONS] INTERFACE FRAME...",
        """\
**Examples**

    anycan cyclic can0 123#DEADBEEF --interval 0.1
    anycan cyclic can0 123#00 123#01 123#02 -g 0.02
    anycan cyclic can0 100#11 200#22 18FEF100#33 -g 0.01 --separate
    anycan cyclic can0 123#01 -g 0.01 --count 10 --then 1
""",
    ),
    "watch": Page(
        "[OPTIONS] INTERFACE MESSAGE...",
        """\
**Examples**

    anycan watch can0 123
    anycan watch can0 123:FF00 18FEF100:00FFFF --timeout 1
    anycan watch can0 123 --throttle 0.5 -ta
    anycan watch can0 3C0:FF:01=00FFFF,02=000F
    anycan watch -L any 123 > changes.log
""",
    ),
    "gen": Page(
        "[OPTIONS] INTERFACE",
        """\
**Examples**

    anycan gen vcan0
    anycan gen vcan0 -g 4 -I 42A -L 1 -D i
    anycan gen vcan0 -g 0 -n 100000 --mix --seed 1
    anycan gen vcan0 -D 11223344DEADBEEF -L 8
""",
    ),
    "play": Page(
        "[OPTIONS] FILE [MAPPING...]",
        """\
**Examples**

    anycan play trip.log
    anycan play trip.log vcan0=can0 vcan1=can1
    anycan play trip.log vcan0=can0 --fast --loop 10
    candump -L can0 | anycan play - vcan0=can0
""",
    ),
    "demo": Page(
        "[OPTIONS]",
        """\
**Examples**

    anycan demo
    anycan demo --log trip.log --fast
    sudo "$(which anycan)" demo --network kernel
""",
    ),
    "doctor": Page(
        "[OPTIONS]",
        """\
**Examples**

    anycan doctor
    anycan doctor --json
""",
    ),
}

INTERFACES_HELP: Final = """\
Interfaces: what there is, setting it up, virtual ones, and what happens to them.

What changes something of the kernel's needs the capability CAP_NET_ADMIN (`sudo "$(which anycan)"
...`); what looks at something needs no rights.
"""

INTERFACES_PAGES: Final = {
    "list": Page(
        "[OPTIONS]",
        """\
**Examples**

    anycan interfaces list
    anycan interfaces list --json
""",
    ),
    "show": Page(
        "[OPTIONS] NAME",
        """\
**Examples**

    anycan interfaces show can0
    anycan interfaces show can0 --json
""",
    ),
    "up": Page(
        "[OPTIONS] NAME...",
        """\
**Examples**

    anycan interfaces up vcan0
    anycan interfaces up can0 can1
""",
    ),
    "down": Page(
        "[OPTIONS] NAME...",
        """\
**Examples**

    anycan interfaces down can0 can1
""",
    ),
    "add": Page(
        "[OPTIONS] NAME",
        """\
**Examples**

    anycan interfaces add vcan0
    anycan interfaces add vcan1 --mtu 16 --exist-ok
    anycan interfaces add vxcan0 --peer can0 --namespace guest
""",
    ),
    "delete": Page(
        "[OPTIONS] NAME...",
        """\
**Examples**

    anycan interfaces delete vcan0 vcan1
""",
    ),
    "set": Page(
        "[OPTIONS] NAME",
        """\
**Examples**

    anycan interfaces set can0 --bitrate 500k --restart 0.1 --queue-length 1000 --up
    anycan interfaces set can0 --bitrate 500k --sample-point 0.8 --data-bitrate 2M --up
    anycan interfaces set can0 --listen-only --no-fd
    anycan interfaces set vcan0 --mtu 16
""",
    ),
    "restart": Page(
        "[OPTIONS] NAME",
        """\
**Examples**

    anycan interfaces restart can0
""",
    ),
    "watch": Page(
        "[OPTIONS] [NAME...]",
        """\
**Examples**

    anycan interfaces watch
    anycan interfaces watch can0 can1 --present -tA
    anycan interfaces watch --json
""",
    ),
}

ISOTP_HELP: Final = """\
ISO-TP (ISO 15765-2): PDUs of many frames between two nodes, as diagnostics has them.

Identifiers are those of this node: it sends with *--tx* and receives *--rx*.
"""

ISOTP_PAGES: Final = {
    "send": Page(
        "[OPTIONS] INTERFACE [DATA...]",
        """\
**Examples**

    anycan isotp send can0 --tx 7E0 --rx 7E8 22 F1 90 --wait 1
    anycan isotp send can0 --tx 7E0 --rx 7E8 --file image.bin --binary
    anycan isotp send can0 --mode normal-fixed --target 10 --source F1 3E00
    anycan isotp send can0 --tx 7DF --functional 0100 -w 1 --responder 7E0,7E8
""",
    ),
    "recv": Page(
        "[OPTIONS] INTERFACE",
        """\
**Examples**

    anycan isotp recv can0 --tx 7E8 --rx 7E0
    anycan isotp recv can0 --tx 7E8 --rx 7E0 --block-size 8 --stmin 0.01 -n 1
    anycan isotp recv can0 --rx 7DF --listen-only --ascii
""",
    ),
    "dump": Page(
        "[OPTIONS] SOURCE",
        """\
**Examples**

    anycan isotp dump trip.log
    anycan isotp dump trip.log --tx 7E0 --rx 7E8 --functional 7DF -t z
    anycan isotp dump can0 --pair 7E0,7E8 --pair 6F1:12,612:F1
    candump -L can0 | anycan isotp dump - --pair 7E0,7E8 --json
""",
    ),
    "serve": Page(
        "[OPTIONS] INTERFACE",
        """\
**Examples**

    anycan isotp serve can0 --tx 7E8 --rx 7E0 --echo
    anycan isotp serve can0 --tx 7E8 --rx 7E0 -r 22F190=62F19041 -r 3E80= -r 3E..=7E..
    anycan isotp serve can0 --tx 7E8 --rx 7E0 --functional 7DF -r 0100=4100BE1FA813
""",
    ),
}

GATEWAY_HELP: Final = """\
Gateways: frames forwarded between interfaces, by the rules of a file.
"""

GATEWAY_PAGES: Final = {
    "check": Page(
        "FILE...",
        """\
**Examples**

    anycan gateway check gateway.toml
    anycan gateway check /etc/anycan/*.toml
""",
    ),
    "run": Page(
        "[OPTIONS] FILE",
        """\
**Examples**

    anycan gateway run gateway.toml
    anycan gateway run /etc/anycan/door.toml --log-format json --log-level warning
""",
    ),
    "show": Page(
        "[OPTIONS] [NAME]",
        """\
**Examples**

    anycan gateway show
    anycan gateway show door --once
    anycan gateway show door --json --interval 10
""",
    ),
}

NETWORK_HELP: Final = """\
A user-space network for many processes: served to them, and looked at.

It needs neither SocketCAN nor any right. The other commands use it with the environment variable
ANYCAN_NETWORK=unix:PATH, or `--network unix:PATH`.
"""

NETWORK_PAGES: Final = {
    "serve": Page(
        "[OPTIONS] [-- COMMAND...]",
        """\
**Examples**

    anycan network serve --vcan vcan0 vcan1
    anycan network serve --vcan vcan0 -- pytest tests
    anycan network serve --slcan can0=/dev/ttyACM0,bitrate=500k
    anycan network serve --path /run/anycan/can --vcan vcan0 --group bench --group-writable
    anycan network serve --can can0=500k can1=500k
""",
    ),
    "status": Page(
        "[OPTIONS]",
        """\
**Examples**

    anycan network status
    anycan network status --path /run/anycan/can --watch
    anycan network status --json --watch --interval 10
""",
    ),
}
