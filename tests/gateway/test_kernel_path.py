"""Rules in can-gw: whose they are, that they come all or none, and that all of them go again.

``CanGw`` stands in for the kernel behind the netlink socket; the kernel itself is met in the lab.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from anycan.exceptions import (
    CanOSError,
    CanPermissionError,
    GatewayError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
)
from anycan.gateway.kernel_path import KernelPath, tag_of
from anycan.wire.netlink import NetlinkMessage
from anycan.wire.netlink_gateway import (
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    GatewayFlag,
    GatewayRoute,
)
from anycan.wire.netlink_gateway_changes import FrameChange

if TYPE_CHECKING:
    from anycan.filter import CanFilter

KEEP: Final = FrameChange.of(can_id=0xFFFFFFFF)
IP_ROUTE: Final = NetlinkMessage(RTM_NEWROUTE, 0, b"\x02" + bytes(11))
REFUSALS: Final[dict[int, type[CanOSError]]] = {
    errno.EPERM: CanPermissionError,
    errno.EOPNOTSUPP: ProtocolUnavailableError,
    errno.ENODEV: UnknownInterfaceError,
}


class CanGw:
    """A kernel's rules, and what it says to requests about them, as ``net/can/gw.c`` has it."""

    def __init__(self, *rules: GatewayRoute) -> None:
        self.rules = list(rules)
        self.interfaces = set(range(1, 10))
        self.may_change = True
        self.is_loaded = True
        self.refused: dict[int, int] = {}  # of a source and what it is refused with
        self.asked: list[int] = []

    def request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        self.asked.append(message.type)
        if message.type == RTM_GETROUTE:
            if not self.is_loaded:
                return [IP_ROUTE]
            return [NetlinkMessage(RTM_NEWROUTE, 2, rule.pack()) for rule in self.rules]
        self._check(self.may_change, errno.EPERM)
        self._check(self.is_loaded, errno.EOPNOTSUPP)
        asked = self._kept(GatewayRoute.unpack(message.payload))
        if message.type == RTM_NEWROUTE:
            self._add(asked)
        else:
            assert message.type == RTM_DELROUTE
            self._delete(asked)
        return []

    def remove_interface(self, index: int) -> None:
        self.interfaces.remove(index)
        self.rules = [rule for rule in self.rules if index not in (rule.source, rule.destination)]

    def count(self, source: int) -> None:
        self.rules = [
            attrs.evolve(rule, handled=rule.handled + 1) if rule.source == source else rule
            for rule in self.rules
        ]

    @staticmethod
    def _check(holds: bool, number: int) -> None:
        if not holds:
            raise REFUSALS.get(number, CanOSError)(number, "refused")

    @staticmethod
    def _kept(rule: GatewayRoute) -> GatewayRoute:
        changes = (rule.mod_and, rule.mod_or, rule.mod_xor, rule.mod_set)
        if any(change is not None and change.parts for change in changes):
            return rule
        return attrs.evolve(rule, uid=0, xor=None, crc8=None)

    def _add(self, asked: GatewayRoute) -> None:
        self._check(asked.hop_limit <= 1, errno.EINVAL)  # the module's max_hops
        for place, rule in enumerate(self.rules):
            if asked.uid and rule.uid == asked.uid:
                self._check(ends(rule) == ends(asked), errno.EINVAL)
                self.rules[place] = attrs.evolve(
                    rule, mod_and=asked.mod_and, mod_xor=asked.mod_xor
                )  # the changes alone: the flags stay
                return
        self._check({asked.source, asked.destination} <= self.interfaces, errno.ENODEV)
        if asked.source in self.refused:
            self._check(False, self.refused[asked.source])
        self.rules.insert(0, asked)

    def _delete(self, asked: GatewayRoute) -> None:
        for rule in self.rules:
            found = rule.without_counts()
            if found.uid or asked.uid:  # then the changes are not looked at
                found = attrs.evolve(found, mod_and=asked.mod_and, mod_xor=asked.mod_xor)
            if found == asked:
                self.rules.remove(rule)
                return
        self._check(False, errno.EINVAL)


def ends(rule: GatewayRoute) -> tuple[int, int, CanFilter]:
    return rule.source, rule.destination, rule.filter


def route(source: int, destination: int, uid: int = 0) -> GatewayRoute:
    return GatewayRoute(source, destination, GatewayFlag.ECHO, mod_and=KEEP, hop_limit=1, uid=uid)


FOREIGN = [
    GatewayRoute(1, 2),  # cangw's, without a modification
    route(1, 2, 0),
    route(1, 2, 7),
    route(1, 2, 0xCB123000),
    route(1, 2, 0x0A123000),
]


def test_the_tag_in_a_number() -> None:
    assert [tag_of(uid) for uid in (0xCA000000, 0xCA123456, 0xCAFFFFFF)] == [0, 0x123, 0xFFF]
    assert [tag_of(uid) for uid in (0, 7, 0xCA, 0xCB123000, 0x0A123000)] == [None] * 5


