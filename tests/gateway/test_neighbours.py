"""Who else forwards frames: other gateways, can-gw's own rules, pairs of vxcan."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from anycan import CanOSError, Filter, GatewayError
from anycan.gateway import neighbours
from anycan.gateway.loops import SAME, Edge
from anycan.gateway.neighbours import other_edges
from anycan.gateway.plan import KERNEL_CARRIER
from anycan.gateway.presence import claim, find_gateways, process_of
from anycan.sockets.netlink import NetlinkSocket
from anycan.wire.netlink import NetlinkMessage
from anycan.wire.netlink_gateway import RTM_GETROUTE, RTM_NEWROUTE, GatewayFlag, GatewayRoute
from anycan.wire.netlink_gateway_changes import FrameChange
from anycan.wire.netlink_link import RTM_NEWLINK, Link, LinkInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

KEEP = FrameChange.of(can_id=0xFFFFFFFF)
OWN, OTHER = 0xCA123001, 0xCA456001


class Kernel:
    """A kernel with links and rules of can-gw."""

    def __init__(self, links: Iterable[Link] = (), routes: Iterable[GatewayRoute] = ()) -> None:
        self.links = [*links]
        self.routes = [*routes]
        self.error: CanOSError | None = None

    def request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        if self.error is not None:
            raise self.error
        if message.type == RTM_GETROUTE:
            return [NetlinkMessage(RTM_NEWROUTE, 2, one.pack()) for one in self.routes]
        return [NetlinkMessage(RTM_NEWLINK, 2, one.pack()) for one in self.links]


def link(index: int, name: str, kind: str = "vcan", **options: Any) -> Link:
    return Link(index=index, name=name, info=LinkInfo(kind=kind), **options)


def edge(source: str, destination: str, carrier: str, **options: Any) -> Edge:
    options = {"label": "", "cubes": None} | options
    return Edge(("kernel", source), ("kernel", destination), carrier, **options)


def unlabelled(edges: Iterable[Edge]) -> list[Edge]:
    return [attrs.evolve(one, label="") for one in edges]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "find_gateways", list)


@pytest.mark.usefixtures("alone")
class TestKernel:
    def test_nobody(self) -> None:
        assert other_edges(None, None) == []
        assert other_edges(0x123, Kernel()) == []

    def test_pairs_of_vxcan_with_both_ends_here(self) -> None:
        kernel = Kernel(
            [
                link(1, "one", "vxcan", peer_index=2),
                link(2, "two", "vxcan", peer_index=1),
                link(3, "elsewhere", "vxcan", peer_index=2, peer_namespace=7),
                link(4, "halved", "vxcan", peer_index=9),
                link(5, "pair", "veth", peer_index=6),
                link(6, "riap", "veth", peer_index=5),
                Link(index=7, name="plain"),
            ]
        )
        found = other_edges(None, kernel)
        assert unlabelled(found) == [edge("one", "two", "wire"), edge("two", "one", "wire")]
        assert {one.label for one in found} == {"the vxcan pair"}

    def test_rules_of_can_gw_but_for_the_gateways_own(self) -> None:
        wanted = Filter.id(0x123)
        (word,) = wanted.to_kernel()
        routes = [
            GatewayRoute(1, 2),
            GatewayRoute(1, 2, GatewayFlag.ECHO, word, mod_and=KEEP, uid=OTHER),
            GatewayRoute(2, 1, mod_and=KEEP, uid=OWN),
            GatewayRoute(1, 9, mod_and=KEEP, uid=OTHER),  # where there is none
        ]
        kernel = Kernel([link(1, "a"), link(2, "b")], routes)
        found = other_edges(0x123, kernel)
        everything = Filter.all().cover().cubes
        assert unlabelled(found) == [
            edge("a", "b", KERNEL_CARRIER, cubes=found[0].cubes, visible=False),
            edge("a", "b", KERNEL_CARRIER, cubes=wanted.cover().cubes),
        ]
        assert found[0].cubes is None or set(found[0].cubes) >= set(everything or ())
        assert found[1].label == f"a rule of can-gw (cangw -L shows it, uid {OTHER:#x})"
        assert len(other_edges(None, kernel)) == 3

    @pytest.mark.parametrize(
        ("changes", "change"),
        [
            ({}, SAME),
            ({"mod_and": KEEP}, SAME),
            ({"mod_and": FrameChange.of(can_id=0x7FF)}, (0x7FF, 0)),
            ({"mod_set": FrameChange.of(can_id=0x123)}, (0, 0x123)),
            ({"mod_or": FrameChange.of(can_id=1)}, (0xFFFFFFFE, 1)),
            ({"mod_xor": FrameChange.of(can_id=3)}, (0xFFFFFFFF, 3)),
            ({"mod_xor": FrameChange.of(length=1)}, SAME),
            # One after another: 0xFF stay, 0x0F become 1, 0x03 are inverted.
            (
                {
                    "mod_and": FrameChange.of(can_id=0xFF),
                    "mod_or": FrameChange.of(can_id=0x0F),
                    "mod_xor": FrameChange.of(can_id=0x03),
                },
                (0xF0, 0x0C),
            ),
        ],
    )
    def test_what_they_do_to_the_identifier(self, changes: dict[str, Any], change: object) -> None:
        kernel = Kernel([link(1, "a"), link(2, "b")], [GatewayRoute(1, 2, **changes)])
        (found,) = other_edges(None, kernel)
        assert found.change == change

    def test_a_kernel_that_does_not_tell_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        kernel = Kernel()
        kernel.error = CanOSError(errno.EPERM, "no")
        assert other_edges(None, kernel) == []
        assert "whether others forward frames in a circle is not known: " in caplog.text

    def test_an_answer_that_makes_no_sense_is_logged(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernel = Kernel()
        odd = NetlinkMessage(RTM_NEWLINK, 2, b"\0")
        monkeypatch.setattr(kernel, "request", lambda _: [odd])
        assert other_edges(None, kernel) == []
        assert "whether others forward" in caplog.text

    def test_the_machines_own_kernel(self) -> None:
        try:
            netlink = NetlinkSocket()
        except CanOSError as error:
            pytest.skip(f"no netlink here: {error}")
        with netlink:
            assert all(one.carrier in {"wire", KERNEL_CARRIER} for one in other_edges(1, netlink))


EDGE = {"source": "a", "destination": "b", "cubes": None, "change": [0xFFFFFFFF, 0], "visible": 1}


class TestGateways:
    """Others are found and asked by way of :mod:`anycan.gateway.presence`, stood in for."""

    @pytest.fixture
    def others(self, monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
        """Give what gateways answer, by their tag."""
        answers: dict[int, Any] = {}

        def ask(tag: int) -> Any:
            if isinstance(answers[tag], Exception):
                raise answers[tag]
            return answers[tag]

        monkeypatch.setattr(neighbours, "find_gateways", lambda: [(tag, "x") for tag in answers])
        monkeypatch.setattr(neighbours, "process_of", lambda tag, _: 10**9 + tag)
        monkeypatch.setattr(neighbours, "is_trusted", lambda *_: True)
        monkeypatch.setattr(neighbours, "ask", ask)
        return answers

    def test_what_they_tell(self, others: dict[int, Any]) -> None:
        others |= {1: {"edges": [EDGE]}, 2: {"edges": [EDGE]}, 3: {"edges": []}}
        (found,) = other_edges(2, None)
        label = "process 1000000001 (gateway 'x')"
        assert found == edge("a", "b", "gateway 1", label=label)

    def test_another_users_is_not_asked(
        self,
        others: dict[int, Any],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        others[1] = AssertionError("it was asked")
        monkeypatch.setattr(neighbours, "is_trusted", lambda *_: False)
        assert other_edges(None, None) == []
        assert "is another user's: it is not asked what it forwards" in caplog.text

    def test_who_runs_is_not_known(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse() -> None:
            raise CanOSError(errno.EACCES, "which gateways run is not known")

        monkeypatch.setattr(neighbours, "find_gateways", refuse)
        assert other_edges(None, None) == []
        assert "whether frames come back is not known: which gateways run" in caplog.text

    def test_those_of_this_process_are_not_asked(
        self, others: dict[int, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        others[1] = AssertionError("it was asked")
        monkeypatch.setattr(neighbours, "process_of", lambda *_: os.getpid())
        assert other_edges(None, None) == []

    @pytest.mark.parametrize(
        "answer",
        [
            GatewayError("it did not answer"),
            {},
            {"edges": 5},
            {"edges": [5]},
            {"edges": [EDGE | {"cubes": [["x", 1]]}]},
            {"edges": [EDGE | {"cubes": json.loads("[[1e999, 0]]")}]},
        ],
    )
    def test_who_cannot_be_asked_is_left_out(
        self, others: dict[int, Any], answer: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        others |= {1: answer, 2: {"edges": [EDGE]}}
        (found,) = other_edges(None, None)
        assert found.carrier == "gateway 2"
        assert "process 1000000001 (gateway 'x'): which frames it forwards is not known" in (
            caplog.text
        )

    def test_one_that_really_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name = f"test-neighbours-{os.getpid()}"
        with claim(name) as presence:
            found = [one for one in find_gateways() if one[1] == name]
            monkeypatch.setattr(neighbours, "find_gateways", lambda: found)
            assert process_of(presence.tag, name) == os.getpid()
            assert other_edges(None, None) == []
