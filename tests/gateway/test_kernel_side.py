"""Rules that the kernel forwards by: put there all or none, mended, counted, taken out again."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import pytest

from anycan import CanOSError, CanPermissionError, Modification, Rule
from anycan.gateway import kernel_side as module
from anycan.gateway.kernel_path import tag_of
from anycan.gateway.kernel_side import KernelRule, KernelSide
from anycan.gateway.plan import choose_paths, plan_rules
from anycan.gateway.reasons import DropReason
from anycan.wire.netlink_gateway import RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE, GatewayRoute
from anycan.wire.netlink_gateway_changes import FrameChange
from rig.gateways import StandInKernel, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

TAG = 0x123
KEEP = FrameChange.of(can_id=0xFFFFFFFF)


@pytest.fixture
def side(kernel: StandInKernel) -> Iterator[KernelSide]:
    side = KernelSide(TAG)
    yield side
    side.close()
    assert side.netlink.busy
    assert kernel.clashes == 0


def chosen(*rules: Rule) -> list[KernelRule]:
    return [KernelRule(choice) for choice in choose_paths(plan_rules(rules))]


def refuse(kernel: StandInKernel, request: int, after: int = 0) -> None:
    kernel.refuse[request] = after, CanPermissionError(errno.EPERM, "not allowed")


def test_installed_counted_and_removed(kernel: StandInKernel, side: KernelSide) -> None:
    longer = Modification.bit_or(length=1)
    one, two = chosen(rule(kernel, "a", "b", "c", modify=longer), rule(kernel, "d", "c"))
    assert (one.name, one.installed) == ("a > b c", [])
    side.install([one, two])
    assert kernel.ends() == sorted([("a", "b"), ("a", "c"), ("d", "c")] * 2)  # and of CAN FD
    assert {tag_of(route.uid) for route in kernel.routes} == {TAG}
    kernel.count(handled=5, dropped=2, deleted=1)
    side.count([one, two])
    found = one.statistics()
    assert (found.name, found.path, found.received, found.forwarded) == (
        "a > b c",
        "kernel",
        16,
        20,
    )
    assert [port.destination for port in found.destinations] == ["b@user", "c@user"]
    assert found.destinations[0].dropped == {DropReason.REFUSED: 4, DropReason.LENGTH: 2}
    assert (found.dropped, found.latency.count) == ({}, 0)
    # Without a change of the length it is other rules' frames that are deleted.
    found = two.statistics()
    assert (found.received, found.destinations[0].dropped) == (14, {DropReason.REFUSED: 4})
    kernel.count(handled=7, dropped=0, deleted=0)
    side.remove([one])
    assert kernel.ends() == [("d", "c")] * 2
    assert (one.installed, one.statistics().forwarded) == ([], 28)
    assert one.statistics().destinations[0].dropped == {}
    side.remove([two])
    assert kernel.routes == []


def test_of_rules_that_were_never_counted(kernel: StandInKernel, side: KernelSide) -> None:
    (one,) = chosen(rule(kernel, "a", "b"))
    found = one.statistics()
    assert (found.received, found.lost) == (0, 0)
    assert [port.destination for port in found.destinations] == ["b@user"]
    side.count([one])
    side.remove([one])
    assert one.statistics() == found


@pytest.mark.parametrize("after", range(4))
def test_when_one_is_refused_none_stays(
    kernel: StandInKernel, side: KernelSide, after: int
) -> None:
    rules = chosen(rule(kernel, "a", "b"), rule(kernel, "c", "d"))
    refuse(kernel, RTM_NEWROUTE, after)
    with pytest.raises(CanPermissionError):
        side.install(rules)
    assert kernel.routes == []
    assert [one.installed for one in rules] == [[], []]
    kernel.refuse.clear()
    side.install(rules)
    assert len(kernel.routes) == 4


def test_what_cannot_be_removed_is_logged_and_the_others_go(
    kernel: StandInKernel, side: KernelSide, caplog: pytest.LogCaptureFixture
) -> None:
    rules = chosen(rule(kernel, "a", "b"), rule(kernel, "c", "d"))
    side.install(rules)
    refuse(kernel, RTM_DELROUTE)
    side.remove(rules)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"rule {name!r} stays with the kernel: not allowed" for name in ("a > b", "c > d")
    ]


def test_a_kernel_that_does_not_tell_leaves_what_is_known(
    kernel: StandInKernel, side: KernelSide
) -> None:
    (one,) = chosen(rule(kernel, "a", "b"))
    side.install([one])
    kernel.count(handled=3)
    side.count([one])
    refuse(kernel, RTM_GETROUTE)
    kernel.count(handled=9)
    side.count([one])
    assert one.statistics().forwarded == 6


class TestOrphans:
    def routes(self, kernel: StandInKernel, *uids: int) -> None:
        kernel.routes += [GatewayRoute(1, 2, mod_and=KEEP, uid=uid) for uid in uids]

    def test_those_of_gateways_that_do_not_run(
        self,
        kernel: StandInKernel,
        side: KernelSide,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(module, "find_gateways", lambda: [(0x111, "other"), (TAG, "own")])
        self.routes(kernel, 7, 0xCA111000, 0xCA222000, 0xCA222001, 0xCA123000)
        side.clear_orphans()
        assert [route.uid for route in kernel.routes] == [7, 0xCA111000]
        assert "removed 3 rules of can-gw that gateways had left behind" in caplog.text
        caplog.clear()
        side.clear_orphans()
        assert caplog.text == ""

    def test_they_stay_where_nobody_knows_who_runs(
        self,
        kernel: StandInKernel,
        side: KernelSide,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse() -> None:
            raise CanOSError(errno.EACCES, "which gateways run is not known")

        monkeypatch.setattr(module, "find_gateways", refuse)
        self.routes(kernel, 0xCA222000)
        side.clear_orphans()
        assert len(kernel.routes) == 1
        assert "stay there: which gateways run is not known" in caplog.text

    def test_they_stay_where_they_cannot_be_removed(
        self, kernel: StandInKernel, side: KernelSide, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.routes(kernel, 0xCA222000)
        refuse(kernel, RTM_DELROUTE)
        side.clear_orphans()
        assert len(kernel.routes) == 1
        assert "rules of can-gw that a gateway left behind stay there: " in caplog.text


class TestMending:
    def test_nothing_is_missing(self, kernel: StandInKernel, side: KernelSide) -> None:
        rules = chosen(rule(kernel, "a", "b"))
        side.install(rules)
        before = list(kernel.routes)
        side.mend(rules)
        assert kernel.routes == before

    def test_an_interface_that_has_come_back(
        self, kernel: StandInKernel, side: KernelSide, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        rules = chosen(rule(kernel, "a", "b", "c", modify=Modification.bit_set(data=b"\1")))
        (one,) = rules
        side.install(rules)
        kernel.count(handled=4)
        side.count(rules)
        kept = [route for route in kernel.routes if route.destination == 3]
        kernel.remove("b")
        side.mend(rules)
        assert kernel.routes == kept  # it is not there yet
        kernel.add_vcan("b")
        side.mend(rules)
        assert kernel.ends() == [("a", "b")] * 2 + [("a", "c")] * 2
        assert kernel.routes[:2] == kept
        assert "rule 'a > b c': the kernel forwards again" in caplog.text
        assert {route.uid for route in one.installed} == {route.uid for route in kernel.routes}
        # What was counted for it before goes on.
        assert [port.forwarded for port in one.statistics().destinations] == [8, 8]
        kernel.count(handled=5)
        side.count(rules)
        found = {port.destination: port.forwarded for port in one.statistics().destinations}
        assert found == {"b@user": 18, "c@user": 10}
        side.remove(rules)
        assert kernel.routes == []

    def test_the_source(self, kernel: StandInKernel, side: KernelSide) -> None:
        rules = chosen(rule(kernel, "a", "b"), rule(kernel, "c", "d"))
        side.install(rules)
        kernel.remove("a")
        kernel.add_vcan("a")
        side.mend(rules)
        assert kernel.ends() == [("a", "b")] * 2 + [("c", "d")] * 2

    def test_what_somebody_has_deleted(self, kernel: StandInKernel, side: KernelSide) -> None:
        rules = chosen(rule(kernel, "a", "b"))
        side.install(rules)
        del kernel.routes[0]
        side.mend(rules)
        assert len(kernel.routes) == 2

    def test_refused(
        self, kernel: StandInKernel, side: KernelSide, caplog: pytest.LogCaptureFixture
    ) -> None:
        rules = chosen(rule(kernel, "a", "b"))
        side.install(rules)
        kernel.routes.clear()
        refuse(kernel, RTM_NEWROUTE, 1)
        side.mend(rules)
        assert "the kernel does not take it back: not allowed" in caplog.text
        assert kernel.routes == []
        kernel.refuse.clear()
        side.mend(rules)
        assert len(kernel.routes) == 2

    def test_an_interface_that_goes_again_just_then(
        self, kernel: StandInKernel, side: KernelSide, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (one,) = chosen(rule(kernel, "a", "b"))
        side.install([one])

        def gone(name: str) -> int:
            raise CanOSError(errno.ENODEV, name)

        with monkeypatch.context() as patch:
            patch.setattr(kernel, "interface_index", gone)
            one.note_installed(one.installed)
        assert one.statistics().received == 0