@pytest.mark.parametrize("tag", [-1, 0x1000])
def test_a_tag_that_is_none(tag: int) -> None:
    with pytest.raises(GatewayError, match="a gateway's tag is 0 to 4095"):
        KernelPath(tag, CanGw())


# Installing and removing.


def test_rules_are_installed_with_numbers_of_their_own() -> None:
    kernel = CanGw()
    path = KernelPath(0x123, kernel)
    made = path.install([route(1, 2), route(1, 2)])
    assert made == [route(1, 2, 0xCA123000), route(1, 2, 0xCA123001)]
    assert kernel.rules == made[::-1]
    assert path.installed == made
    (more,) = path.install([route(2, 1)])
    assert more.uid == 0xCA123002


def test_the_numbers_of_two_gateways_differ() -> None:
    kernel = CanGw()
    paths = [KernelPath(tag, kernel) for tag in (0, 0xFFF)]
    assert [path.install([route(1, 2)])[0].uid for path in paths] == [0xCA000000, 0xCAFFF000]
    assert len(kernel.rules) == 2


def test_rules_are_removed_and_no_others() -> None:
    kernel = CanGw(*FOREIGN)
    path = KernelPath(1, kernel)
    made = path.install([route(1, 2), route(2, 1), route(1, 3)])
    path.remove(made[:2])
    assert kernel.rules == [made[2], *FOREIGN]
    assert path.installed == [made[2]]
    path.remove(path.installed)
    assert kernel.rules == FOREIGN
    assert path.installed == []


def test_a_rule_that_has_been_counted_is_removed() -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    path.install([route(1, 2)])
    kernel.count(1)
    path.remove(path.counts().values())
    assert (kernel.rules, path.installed) == ([], [])


def test_a_rule_that_is_gone_already_is_removed() -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    path.install([route(1, 2), route(2, 3)])
    kernel.remove_interface(3)
    path.remove(path.installed)
    assert (kernel.rules, path.installed) == ([], [])


def test_rules_are_gone_with_the_kernels_module() -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    path.install([route(1, 2)])
    kernel.is_loaded = False
    assert path.missing() == path.installed
    path.remove(path.installed)
    assert path.installed == []


def test_a_rule_that_may_not_be_removed() -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    made = path.install([route(1, 2)])
    kernel.may_change = False
    with pytest.raises(CanPermissionError):
        path.remove(made)
    assert path.installed == made
    kernel.may_change = True
    path.remove(made)
    assert kernel.rules == []


def test_one_that_may_not_be_removed_keeps_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    made = path.install([route(1, 2), route(2, 3), route(3, 4)])
    delete = kernel._delete

    def refuse_one(asked: GatewayRoute) -> None:
        if asked.source == 2:
            raise CanOSError(errno.EBUSY, "not this one")
        delete(asked)

    monkeypatch.setattr(kernel, "_delete", refuse_one)
    with pytest.raises(CanOSError, match="not this one"):
        path.remove(made)
    assert path.installed == kernel.rules == [made[1]]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENODEV, UnknownInterfaceError), (errno.EINVAL, CanOSError), (errno.ENOMEM, CanOSError)],
)
def test_all_are_installed_or_none(number: int, kind: type[CanOSError]) -> None:
    kernel = CanGw(*FOREIGN)
    path = KernelPath(1, kernel)
    (first,) = path.install([route(1, 2)])
    kernel.refused[3] = number
    with pytest.raises(kind) as caught:
        path.install([route(1, 2), route(2, 1), route(3, 1), route(4, 1)])
    assert caught.value.errno == number
    assert kernel.rules == [first, *FOREIGN]
    assert path.installed == [first]
    del kernel.refused[3]
    assert len(path.install([route(3, 1)])) == 1


def test_one_whose_answer_was_lost_is_removed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    add = kernel._add

    def add_in_silence(asked: GatewayRoute) -> None:
        add(asked)
        if asked.source == 2:
            raise CanOSError(errno.ETIMEDOUT, "no answer")

    monkeypatch.setattr(kernel, "_add", add_in_silence)
    with pytest.raises(CanOSError, match="no answer"):
        path.install([route(1, 2), route(2, 1)])
    assert (kernel.rules, path.installed) == ([], [])


def test_the_first_failure_is_told_of_and_not_that_of_cleaning_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    add = kernel._add

    def add_one(asked: GatewayRoute) -> None:
        add(asked)
        kernel.may_change = False

    monkeypatch.setattr(kernel, "_add", add_one)
    kernel.refused[2] = errno.ENOMEM
    with pytest.raises(CanPermissionError):
        path.install([route(1, 2), route(1, 3)])
    assert path.installed == []
    kernel.may_change = True
    assert path.remove_orphans(lambda: {1}) == 1  # what could not be removed is found again
    assert kernel.rules == []


@pytest.mark.parametrize("attribute", ["may_change", "is_loaded"])
def test_a_machine_that_cannot(attribute: str) -> None:
    kernel = CanGw()
    setattr(kernel, attribute, False)
    path = KernelPath(1, kernel)
    with pytest.raises((CanPermissionError, ProtocolUnavailableError)):
        path.install([route(1, 2)])
    assert path.installed == []


