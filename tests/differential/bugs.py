"""Bugs to plant into the user network, one at a time: each patches one thing that it does."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from anycan.frame import EFF_FLAG, ERR_FLAG, RTR_FLAG, SFF_MASK
from anycan.network.core import payload, raw, receivers, socket, socket_options
from anycan.network.core.raw import RawSocketCore
from anycan.network.core.raw_options import RawSocketOptions
from anycan.network.core.receivers import Place, ReceiveLists
from anycan.wire.constants import CAN_RAW_FD_FRAMES, CAN_RAW_XL_FRAMES, SO_ERROR, SOL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    import pytest

    Mutation: TypeAlias = Callable[[pytest.MonkeyPatch], None]

MUTATIONS: Final[list[Mutation]] = []


def _mutation(function: Mutation) -> Mutation:
    MUTATIONS.append(function)
    return function


def name_of(mutation: Mutation) -> str:
    """Give what a mutation does, in words."""
    return mutation.__name__.replace("_", " ")


# Filters


def _normalised(patch: pytest.MonkeyPatch, change: Callable[..., tuple[Place, int, int]]) -> None:
    patch.setattr(receivers, "normalise", change)


_normalise: Final = receivers.normalise


@_mutation
def a_filter_s_identifier_is_not_masked(patch: pytest.MonkeyPatch) -> None:
    def change(word: int, mask: int) -> tuple[Place, int, int]:
        place, masked, mask = _normalise(word, mask)
        return place, word & ~ERR_FLAG if place is Place.MASKED else masked, mask

    _normalised(patch, change)


@_mutation
def inverted_filters_are_as_others(patch: pytest.MonkeyPatch) -> None:
    _normalised(patch, lambda word, mask: _normalise(word & ~ERR_FLAG, mask))


@_mutation
def a_mask_with_the_error_bit_makes_no_error_filter(patch: pytest.MonkeyPatch) -> None:
    _normalised(patch, lambda word, mask: _normalise(word, mask & ~ERR_FLAG))


@_mutation
def the_mask_of_an_11_bit_identifier_is_not_cut(patch: pytest.MonkeyPatch) -> None:
    def change(word: int, mask: int) -> tuple[Place, int, int]:
        if mask & EFF_FLAG and not (word | mask) & ERR_FLAG and not word & EFF_FLAG:
            return Place.MASKED, word & mask, mask
        return _normalise(word, mask)

    _normalised(patch, change)


_find: Final = ReceiveLists.find


@_mutation
def remote_frames_match_single_identifiers(patch: pytest.MonkeyPatch) -> None:
    def find(self: ReceiveLists[Any], word: int) -> list[Any]:
        found = _find(self, word)
        if word & RTR_FLAG and not word & ERR_FLAG:
            word &= ~RTR_FLAG
            single = self._single.get(word if word & EFF_FLAG else word & SFF_MASK, [])
            found += [receiver for _, _, receiver in single]
        return found

    patch.setattr(ReceiveLists, "find", find)


@_mutation
def the_filter_of_everything_takes_error_frames(patch: pytest.MonkeyPatch) -> None:
    def find(self: ReceiveLists[Any], word: int) -> list[Any]:
        everything = [receiver for _, _, receiver in self._all] if word & ERR_FLAG else []
        return everything + _find(self, word)

    patch.setattr(ReceiveLists, "find", find)


@_mutation
def a_new_filter_comes_last(patch: pytest.MonkeyPatch) -> None:
    def register(self: ReceiveLists[Any], word: int, mask: int, receiver: Any) -> None:
        place, word, mask = receivers.normalise(word, mask)
        self._list(place, word).append((word, mask, receiver))
        self.changed()

    patch.setattr(ReceiveLists, "register", register)


@_mutation
def every_filter_that_matches_gives_a_copy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receivers, "one_copy_each", tuple)


@_mutation
def joined_filters_need_one_match(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RawSocketCore, "joined", 0)


@_mutation
def filters_outlive_their_interface(patch: pytest.MonkeyPatch) -> None:
    def interface_removed(self: RawSocketCore) -> None:
        self._unregister()
        self._leave()
        self._fail(errno.ENODEV)

    patch.setattr(RawSocketCore, "interface_removed", interface_removed)


# Receiving


_deliver: Final = RawSocketCore.deliver


def _delivered(patch: pytest.MonkeyPatch, change: Callable[..., tuple[Any, ...]]) -> None:
    def deliver(self: RawSocketCore, *frame: Any) -> None:
        _deliver(self, *change(self, *frame))

    patch.setattr(RawSocketCore, "deliver", deliver)


@_mutation
def own_frames_come_without_being_asked_for(patch: pytest.MonkeyPatch) -> None:
    def change(self: RawSocketCore, *frame: Any) -> tuple[Any, ...]:
        *rest, sender, now_ns = frame
        return (*rest, object() if sender is self else sender, now_ns)

    _delivered(patch, change)


@_mutation
def own_frames_do_not_say_so(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(raw, "MSG_CONFIRM", 0)


@_mutation
def frames_of_the_peer_are_called_local(patch: pytest.MonkeyPatch) -> None:
    def change(_: RawSocketCore, *frame: Any) -> tuple[Any, ...]:
        *rest, sender, now_ns = frame
        return (*rest, object() if sender is None else sender, now_ns)

    _delivered(patch, change)


@_mutation
def can_fd_comes_without_its_option(patch: pytest.MonkeyPatch) -> None:
    def change(_: RawSocketCore, *frame: Any) -> tuple[Any, ...]:
        data, kind, *rest = frame
        return (data, payload.CLASSICAL if kind == payload.FLEXIBLE else kind, *rest)

    _delivered(patch, change)


@_mutation
def the_mask_of_a_vcid_does_not_count(patch: pytest.MonkeyPatch) -> None:
    def takes_xl_word(self: RawSocketOptions, word: int) -> bool:
        flags, _, wanted, _ = self._vcid
        return (word >> 16 & 0xFF) == wanted if flags & 4 else not word & 0xFF0000

    patch.setattr(RawSocketOptions, "takes_xl_word", takes_xl_word)


@_mutation
def nothing_that_is_dropped_is_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RawSocketCore, "drops", property(lambda _: 0, lambda _, __: None), raising=False)


@_mutation
def a_frame_that_is_cut_does_not_say_so(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(socket.SocketCore, "_truncation", 0)


@_mutation
def a_full_buffer_takes_one_frame_more(patch: pytest.MonkeyPatch) -> None:
    def deliver(self: RawSocketCore, *frame: Any) -> None:
        self.options.receive_buffer += 960
        _deliver(self, *frame)
        self.options.receive_buffer -= 960

    patch.setattr(RawSocketCore, "deliver", deliver)


# Sending


@_mutation
def without_loopback_others_see_the_frame(patch: pytest.MonkeyPatch) -> None:
    renew = RawSocketOptions._renew

    def loud(self: RawSocketOptions) -> None:
        renew(self)
        self.loopback = True

    patch.setattr(RawSocketOptions, "_renew", loud)


@_mutation
def the_flag_of_can_fd_is_not_set(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(payload, "mark_flexible", lambda data: data)


@_mutation
def can_xl_is_sent_with_the_vcid_it_has(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RawSocketOptions, "outgoing_xl_word", lambda _, word: word & 0xFF07FF)


@_mutation
def a_pending_error_comes_before_a_missing_interface(patch: pytest.MonkeyPatch) -> None:
    send = RawSocketCore.send

    def hasty(self: RawSocketCore, *message: Any) -> None:
        self._take_error()
        send(self, *message)

    patch.setattr(RawSocketCore, "send", hasty)


# Options


@_mutation
def so_error_is_not_cleared(patch: pytest.MonkeyPatch) -> None:
    getsockopt = RawSocketCore.getsockopt

    def kept(self: RawSocketCore, level: int, option: int, size: int) -> bytes:
        error = self._error
        value = getsockopt(self, level, option, size)
        if level == SOL_SOCKET and option == SO_ERROR:
            self._error = error
        return value

    patch.setattr(RawSocketCore, "getsockopt", kept)


@_mutation
def can_fd_may_be_turned_off_under_can_xl(patch: pytest.MonkeyPatch) -> None:
    set_raw = RawSocketOptions.set_raw

    def lax(self: RawSocketOptions, option: int, value: bytes) -> None:
        if option == CAN_RAW_FD_FRAMES and value == bytes(4):
            number = self._integers[CAN_RAW_XL_FRAMES]
            self.xl = False
            set_raw(self, option, value)
            self._integers[CAN_RAW_XL_FRAMES] = number
            self._renew()
        else:
            set_raw(self, option, value)

    patch.setattr(RawSocketOptions, "set_raw", lax)


@_mutation
def buffers_are_not_doubled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(socket_options, "_buffer", max)


# Links


@_mutation
def enetdown_is_told_twice(patch: pytest.MonkeyPatch) -> None:
    take = RawSocketCore._take_error

    def twice(self: Any) -> None:
        again = self._error if not getattr(self, "told", False) else 0
        self.told = bool(again)
        try:
            take(self)
        finally:
            self._error = again

    patch.setattr(RawSocketCore, "_take_error", twice)


@_mutation
def binding_to_a_link_that_is_down_leaves_no_error(patch: pytest.MonkeyPatch) -> None:
    bind = RawSocketCore.bind

    def silent(self: RawSocketCore, address: bytes) -> None:
        before = self._error
        bind(self, address)
        self._error = before

    patch.setattr(RawSocketCore, "bind", silent)


@_mutation
def a_socket_stays_with_its_first_interface(patch: pytest.MonkeyPatch) -> None:
    bind = RawSocketCore.bind

    def stuck(self: RawSocketCore, address: bytes) -> None:
        if self._interface is None:
            bind(self, address)

    patch.setattr(RawSocketCore, "bind", stuck)
