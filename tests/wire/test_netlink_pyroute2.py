"""Links as pyroute2 reads and writes them, and those that this machine has."""

from __future__ import annotations

import socket
import sys
from typing import Any

import attrs
import pytest

from anycan.wire import netlink_link
from anycan.wire.netlink import (
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_ROUTE,
    SOL_NETLINK,
    Exchange,
    NetlinkMessage,
)
from anycan.wire.netlink_can import (
    CAN_PARAMETERS,
    CanErrorCounters,
    CanMode,
    CanModes,
    CanParameters,
    CanState,
    CanStatistics,
    CanSupportedModes,
)
from anycan.wire.netlink_link import ARPHRD_CAN, Link, LinkFlag, LinkInfo, OperState
from anycan.wire.netlink_requests import create_vxcan, delete_link, dump_links, get_link
from anycan.wire.netlink_statistics import LinkStatistics
from anycan.wire.netlink_timing import BitTiming, BitTimingConstants, TransmitterDelay

if sys.platform != "linux":
    pytest.skip("netlink is Linux's", allow_module_level=True)

ifinfmsg = pytest.importorskip("pyroute2.netlink.rtnl.ifinfmsg")


def read(message: NetlinkMessage) -> Any:
    """Give what pyroute2 reads in a message."""
    found = ifinfmsg.ifinfmsg(message.pack())
    found.decode()
    return found


def write(kind: str, content: Any, **fields: Any) -> Link:
    """Give what we read in a link of some kind that pyroute2 has written."""
    message = ifinfmsg.ifinfmsg()
    message.update(fields)
    info = [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", {"attrs": content})]
    message["attrs"] = [("IFLA_IFNAME", "can0"), ("IFLA_LINKINFO", {"attrs": info})]
    message.encode()
    return Link.unpack(bytes(message.data[16:]))


def fields_of(found: Any) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in {"attrs", "header"}}


def nested(found: Any) -> dict[str, Any]:
    """Give pyroute2's attributes as a dict, without their prefix, all the way down."""
    return {
        name.partition("_")[2]: nested(value)
        if isinstance(value, dict) and "attrs" in value
        else fields_of(value)
        if isinstance(value, dict)
        else value
        for name, value in found["attrs"]
    }


PARAMETERS = CanParameters(
    bit_timing=BitTiming(500_000, 875, 125, 6, 7, 2, 1, 1),
    clock=8_000_000,
    state=CanState.ERROR_PASSIVE,
    modes=CanModes(0, CanMode.FD | CanMode.LISTENONLY),
    restart_ms=100,
    error_counters=CanErrorCounters(130, 7),
    data_bit_timing=BitTiming(2_000_000, 750, 25, 7, 7, 5, 1, 1),
    data_bit_timing_limits=BitTimingConstants("x" * 16, 1, 32, 1, 16, 16, 1, 32, 1),
    termination=120,
    terminations=(0, 120),
    bitrates=(125_000, 500_000),
    data_bitrates=(2_000_000,),
    bitrate_max=8_000_000,
    delay=TransmitterDelay(0, 127, 0, 127, 0, 31, 9, 8, 7),
)
TIMING = ("bitrate", "sample_point", "tq", "prop_seg", "phase_seg1", "phase_seg2", "sjw", "brp")


