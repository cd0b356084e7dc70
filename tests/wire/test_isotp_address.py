"""ISO-TP's addresses: identifiers and address bytes of each addressing mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, strategies

from anycan.exceptions import AddressError, CanError
from anycan.wire.isotp_address import Address, AddressingMode

if TYPE_CHECKING:
    from collections.abc import Callable

EFF = 0x8000_0000
_nodes = strategies.integers(0, 255)


class TestNormal:
    def test_it_is_its_identifiers(self) -> None:
        address = Address.normal(0x7E0, 0x7E8)
        assert attrs.asdict(address) == {
            "mode": AddressingMode.NORMAL,
            "tx_id": 0x7E0,
            "rx_id": 0x7E8,
            "extended_ids": False,
            "tx_extension": None,
            "rx_extension": None,
            "target": None,
            "source": None,
        }
        assert (address.tx_word, address.rx_word, address.functional) == (0x7E0, 0x7E8, False)

    @pytest.mark.parametrize(
        ("tx_id", "rx_id", "extended", "has_29_bits"),
        [
            (0x000, 0x7FF, None, False),
            (0x7FF, 0x000, None, False),
            (0x800, 0x18DAF110, None, True),
            (0x001, 0x800, True, True),
            (0x800, None, None, True),
            (0x1FFFFFFF, None, None, True),
            (0x001, None, None, False),
            (0x001, 0x002, True, True),
            (0x001, 0x002, False, False),
            (0x001, None, True, True),
        ],
    )
    def test_29_bits(
        self, tx_id: int, rx_id: int | None, extended: bool | None, has_29_bits: bool
    ) -> None:
        address = Address.normal(tx_id, rx_id, extended=extended)
        flag = EFF if has_29_bits else 0
        assert address.extended_ids is has_29_bits
        assert address.tx_word == tx_id | flag
        assert address.rx_word == (0 if rx_id is None else rx_id | flag)

    def test_functional(self) -> None:
        address = Address.normal(0x7DF, None)
        assert (address.functional, address.rx_id, address.rx_word) == (True, None, 0)


class TestNormalFixed:
    @pytest.mark.parametrize(
        ("priority", "tx_id", "rx_id"),
        [
            (0, 0x00DA10F1, 0x00DAF110),
            (1, 0x04DA10F1, 0x04DAF110),
            (3, 0x0CDA10F1, 0x0CDAF110),
            (6, 0x18DA10F1, 0x18DAF110),
            (7, 0x1CDA10F1, 0x1CDAF110),
        ],
    )
    def test_physical(self, priority: int, tx_id: int, rx_id: int) -> None:
        address = Address.normal_fixed(target=0x10, source=0xF1, priority=priority)
        assert (address.mode, address.extended_ids) == (AddressingMode.NORMAL_FIXED, True)
        assert (address.tx_id, address.rx_id) == (tx_id, rx_id)
        assert (address.tx_word, address.rx_word) == (tx_id | EFF, rx_id | EFF)
        assert (address.target, address.source) == (0x10, 0xF1)
        assert (address.tx_extension, address.rx_extension) == (None, None)

    def test_the_usual_priority(self) -> None:
        assert Address.normal_fixed(0x10, 0xF1) == Address.normal_fixed(0x10, 0xF1, priority=6)

    @pytest.mark.parametrize(("priority", "tx_id"), [(6, 0x18DB33F1), (3, 0x0CDB33F1)])
    def test_functional(self, priority: int, tx_id: int) -> None:
        address = Address.normal_fixed(target=0x33, source=0xF1, functional=True, priority=priority)
        assert (address.tx_id, address.rx_id, address.functional) == (tx_id, None, True)
        assert (address.tx_word, address.rx_word) == (tx_id | EFF, 0)
        assert (address.target, address.source) == (0x33, 0xF1)

    @given(_nodes, _nodes, strategies.integers(0, 7))
    def test_any_pair(self, target: int, source: int, priority: int) -> None:
        if target == source:
            with pytest.raises(AddressError):
                Address.normal_fixed(target, source, priority=priority)
            return
        address = Address.normal_fixed(target, source, priority=priority)
        for word, to, by in (
            (address.tx_id, target, source),
            (address.rx_id or 0, source, target),
        ):
            assert word.to_bytes(4, "big") == bytes((priority << 2, 0xDA, to, by))


class TestExtended:
    def test_each_direction_has_its_byte(self) -> None:
        address = Address.extended(0x6F1, 0x612, target=0x12, source=0xF1)
        assert address.mode is AddressingMode.EXTENDED
        assert (address.tx_id, address.rx_id, address.extended_ids) == (0x6F1, 0x612, False)
        assert (address.tx_extension, address.rx_extension) == (0x12, 0xF1)
        assert (address.target, address.source) == (0x12, 0xF1)
        assert (address.tx_word, address.rx_word) == (0x6F1, 0x612)

    def test_29_bits(self) -> None:
        assert Address.extended(0x800, 0x801, target=1, source=2).rx_word == 0x801 | EFF
        assert Address.extended(2, 1, target=1, source=2, extended=True).tx_word == 2 | EFF

    def test_functional(self) -> None:
        address = Address.extended(0x6F1, None, target=0xDF, source=0xF1)
        assert (address.functional, address.rx_word) == (True, 0)


class TestMixed:
    def test_of_11_bits(self) -> None:
        address = Address.mixed_11(0x7E0, 0x7E8, extension=0x55)
        assert address.mode is AddressingMode.MIXED_11
        assert (address.tx_id, address.rx_id, address.extended_ids) == (0x7E0, 0x7E8, False)
        assert (address.tx_extension, address.rx_extension) == (0x55, 0x55)
        assert (address.target, address.source) == (None, None)
        assert Address.mixed_11(0x7DF, None, extension=0).functional

    @pytest.mark.parametrize(
        ("functional", "priority", "tx_id", "rx_id"),
        [
            (False, 6, 0x18CE10F1, 0x18CEF110),
            (False, 0, 0x00CE10F1, 0x00CEF110),
            (False, 7, 0x1CCE10F1, 0x1CCEF110),
            (True, 6, 0x18CD10F1, None),
            (True, 3, 0x0CCD10F1, None),
        ],
    )
    def test_of_29_bits(
        self, functional: bool, priority: int, tx_id: int, rx_id: int | None
    ) -> None:
        address = Address.mixed_29(
            target=0x10, source=0xF1, extension=0x55, functional=functional, priority=priority
        )
        assert (address.mode, address.extended_ids) == (AddressingMode.MIXED_29, True)
        assert (address.tx_id, address.rx_id) == (tx_id, rx_id)
        assert (address.tx_extension, address.rx_extension) == (0x55, 0x55)
        assert (address.target, address.source) == (0x10, 0xF1)
        assert address.functional is functional
        assert address.tx_word == tx_id | EFF


ALL = [
    Address.normal(0x7E0, 0x7E8),
    Address.normal(0x18DA10F1, 0x7E8, extended=True),
    Address.normal_fixed(0x10, 0xF1, priority=3),
    Address.extended(0x6F1, 0x612, target=0x12, source=0xF1),
    Address.mixed_11(0x7E0, 0x7E8, extension=0x55),
    Address.mixed_29(0x10, 0xF1, extension=0x55),
]


class TestReversed:
    @pytest.mark.parametrize(
        ("address", "other"),
        [
            (ALL[0], Address.normal(0x7E8, 0x7E0)),
            (ALL[1], Address.normal(0x7E8, 0x18DA10F1, extended=True)),
            (ALL[2], Address.normal_fixed(0xF1, 0x10, priority=3)),
            (ALL[3], Address.extended(0x612, 0x6F1, target=0xF1, source=0x12)),
            (ALL[4], Address.mixed_11(0x7E8, 0x7E0, extension=0x55)),
            (ALL[5], Address.mixed_29(0xF1, 0x10, extension=0x55)),
        ],
    )
    def test_it_is_what_the_other_node_has(self, address: Address, other: Address) -> None:
        assert address.reversed() == other
        assert other.reversed() == address

    @pytest.mark.parametrize(
        "address",
        [
            Address.normal(0x7DF, None),
            Address.normal_fixed(0x33, 0xF1, functional=True),
            Address.extended(0x6F1, None, target=0xDF, source=0xF1),
            Address.mixed_11(0x7DF, None, extension=1),
            Address.mixed_29(0x33, 0xF1, extension=1, functional=True),
        ],
    )
    def test_a_functional_one_has_no_other(self, address: Address) -> None:
        with pytest.raises(AddressError) as caught:
            address.reversed()
        assert str(caught.value) == f"{address!r} is functional: nobody sends to it"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (ALL[0], "Address.normal(0x7E0, 0x7E8)"),
        (ALL[1], "Address.normal(0x18DA10F1, 0x000007E8)"),
        (Address.normal(1, None), "Address.normal(0x001, None)"),
        (
            ALL[2],
            "Address.normal_fixed(target=0x10, source=0xF1, tx_id=0x0CDA10F1, rx_id=0x0CDAF110)",
        ),
        (
            Address.normal_fixed(3, 4, functional=True),
            "Address.normal_fixed(target=0x03, source=0x04, tx_id=0x18DB0304, rx_id=None)",
        ),
        (ALL[3], "Address.extended(0x6F1, 0x612, target=0x12, source=0xF1)"),
        (ALL[4], "Address.mixed_11(0x7E0, 0x7E8, extension=0x55)"),
        (
            ALL[5],
            (
                "Address.mixed_29(target=0x10, source=0xF1, extension=0x55, "
                "tx_id=0x18CE10F1, rx_id=0x18CEF110)"
            ),
        ),
        (
            # Made without a class method, it may leave out what its mode should have.
            Address(mode=AddressingMode.EXTENDED, tx_id=1, rx_id=2, extended_ids=False),
            "Address.extended(0x001, 0x002, target=None, source=None)",
        ),
    ],
)
def test_what_it_looks_like(address: Address, text: str) -> None:
    assert repr(address) == text


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Address.normal(-1, 2), "tx_id of an address is 0 to 0x1fffffff, not -0x1"),
            (
                lambda: Address.normal(1 << 29, 2),
                "tx_id of an address is 0 to 0x1fffffff, not 0x20000000",
            ),
            (lambda: Address.normal(1, -1), "rx_id of an address is 0 to 0x1fffffff, not -0x1"),
            (
                lambda: Address.normal(0x7E0, 0x18DAF110),
                (
                    "tx_id 0x7e0 and rx_id 0x18daf110 are of 11 bits and of 29: if both are to"
                    " have 29, say extended=True"
                ),
            ),
            (
                lambda: Address.normal(0x80000001, 2),
                "tx_id of an address is 0 to 0x1fffffff, not 0x80000001",
            ),
            (
                lambda: Address.normal(0x800, 2, extended=False),
                "tx_id of an address is 0 to 0x7ff, not 0x800",
            ),
            (
                lambda: Address.normal(2, 0x800, extended=False),
                "rx_id of an address is 0 to 0x7ff, not 0x800",
            ),
            (
                lambda: Address.normal(0x7E0, 0x7E0),
                "tx_id and rx_id are both 0x7e0: each direction has its own identifier",
            ),
            (
                lambda: Address.normal_fixed(0x100, 1),
                "target of an address is 0 to 0xff, not 0x100",
            ),
            (lambda: Address.normal_fixed(1, -1), "source of an address is 0 to 0xff, not -0x1"),
            (
                lambda: Address.normal_fixed(1, 2, priority=8),
                "priority of an address is 0 to 0x7, not 0x8",
            ),
            (
                lambda: Address.normal_fixed(1, 2, priority=-1),
                "priority of an address is 0 to 0x7, not -0x1",
            ),
            (
                lambda: Address.normal_fixed(1, 1),
                "tx_id and rx_id are both 0x18da0101: each direction has its own identifier",
            ),
            (
                lambda: Address.extended(1, 2, target=256, source=0),
                "tx_extension of an address is 0 to 0xff, not 0x100",
            ),
            (
                lambda: Address.extended(1, 2, target=0, source=256),
                "rx_extension of an address is 0 to 0xff, not 0x100",
            ),
            (
                lambda: Address.extended(1, 1, target=1, source=2),
                "tx_id and rx_id are both 0x1: each direction has its own identifier",
            ),
            (
                lambda: Address.extended(0x800, 1, target=1, source=2, extended=False),
                "tx_id of an address is 0 to 0x7ff, not 0x800",
            ),
            (
                lambda: Address.mixed_11(0x800, 1, extension=0),
                "tx_id of an address is 0 to 0x7ff, not 0x800",
            ),
            (
                lambda: Address.mixed_11(1, 0x800, extension=0),
                "rx_id of an address is 0 to 0x7ff, not 0x800",
            ),
            (
                lambda: Address.mixed_11(1, 2, extension=256),
                "tx_extension of an address is 0 to 0xff, not 0x100",
            ),
            (
                lambda: Address.mixed_11(1, 1, extension=0),
                "tx_id and rx_id are both 0x1: each direction has its own identifier",
            ),
            (
                lambda: Address.mixed_29(256, 1, extension=0),
                "target of an address is 0 to 0xff, not 0x100",
            ),
            (
                lambda: Address.mixed_29(1, 2, extension=-1),
                "tx_extension of an address is 0 to 0xff, not -0x1",
            ),
            (
                lambda: Address.mixed_29(1, 1, extension=0),
                "tx_id and rx_id are both 0x18ce0101: each direction has its own identifier",
            ),
            (
                lambda: Address(
                    mode=AddressingMode.NORMAL, tx_id=1, rx_id=2, extended_ids=False, target=256
                ),
                "target of an address is 0 to 0xff, not 0x100",
            ),
        ],
    )
    def test_values_out_of_range(self, make: Callable[[], Address], message: str) -> None:
        with pytest.raises(AddressError) as caught:
            make()
        assert str(caught.value) == message
        assert isinstance(caught.value, CanError)
        assert isinstance(caught.value, ValueError)

    @pytest.mark.parametrize("value", ["1", 1.0, True, b"\1", None])
    def test_values_that_are_no_integers(self, value: Any) -> None:
        makers: list[tuple[str, Callable[[], Address]]] = [
            ("tx_id", lambda: Address.normal(value, 2)),
            ("tx_id", lambda: Address.mixed_11(value, 2, extension=0)),
            ("target", lambda: Address.normal_fixed(value, 2)),
            ("source", lambda: Address.normal_fixed(2, value)),
            ("priority", lambda: Address.normal_fixed(1, 2, priority=value)),
            ("target", lambda: Address.mixed_29(value, 2, extension=0)),
        ]
        if value is not None:
            makers += [
                ("rx_id", lambda: Address.normal(2, value)),
                ("tx_extension", lambda: Address.mixed_11(2, 3, extension=value)),
                ("rx_extension", lambda: Address.extended(2, 3, target=1, source=value)),
            ]
        for name, make in makers:
            with pytest.raises(AddressError) as caught:
                make()
            assert str(caught.value) == f"{name} of an address is an integer, not {value!r}"

    def test_it_cannot_be_changed(self) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            ALL[0].tx_id = 1  # type: ignore[misc]  # that is what is tried
