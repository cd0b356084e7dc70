"""The addresses of ISO-TP: which identifiers, and which address bytes, a pair of nodes has."""

from __future__ import annotations

import enum
from typing import Final

import attrs

from anycan.exceptions import AddressError
from anycan.frame import EFF_FLAG, EFF_MASK, SFF_MASK

# ISO 15765-2:2016, tables 28 to 31: bits 16 to 25 of an identifier of 29 bits.
_NORMAL_PHYSICAL: Final = 0x00DA_0000
_NORMAL_FUNCTIONAL: Final = 0x00DB_0000
_MIXED_PHYSICAL: Final = 0x00CE_0000
_MIXED_FUNCTIONAL: Final = 0x00CD_0000
_DEFAULT_PRIORITY: Final = 6


class AddressingMode(enum.Enum):
    """How ISO-TP tells its nodes apart (ISO 15765-2:2016, 10.3)."""

    NORMAL = "normal"
    """By the identifier alone."""
    NORMAL_FIXED = "normal fixed"
    """By the identifier, of 29 bits, which holds the target's and the source's address."""
    EXTENDED = "extended"
    """By the identifier, and the target's address in the first byte of each frame."""
    MIXED_11 = "mixed, 11 bits"
    """By the identifier, of 11 bits, and an address extension in the first byte."""
    MIXED_29 = "mixed, 29 bits"
    """As normal fixed, and an address extension in the first byte."""