def test_pyroute2_reads_a_controller() -> None:
    link = Link(
        3,
        LinkFlag.UP | LinkFlag.ECHO,
        device_type=ARPHRD_CAN,
        name="can0",
        mtu=72,
        queue_length=10,
        oper_state=OperState.UP,
        info=LinkInfo("can", PARAMETERS),
        statistics=LinkStatistics(*range(24)),
        carrier=1,
        mtu_min=16,
        mtu_max=72,
        other_names=("left", "right"),
        parent_name="1-1:1.0",
        parent_bus="usb",
    )
    found = read(NetlinkMessage(netlink_link.RTM_NEWLINK, 0, link.pack()))
    assert (found["index"], found["flags"], found["ifi_type"]) == (3, link.flags, ARPHRD_CAN)
    known = nested(found)
    told = {name: known[name] for name in ("IFNAME", "MTU", "TXQLEN", "OPERSTATE", "CARRIER")}
    assert told == {"IFNAME": "can0", "MTU": 72, "TXQLEN": 10, "OPERSTATE": "UP", "CARRIER": 1}
    assert (known["MIN_MTU"], known["MAX_MTU"]) == (16, 72)
    names = [value for _, value in found.get_attr("IFLA_PROP_LIST")["attrs"]]
    assert names == ["left", "right"]
    counted = attrs.astuple(LinkStatistics(*range(24)))
    assert tuple(known["STATS64"].values())[: len(counted) - 1] == counted[:-1]
    assert known["LINKINFO"]["INFO_KIND"] == "can"
    can = known["LINKINFO"]["INFO_DATA"]
    assert tuple(can["CAN_BITTIMING"][name] for name in TIMING) == attrs.astuple(
        BitTiming(500_000, 875, 125, 6, 7, 2, 1, 1)
    )
    assert can["CAN_DATA_BITTIMING"]["bitrate"] == 2_000_000
    limits = can["CAN_DATA_BITTIMING_CONST"]
    assert (limits["name"], limits["tseg1_max"], limits["brp_inc"]) == (b"x" * 16, 32, 1)
    assert (can["CAN_CLOCK"], can["CAN_STATE"]) == (8_000_000, "ERROR_PASSIVE")
    modes = {name for name, value in can["CAN_CTRLMODE"].items() if value == "on"}
    assert modes == {"fd", "listenonly"}
    assert (can["CAN_RESTART_MS"], can["CAN_TERMINATION"]) == (100, 120)
    assert can["CAN_BERR_COUNTER"] == {"txerr": 130, "rxerr": 7}
    assert can["CAN_TERMINATION_CONST"] == (0, 120)
    assert can["CAN_BITRATE_CONST"] == (125_000, 500_000)
    assert can["CAN_DATA_BITRATE_CONST"] == (2_000_000,)
    assert can["CAN_BITRATE_MAX"] == 8_000_000
    assert list(can["CAN_TDC"].values()) == [0, 127, 0, 127, 0, 31, 9, 8, 7]


def test_we_read_a_controller_that_pyroute2_has_written() -> None:
    timing = dict(zip(TIMING, (500_000, 875, 125, 6, 7, 2, 1, 1), strict=True))
    delay = [("IFLA_CAN_TDC_TDCV", 9), ("IFLA_CAN_TDC_TDCO", 8), ("IFLA_CAN_TDC_TDCF_MAX", 31)]
    link = write(
        "can",
        [
            ("IFLA_CAN_BITTIMING", timing),
            ("IFLA_CAN_CLOCK", 8_000_000),
            ("IFLA_CAN_CTRLMODE", {"fd": "on", "one_shot": "off"}),
            ("IFLA_CAN_RESTART_MS", 100),
            ("IFLA_CAN_BERR_COUNTER", {"txerr": 130, "rxerr": 7}),
            ("IFLA_CAN_TERMINATION", 120),
            ("IFLA_CAN_TERMINATION_CONST", [0, 120]),
            ("IFLA_CAN_BITRATE_CONST", [125_000, 500_000]),
            ("IFLA_CAN_BITRATE_MAX", 8_000_000),
            ("IFLA_CAN_TDC", {"attrs": delay}),
        ],
        index=3,
        flags=1,
        change=1,
    )
    expected = CanParameters(
        bit_timing=BitTiming(500_000, 875, 125, 6, 7, 2, 1, 1),
        clock=8_000_000,
        modes=CanModes(CanMode.FD | CanMode.ONE_SHOT, CanMode.FD),
        restart_ms=100,
        error_counters=CanErrorCounters(130, 7),
        termination=120,
        terminations=(0, 120),
        bitrates=(125_000, 500_000),
        bitrate_max=8_000_000,
        delay=TransmitterDelay(value=9, offset=8, filter_max=31),
    )
    assert link == Link(3, 1, 1, name="can0", info=LinkInfo("can", expected))


def test_pyroute2_reads_the_modes_that_a_controller_supports() -> None:
    supported = CanSupportedModes(CanMode.LOOPBACK | CanMode.FD)
    link = Link(info=LinkInfo("can", CanParameters(supported_modes=supported)))
    known = nested(read(NetlinkMessage(netlink_link.RTM_NEWLINK, 0, link.pack())))
    modes = known["LINKINFO"]["INFO_DATA"]["CAN_CTRLMODE_EXT"]["CAN_CTRLMODE_SUPPORTED"]
    assert {name for name, value in modes.items() if value == "yes"} == {"loopback", "fd"}