def test_a_rule_without_a_modification_is_refused_before_the_kernel_forgets_its_number() -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    with pytest.raises(GatewayError, match="without a modification"):
        path.install([route(1, 2), GatewayRoute(1, 3)])
    assert kernel.rules == []


def test_numbers_are_used_again_and_there_are_4096() -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    path._next = 0xFFE
    made = path.install([route(1, 2)] * 3)
    assert [one.uid for one in made] == [0xCA001FFE, 0xCA001FFF, 0xCA001000]
    path._installed.update((0xCA001000 | number, made[0]) for number in range(0x1000))
    del path._installed[0xCA001800]
    assert path.install([route(1, 2)])[0].uid == 0xCA001800
    with pytest.raises(GatewayError, match="at most 4096 rules in can-gw"):
        path.install([route(1, 2)])


# Asking.


def test_counts_are_of_ones_own_rules() -> None:
    kernel = CanGw(*FOREIGN, route(1, 2, 0xCA002000))
    path = KernelPath(1, kernel)
    path.install([route(1, 2), route(2, 1)])
    kernel.count(1)
    assert path.counts() == {
        0xCA001000: attrs.evolve(route(1, 2, 0xCA001000), handled=1),
        0xCA001001: route(2, 1, 0xCA001001),
    }


def test_one_dump_is_enough_for_all_counts() -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    path.install([route(1, 2), route(2, 1)])
    kernel.asked.clear()
    path.counts()
    assert kernel.asked == [RTM_GETROUTE]


def test_what_is_missing() -> None:
    kernel = CanGw()
    path = KernelPath(1, kernel)
    made = path.install([route(1, 2), route(2, 3), route(3, 1)])
    assert path.missing() == []
    kernel.remove_interface(2)
    assert path.missing() == made[:2]
    path.remove(path.missing())
    assert path.installed == [made[2]]
    kernel.interfaces.add(2)
    again = path.install([route(1, 2)])
    assert path.missing() == []
    assert again[0].uid == 0xCA001003


def test_the_rules_of_others() -> None:
    theirs = route(1, 2, 0xCA002000)
    kernel = CanGw(*FOREIGN, theirs)
    path = KernelPath(1, kernel)
    mine = path.install([route(1, 2)])
    assert path.others() == [*FOREIGN, theirs]
    assert path.others(2) == [*mine, *FOREIGN]


def test_a_kernel_without_can_gw_has_none() -> None:
    kernel = CanGw(route(1, 2))
    kernel.is_loaded = False
    path = KernelPath(1, kernel)
    assert (path.counts(), path.others(), path.remove_orphans(set)) == ({}, [], 0)


def test_an_odd_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = NetlinkMessage(RTM_NEWROUTE, 2, b"\x1d\x01\0\0" + b"\x05\0")
    kernel = CanGw()
    monkeypatch.setattr(kernel, "request", lambda _: [odd])
    with pytest.raises(CanOSError, match="asking for can-gw's rules failed: the answer is odd"):
        KernelPath(1, kernel).counts()


# What others have left behind.


def test_rules_of_gateways_that_do_not_run_are_removed_and_no_others() -> None:
    live = [route(1, 2, 0xCA002000), route(1, 2, 0xCAFFF001)]
    dead = [route(1, 2, 0xCA000000), route(2, 1, 0xCA003000), route(2, 1, 0xCA003001)]
    kernel = CanGw(*FOREIGN, *live, *dead)
    path = KernelPath(1, kernel)
    mine = path.install([route(1, 2)])
    assert path.remove_orphans(lambda: {1, 2, 0xFFF}) == 3
    assert kernel.rules == [*mine, *FOREIGN, *live]
    assert path.remove_orphans(lambda: {1, 2, 0xFFF}) == 0


@pytest.mark.parametrize("live_tags", [set(), {1}])
def test_what_a_former_gateway_with_ones_own_tag_has_left(live_tags: set[int]) -> None:
    kernel = CanGw(route(5, 6, 0xCA001000), *FOREIGN, route(1, 2, 0xCA001001))
    path = KernelPath(1, kernel)
    assert path.remove_orphans(lambda: live_tags) == 2
    assert kernel.rules == FOREIGN


def test_it_is_removed_before_the_first_rule_is_installed() -> None:
    left = GatewayRoute(1, 2, mod_and=KEEP, hop_limit=1, uid=0xCA001000)  # with other flags
    dead = route(1, 2, 0xCA009000)
    kernel = CanGw(left, route(5, 6, 0xCA001001), dead)
    path = KernelPath(1, kernel)
    made = path.install([route(1, 2), route(2, 1)])
    assert kernel.rules == [*made[::-1], dead]
    kernel.asked.clear()
    path.install([route(1, 3)])
    assert kernel.asked == [RTM_NEWROUTE]  # once is enough


def test_orphans_that_may_not_be_removed() -> None:
    kernel = CanGw(*FOREIGN)
    kernel.may_change = False
    path = KernelPath(1, kernel)
    assert path.remove_orphans(set) == 0
    kernel.rules.append(route(1, 2, 0xCA003000))
    with pytest.raises(CanPermissionError):
        path.remove_orphans(set)