@attrs.frozen(kw_only=True)
class Address:
    """Where the frames of an ISO-TP connection go, and where they come from.

    Make one by the class method of the addressing mode: :meth:`normal`, :meth:`normal_fixed`,
    :meth:`extended`, :meth:`mixed_11` or :meth:`mixed_29`.

    Attributes:
        mode: The addressing mode.
        tx_id: The identifier of the frames sent.
        rx_id: The identifier of the frames received; None: nothing is received, since the address
            is functional: whoever is there gets a request, and nobody a flow control frame.
        extended_ids: The identifiers have 29 bits.
        tx_extension: The first byte of the frames sent; None: there is no such byte.
        rx_extension: The first byte of the frames received; None: there is no such byte.
        target: The target's address; None: the mode has none, or the identifier stands for it.
        source: The source's address; None: as for the target.

    Source: ISO 15765-2:2016, 10.3.

    Example:
        >>> Address.normal(0x7E0, 0x7E8)
        Address.normal(0x7E0, 0x7E8)
        >>> Address.normal_fixed(target=0x10, source=0xF1)
        Address.normal_fixed(target=0x10, source=0xF1, tx_id=0x18DA10F1, rx_id=0x18DAF110)
    """

    mode: AddressingMode
    tx_id: int
    rx_id: int | None
    extended_ids: bool
    tx_extension: int | None = None
    rx_extension: int | None = None
    target: int | None = None
    source: int | None = None

    def __attrs_post_init__(self) -> None:
        highest = EFF_MASK if self.extended_ids else SFF_MASK
        for name in ("tx_id", "rx_id"):
            _check(name, getattr(self, name), highest, optional=name == "rx_id")
        for name in ("tx_extension", "rx_extension", "target", "source"):
            _check(name, getattr(self, name), 0xFF, optional=True)
        if self.tx_id == self.rx_id:
            raise AddressError(
                f"tx_id and rx_id are both {self.tx_id:#x}: each direction has its own identifier"
            )

    # The addressing modes

    @classmethod
    def normal(cls, tx_id: int, rx_id: int | None, *, extended: bool | None = None) -> Address:
        """Make an address of identifiers alone.

        Args:
            tx_id: The identifier of the frames sent.
            rx_id: The identifier of the frames received; None: nothing is received.
            extended: The identifiers have 29 bits; None: when both of them need them.

        Raises:
            AddressError: An identifier is out of range, or both are the same.

        Example:
            >>> Address.normal(0x7DF, None).functional
            True
        """
        extended_ids = _need_29_bits(tx_id, rx_id, extended)
        return cls(mode=AddressingMode.NORMAL, tx_id=tx_id, rx_id=rx_id, extended_ids=extended_ids)

    @classmethod
    def normal_fixed(
        cls,
        target: int,
        source: int,
        *,
        functional: bool = False,
        priority: int = _DEFAULT_PRIORITY,
    ) -> Address:
        """Make an address whose identifiers, of 29 bits, hold the addresses of both nodes.

        Args:
            target: The address of the other node, 0 to 255.
            source: The address of this node, 0 to 255.
            functional: The target is a group of nodes: nothing is received.
            priority: 0 (highest) to 7.

        Raises:
            AddressError: A value is out of range, or both addresses are the same, unless the target
                is a group.

        Source: ISO 15765-2:2016, table 28: ``0x18DA`` target source, functional ``0x18DB``.

        Example:
            >>> hex(Address.normal_fixed(target=0x33, source=0xF1, functional=True).tx_id)
            '0x18db33f1'
        """
        base = _NORMAL_FUNCTIONAL if functional else _NORMAL_PHYSICAL
        return cls._of_nodes(AddressingMode.NORMAL_FIXED, base, target, source, priority)

    @classmethod
    def extended(
        cls,
        tx_id: int,
        rx_id: int | None,
        *,
        target: int,
        source: int,
        extended: bool | None = None,
    ) -> Address:
        """Make an address whose frames begin with the address of whom they are for.

        Args:
            tx_id: The identifier of the frames sent.
            rx_id: The identifier of the frames received; None: nothing is received.
            target: The first byte of the frames sent: the other node's address.
            source: The first byte of the frames received: this node's address.
            extended: The identifiers have 29 bits; None: when both of them need them.

        Raises:
            AddressError: A value is out of range, or both identifiers are the same.

        Source: ISO 15765-2:2016, 10.3.4.

        Example:
            >>> Address.extended(0x6F1, 0x612, target=0x12, source=0xF1).tx_extension
            18
        """
        return cls(
            mode=AddressingMode.EXTENDED,
            tx_id=tx_id,
            rx_id=rx_id,
            extended_ids=_need_29_bits(tx_id, rx_id, extended),
            tx_extension=target,
            rx_extension=source,
            target=target,
            source=source,
        )

    @classmethod
    def mixed_11(cls, tx_id: int, rx_id: int | None, *, extension: int) -> Address:
        """Make an address of identifiers of 11 bits, whose frames begin with an extension.

        Args:
            tx_id: The identifier of the frames sent.
            rx_id: The identifier of the frames received; None: nothing is received.
            extension: The first byte of all frames: the address of the network behind a gateway.

        Raises:
            AddressError: A value is out of range, or both identifiers are the same.

        Source: ISO 15765-2:2016, 10.3.5.2.
        """
        return cls(
            mode=AddressingMode.MIXED_11,
            tx_id=tx_id,
            rx_id=rx_id,
            extended_ids=False,
            tx_extension=extension,
            rx_extension=extension,
        )

    @classmethod
    def mixed_29(
        cls,
        target: int,
        source: int,
        *,
        extension: int,
        functional: bool = False,
        priority: int = _DEFAULT_PRIORITY,
    ) -> Address:
        """Make an address as :meth:`normal_fixed` does, whose frames begin with an extension.

        Args:
            target: The address of the other node, 0 to 255.
            source: The address of this node, 0 to 255.
            extension: The first byte of all frames: the address of the network behind a gateway.
            functional: The target is a group of nodes: nothing is received.
            priority: 0 (highest) to 7.

        Raises:
            AddressError: A value is out of range, or both addresses are the same, unless the target
                is a group.

        Source: ISO 15765-2:2016, 10.3.5.1: ``0x18CE`` target source, functional ``0x18CD``.

        Example:
            >>> Address.mixed_29(target=0x10, source=0xF1, extension=0x55).tx_id == 0x18CE10F1
            True
        """
        base = _MIXED_FUNCTIONAL if functional else _MIXED_PHYSICAL
        mode = AddressingMode.MIXED_29
        return cls._of_nodes(mode, base, target, source, priority, extension)

    @classmethod
    def _of_nodes(
        cls,
        mode: AddressingMode,
        base: int,
        target: int,
        source: int,
        priority: int,
        extension: int | None = None,
    ) -> Address:
        _check("target", target, 0xFF)
        _check("source", source, 0xFF)
        _check("priority", priority, 7)
        base |= priority << 26
        functional = base & 0x00FF_0000 in {_NORMAL_FUNCTIONAL, _MIXED_FUNCTIONAL}
        return cls(
            mode=mode,
            tx_id=base | target << 8 | source,
            rx_id=None if functional else base | source << 8 | target,
            extended_ids=True,
            tx_extension=extension,
            rx_extension=extension,
            target=target,
            source=source,
        )

    # What follows from it

    @property
    def functional(self) -> bool:
        """Whether it stands for a group of nodes: single frames are sent, and nothing received."""
        return self.rx_id is None

    @property
    def tx_word(self) -> int:
        """``tx_id`` as the kernel has it: with the flag of 29 bits where it has them."""
        return self.tx_id | (EFF_FLAG if self.extended_ids else 0)

    @property
    def rx_word(self) -> int:
        """``rx_id`` as the kernel has it; of a functional address 0."""
        if self.rx_id is None:
            return 0
        return self.rx_id | (EFF_FLAG if self.extended_ids else 0)

    def reversed(self) -> Address:
        """Give the same connection's address as the other node has it.

        Raises:
            AddressError: It is functional: there is no other node that sends.

        Example:
            >>> Address.normal(0x7E0, 0x7E8).reversed()
            Address.normal(0x7E8, 0x7E0)
        """
        if self.rx_id is None:
            raise AddressError(f"{self!r} is functional: nobody sends to it")
        return attrs.evolve(
            self,
            tx_id=self.rx_id,
            rx_id=self.tx_id,
            tx_extension=self.rx_extension,
            rx_extension=self.tx_extension,
            target=self.source,
            source=self.target,
        )

    def __repr__(self) -> str:
        digits = 8 if self.extended_ids else 3
        name = self.mode.name.lower()
        tx_id = f"0x{self.tx_id:0{digits}X}"
        rx_id = "None" if self.rx_id is None else f"0x{self.rx_id:0{digits}X}"
        nodes = f"target={_hex(self.target)}, source={_hex(self.source)}"
        extension = f"extension={_hex(self.tx_extension)}"
        match self.mode:
            case AddressingMode.NORMAL:
                return f"Address.{name}({tx_id}, {rx_id})"
            case AddressingMode.EXTENDED:
                return f"Address.{name}({tx_id}, {rx_id}, {nodes})"
            case AddressingMode.MIXED_11:
                return f"Address.{name}({tx_id}, {rx_id}, {extension})"
            case AddressingMode.MIXED_29:
                return f"Address.{name}({nodes}, {extension}, tx_id={tx_id}, rx_id={rx_id})"
            case _:
                return f"Address.{name}({nodes}, tx_id={tx_id}, rx_id={rx_id})"


def _hex(value: int | None) -> str:
    return "None" if value is None else f"0x{value:02X}"


def _need_29_bits(tx_id: int, rx_id: int | None, extended: bool | None) -> bool:
    _check("tx_id", tx_id, EFF_MASK)
    _check("rx_id", rx_id, EFF_MASK, optional=True)
    if extended is not None:
        return extended
    wide = tx_id > SFF_MASK
    if rx_id is not None and wide != (rx_id > SFF_MASK):
        raise AddressError(
            f"tx_id {tx_id:#x} and rx_id {rx_id:#x} are of 11 bits and of 29: if both are to have"
            " 29, say extended=True"
        )
    return wide


def _check(name: str, value: object, highest: int, *, optional: bool = False) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise AddressError(f"{name} of an address is an integer, not {value!r}")
    if not 0 <= value <= highest:
        raise AddressError(f"{name} of an address is 0 to {highest:#x}, not {value:#x}")