def test_pyroute2_knows_the_same_numbers() -> None:
    names = [name for name, _ in ifinfmsg.ifinfmsg.nla_map]
    table = netlink_link._LINK.nest.table
    assert {number: names[number] for number in table} == {
        3: "IFLA_IFNAME",
        4: "IFLA_MTU",
        5: "IFLA_LINK",
        6: "IFLA_QDISC",
        10: "IFLA_MASTER",
        13: "IFLA_TXQLEN",
        16: "IFLA_OPERSTATE",
        18: "IFLA_LINKINFO",
        19: "IFLA_NET_NS_PID",
        20: "IFLA_IFALIAS",
        23: "IFLA_STATS64",
        27: "IFLA_GROUP",
        28: "IFLA_NET_NS_FD",
        30: "IFLA_PROMISCUITY",
        33: "IFLA_CARRIER",
        35: "IFLA_CARRIER_CHANGES",
        37: "IFLA_LINK_NETNSID",
        45: "IFLA_NEW_NETNSID",
        49: "IFLA_NEW_IFINDEX",
        50: "IFLA_MIN_MTU",
        51: "IFLA_MAX_MTU",
        52: "IFLA_PROP_LIST",
        56: "IFLA_PARENT_DEV_NAME",
        57: "IFLA_PARENT_DEV_BUS_NAME",
    }
    can = [name for name, _ in ifinfmsg.can.can.nla_map]
    assert set(range(1, len(can))) <= set(CAN_PARAMETERS.table)


def test_pyroute2_reads_what_we_ask_for() -> None:
    found = read(delete_link(3))
    assert (found["header"]["type"], found["header"]["flags"], found["index"]) == (17, 5, 3)
    found = read(get_link(name="can0"))
    assert (found["header"]["type"], found.get_attr("IFLA_IFNAME")) == (18, "can0")
    found = read(create_vxcan("a", Link(name="b")))
    assert found.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "vxcan"


@pytest.fixture
def kernel() -> Any:
    """Give a socket of rtnetlink."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as rtnetlink:
        rtnetlink.settimeout(10)
        rtnetlink.bind((0, 0))
        rtnetlink.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        rtnetlink.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        yield rtnetlink


def ask(kernel: socket.socket, request: NetlinkMessage) -> tuple[list[NetlinkMessage], int]:
    """Give the answers to a request, and its error number."""
    exchange = Exchange(1)
    kernel.send(request.pack(1))
    answers = []
    while exchange.acknowledgement is None:
        answers += exchange.feed(kernel.recv(1 << 17))
    return answers, exchange.acknowledgement.error


def test_the_links_of_this_machine(kernel: socket.socket) -> None:
    answers, error = ask(kernel, dump_links())
    assert error == 0
    assert len(answers) >= 1
    for answer in answers:
        ours, theirs = Link.unpack(answer.payload), read(answer)
        assert (ours.index, ours.flags, ours.device_type) == (
            theirs["index"],
            theirs["flags"],
            theirs["ifi_type"],
        )
        assert ours.name == theirs.get_attr("IFLA_IFNAME")
        assert ours.mtu == theirs.get_attr("IFLA_MTU")
        assert ours.queue_length == theirs.get_attr("IFLA_TXQLEN")
        assert ours.oper_state is not None
        assert OperState(ours.oper_state).name == theirs.get_attr("IFLA_OPERSTATE")
        kind = ours.info.kind if ours.info is not None else None
        assert kind == theirs.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
        assert ours.queueing == theirs.get_attr("IFLA_QDISC")
        assert (ours.mtu_min, ours.mtu_max) == (
            theirs.get_attr("IFLA_MIN_MTU"),
            theirs.get_attr("IFLA_MAX_MTU"),
        )
        assert ours.carrier == theirs.get_attr("IFLA_CARRIER")
        assert ours.parent_name == theirs.get_attr("IFLA_PARENT_DEV_NAME")
        assert ours.parent_bus == theirs.get_attr("IFLA_PARENT_DEV_BUS_NAME")
        assert ours.statistics is not None
        counts = fields_of(theirs.get_attr("IFLA_STATS64"))
        assert counts == {name: getattr(ours.statistics, name) for name in counts}


def test_one_link_of_this_machine(kernel: socket.socket) -> None:
    for index, name in socket.if_nameindex():
        for request in (get_link(index), get_link(name=name)):
            (answer,), error = ask(kernel, request)
            link = Link.unpack(answer.payload)
            assert (link.index, link.name, error) == (index, name, 0)


def test_a_link_that_there_is_not(kernel: socket.socket) -> None:
    assert ask(kernel, get_link(2**31 - 1)) == ([], 19)
    assert ask(kernel, get_link(name="no such link")) == ([], 19)


def test_the_statistics_of_a_controller() -> None:
    """Pyroute2 leaves them as they are."""
    link = Link(info=LinkInfo("can", None, CanStatistics(1, 2, 3, 4, 5, 6)))
    found = read(NetlinkMessage(netlink_link.RTM_NEWLINK, 0, link.pack()))
    xstats = found.get_nested("IFLA_LINKINFO", "IFLA_INFO_XSTATS")
    numbers = [1, 2, 3, 4, 5, 6]
    expected = b"".join(number.to_bytes(4, sys.byteorder) for number in numbers)
    assert bytes.fromhex(xstats.replace(":", "")) == expected
