"""The rows of docs/explanation/parity.md, one test each."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from anycan.network.core.raw import RawSocketCore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network.conftest import Probe

    from anycan import UserNetwork

EFF, RTR, ERR = 1 << 31, 1 << 30, 1 << 29
INV = ERR
SINGLE, SINGLE_EFF = 0xC00007FF, 0xDFFFFFFF
DONTROUTE, CONFIRM = 0x04, 0x800


def can(word: int, data: bytes = b"") -> bytes:
    return struct.pack("=IBxxB8s", word, len(data), 0, data)


def canfd(word: int, data: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("=IBBxx64s", word, len(data), flags, data)


def canxl(word: int, data: bytes = b"x") -> bytes:
    return struct.pack("=IBBHI", word, 0x80, 0, len(data), 0) + data


def passing(probe: Callable[..., Probe], filters: list[tuple[int, int]], *words: int) -> list[int]:
    """Give which of the words pass."""
    receiver, sender = probe(filters=filters), probe(filters=[])
    for word in words:
        assert sender.send(can(word)) == ""
    return receiver.words()


def test_row_1_order_of_delivery(
    probe: Callable[..., Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    names: dict[int, str] = {}
    monkeypatch.setattr(RawSocketCore, "deliver", lambda self, *_: order.append(names[id(self)]))
    kinds = {"sff": (0x123, SINGLE), "inv": (0x7F0 | INV, 0x7F0), "mask": (0x123, 0x7FF)}
    probes: dict[str, Probe] = {}
    for number in (1, 2):
        for where in ("flexible", ""):
            for kind, one in {**kinds, "all": (0, 0)}.items():
                name = f"{'any' if not where else 'own'}-{kind}-{number}"
                probes[name] = probe(where, [one])
                names[id(probes[name].core)] = name
    sender = probe(filters=[])

    def sent(word: int) -> list[str]:
        order.clear()
        sender.send(can(word))
        return list(order)

    every = [
        f"{where}-{kind}-{number}"
        for where in ("any", "own")
        for kind in ("all", "mask", "inv", "sff")
        for number in (2, 1)
    ]
    assert sent(0x123) == every
    remote = [name for name in every if "sff" not in name]
    assert sent(0x123 | RTR) == remote
    # A filter that is set again keeps its place, also where it is only the same in effect.
    probes["own-all-1"].filter((0, 0))
    probes["own-all-1"].filter((1, 0))
    assert sent(0x123 | RTR) == remote
    probes["own-all-1"].filter()
    probes["own-all-1"].filter((0, 0))
    assert sent(0x123 | RTR)[6:8] == ["own-all-1", "own-all-2"]
    # The same holds for masks of errors.
    for name in ("own-all-1", "any-all-1", "own-all-2"):
        probes[name].set(2, 4)
    assert sent(ERR | 4) == ["any-all-1", "own-all-2", "own-all-1"]
    probes["own-all-1"].set(2, 4)
    assert sent(ERR | 4) == ["any-all-1", "own-all-2", "own-all-1"]
    probes["own-all-1"].set(2, 5)
    assert sent(ERR | 4) == ["any-all-1", "own-all-1", "own-all-2"]


def test_row_2_error_frames_go_by_the_error_mask_only(probe: Callable[..., Probe]) -> None:
    everything, some, others = probe(), probe(filters=[], errors=0x0C), probe(errors=0x40)
    sender = probe(filters=[])
    sender.send(can(ERR | 0x04, bytes(8)))
    sender.send(can(ERR | 0x44, bytes(8)))
    assert everything.words() == []
    assert some.words() == [ERR | 0x04, ERR | 0x44]
    assert others.words() == [ERR | 0x44]


def test_row_3_a_mask_with_the_error_bit_is_an_error_filter(probe: Callable[..., Probe]) -> None:
    assert passing(probe, [(0, ERR | 4)], ERR | 4, ERR | 8, 4) == [ERR | 4]


def test_row_4_a_bare_mask_takes_remote_and_extended_frames(probe: Callable[..., Probe]) -> None:
    words = [0x123, 0x123 | RTR, 0x123 | EFF, 0x1F000123 | EFF]
    assert passing(probe, [(0x123, 0x7FF)], *words, 0x124) == words


def test_row_5_the_extended_flag_in_the_mask_alone_cuts_it(probe: Callable[..., Probe]) -> None:
    assert passing(probe, [(0x123, EFF | 0x1FFFFFFF)], 0x123, 0x123 | EFF, 0x923, 0x123 | RTR) == [
        0x123,
        0x923,
        0x123 | RTR,
    ]
    assert passing(probe, [(0x123, SINGLE_EFF)], 0x123, 0x123 | EFF, 0x1F000923, 0x123 | RTR) == [
        0x123,
        0x1F000923,
    ]
    assert passing(probe, [(0x123 | EFF, SINGLE_EFF)], 0x123, 0x123 | EFF, 0x923 | EFF) == [
        0x123 | EFF
    ]


def test_row_6_inverted_with_mask_zero_takes_nothing(probe: Callable[..., Probe]) -> None:
    assert passing(probe, [(INV, 0)], 0, 1, 0x123) == []
    assert passing(probe, [(INV | 0x123, 0x7FF)], 0x123, 0x124) == [0x124]
    assert passing(probe, [(INV | 0x123, EFF | 0x1FFFFFFF)], 0x123, 0x923, 0x124, 0x123 | EFF) == [
        0x124,
        0x123 | EFF,
    ]


def test_row_7_one_copy_however_many_filters_match(probe: Callable[..., Probe]) -> None:
    filters = [(0, 0), (0x123, 0x7FF), (0x123, 0x7FF)]
    assert passing(probe, filters, 0x123) == [0x123]


def test_row_7_joined_filters_have_to_match_all(probe: Callable[..., Probe]) -> None:
    receiver = probe(filters=[(0x120, 0x7F0), (0x003, 0x00F)], join=1)
    sender = probe(filters=[])
    for word in (0x123, 0x124, 0x133):
        sender.send(can(word))
    assert receiver.words() == [0x123]
    receiver.set(6, 0)
    sender.send(can(0x133))
    receiver.set(6, 5)
    sender.send(can(0x133))
    assert receiver.words() == [0x133]


@pytest.mark.parametrize(
    ("filters", "copies"),
    [
        ([(0, ERR | 0xFF)], 2),
        ([(0, ERR | 0xFF), (0, ERR | 0xFF)], 2),
        ([(0, 0), (1, 0x7FF)], 0),
        ([], 1),
    ],
)
def test_row_7_joined_filters_and_an_error_mask_count_together(
    probe: Callable[..., Probe], filters: list[tuple[int, int]], copies: int
) -> None:
    receiver = probe(filters=filters, join=1, errors=0xFF)
    probe(filters=[]).send(can(ERR | 4, bytes(8)))
    assert receiver.words() == [ERR | 4] * copies


def test_row_8_an_empty_list_takes_nothing(probe: Callable[..., Probe]) -> None:
    receiver, sender = probe(filters=[], errors=4), probe(filters=[])
    sender.send(can(0x123))
    sender.send(can(ERR | 4, bytes(8)))
    assert receiver.words() == [ERR | 4]


def vcid(flags: int, transmit: int = 0, receive: int = 0, mask: int = 0) -> int:
    return flags | transmit << 8 | receive << 16 | mask << 24


@pytest.mark.parametrize(
    ("filters", "options", "expected"),
    [
        ([(0, 0)], vcid(0), [0x00001]),
        ([(0, 0)], vcid(4, receive=1, mask=0xFF), [0x10001]),
        ([(0, 0)], vcid(4, receive=1, mask=0), [0x00001, 0x10001, 0x20001]),
        ([(1, 0x7FF)], vcid(4), [0x00001, 0x10001, 0x20001]),
        ([(1, SINGLE_EFF)], vcid(4), [0x00001, 0x10001, 0x20001]),
        ([(1, 0xFF07FF)], vcid(4), [0x00001]),
        ([(0x10001, 0xFF07FF)], vcid(4), [0x10001]),
    ],
)
def test_row_9_can_xl_is_filtered_by_priority_and_vcid(
    probe: Callable[..., Probe],
    filters: list[tuple[int, int]],
    options: int,
    expected: list[int],
) -> None:
    receiver = probe("long", filters, xl=1, vcid=options)
    sender = probe("long", [], xl=1, vcid=vcid(2))
    for word in (0x00001, 0x10001, 0x20001):
        assert sender.send(canxl(word)) == ""
    assert receiver.words() == expected


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (vcid(0, transmit=5), 0x007FF),
        (vcid(1, transmit=5), 0x507FF),
        (vcid(2, transmit=5), 0x907FF),
        (vcid(3, transmit=5), 0x507FF),
    ],
)
def test_row_9_can_xl_is_sent_with_the_vcid_of_the_options(
    probe: Callable[..., Probe], options: int, word: int
) -> None:
    receiver = probe("long", xl=1, vcid=vcid(4))
    probe("long", xl=1, vcid=options).send(canxl(0xFF0907FF))
    assert receiver.receive() == [(canxl(word), DONTROUTE, "long")]


def test_row_10_without_loopback_nobody_sees_the_frame(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    sender, other, everywhere = probe(loopback=0, own=1), probe(), probe("")
    assert sender.send(can(1)) == ""
    assert sender.words() == other.words() == everywhere.words() == []
    assert (network.interfaces()[0].sent, network.interfaces()[0].received) == (1, 0)


def test_row_11_own_frames_pass_the_filters_like_others(probe: Callable[..., Probe]) -> None:
    sender, other = probe(filters=[(0x123, 0x7FF)], own=1), probe()
    sender.send(can(0x122))
    sender.send(can(0x123))
    assert sender.receive() == [(can(0x123), DONTROUTE | CONFIRM, "flexible")]
    assert other.receive() == [
        (can(0x122), DONTROUTE, "flexible"),
        (can(0x123), DONTROUTE, "flexible"),
    ]


def test_row_12_bytes_pass_unchanged_but_for_the_flag_of_can_fd(
    probe: Callable[..., Probe],
) -> None:
    receiver, sender = probe(fd=1, errors=0x1FFFFFFF), probe(filters=[], fd=1)
    odd = bytes.fromhex("ff050000 03aabbcc 0102030405060708")
    assert sender.send(odd) == ""
    assert sender.send(canfd(1, bytes(9), flags=0xF0)) == ""
    assert sender.send(canfd(0xFFFFFFFF)) == ""
    assert receiver.receive() == [
        (odd, DONTROUTE, "flexible"),
        (canfd(1, bytes(9), flags=0xF4), DONTROUTE, "flexible"),
        (canfd(0xFFFFFFFF, flags=0x04), DONTROUTE, "flexible"),
    ]


def test_row_13_a_frame_is_there_when_the_send_call_returns(probe: Callable[..., Probe]) -> None:
    receiver, sender = probe(""), probe("flexible")
    assert sender.send(can(0x123)) == ""
    assert receiver.polls()[0]
    assert receiver.receive() == [(can(0x123), DONTROUTE, "flexible")]


@pytest.mark.parametrize("payload", [can(1), canfd(1)])
def test_row_14_a_full_buffer_drops_the_newest(probe: Callable[..., Probe], payload: bytes) -> None:
    receiver, sender = probe(fd=1), probe(fd=1)
    for number in range(400):
        sender.send(struct.pack("=I", number) + payload[4:])
    assert receiver.core.drops == 178
    assert receiver.get(55, level=1) == struct.pack(
        "=9I", 213_120, 212_992, 0, 212_992, 0, 0, 0, 0, 178
    )
    assert receiver.words() == list(range(222))
    sender.send(payload)
    assert receiver.words() == [1]


def test_row_15_a_frame_from_a_vxcan_s_other_end_is_not_from_this_host(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_vxcan("fifth", "fourth")
    here, there, everywhere = probe("fifth"), probe("fourth"), probe("")
    sender = probe("fifth", filters=[])
    assert sender.send(can(0x123)) == ""
    assert here.receive() == [(can(0x123), DONTROUTE, "fifth")]
    assert there.receive() == [(can(0x123), 0, "fourth")]
    assert everywhere.receive() == [
        (can(0x123), 0, "fourth"),
        (can(0x123), DONTROUTE, "fifth"),
    ]
