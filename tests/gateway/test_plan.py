"""Rules with their interfaces looked up, and who forwards for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anycan import (
    Filter,
    GatewayError,
    GatewayPort,
    Modification,
    NetworkUnavailableError,
    OffloadError,
    Rule,
    UserNetwork,
)
from anycan import kernel as real_kernel
from anycan.gateway.kernel_rules import PortFacts
from anycan.gateway.loops import SAME, Edge
from anycan.gateway.plan import (
    Choice,
    choose_paths,
    edges_of,
    facts_of,
    node_of,
    plan_rules,
    routes_of,
)
from rig.gateways import rule

if TYPE_CHECKING:
    from rig.gateways import StandInKernel


class TestPlanning:
    def test_interfaces_are_looked_up(self, network: UserNetwork) -> None:
        (planned,) = plan_rules([rule(network, "a", "b", "c")])
        assert (planned.source, planned.destinations) == (
            (network, "a"),
            ((network, "b"), (network, "c")),
        )
        assert planned.ports == ((network, "a"), (network, "b"), (network, "c"))

    def test_none_are_none(self) -> None:
        assert plan_rules([]) == []

    def test_names_that_repeat_are_numbered(self, network: UserNetwork) -> None:
        names = ["x", "x", "y", "x (2)", "x"]
        planned = plan_rules(rule(network, "a", "b", name=name) for name in names)
        assert [one.name for one in planned] == ["x", "x (2)", "y", "x (2) (2)", "x (3)"]

    def test_one_interface_written_in_two_ways(self) -> None:
        with UserNetwork("bench") as network:
            network.add_vcan("a")
            one = Rule(source=GatewayPort("a", network), destination=GatewayPort("a", "user:bench"))
            with pytest.raises(GatewayError, match="are the same one"):
                plan_rules([one])
            two = Rule(
                source="a",
                destination=[GatewayPort("b", network), GatewayPort("b", "user:bench")],
            )
            with pytest.raises(GatewayError, match=r"\(a and b@user:bench, b@user:bench\)"):
                plan_rules([two])

    def test_interfaces_of_one_name_on_two_networks(self, network: UserNetwork) -> None:
        with UserNetwork() as other:
            one = Rule(source=GatewayPort("a", network), destination=GatewayPort("a", other))
            (planned,) = plan_rules([one])
            nodes = [node_of(key) for key in planned.ports]
        assert nodes[0][1] == nodes[1][1] == "a"
        assert nodes[0][0] != nodes[1][0]

    def test_a_network_that_there_is_none_of(self) -> None:
        with pytest.raises(NetworkUnavailableError, match="no user-space network 'x' is open"):
            plan_rules([Rule(source=GatewayPort("a", "user:x"), destination="b")])

    def test_the_default_network(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with UserNetwork("default") as default:
            monkeypatch.setenv("ANYCAN_NETWORK", "user:default")
            (planned,) = plan_rules([Rule(source="a", destination=GatewayPort("b", network))])
        assert planned.ports == ((default, "a"), (network, "b"))

    def test_the_kernel_is_one_node(self) -> None:
        assert node_of((real_kernel, "can0")) == ("kernel", "can0")


class TestEdges:
    def edges(self, one: Rule) -> list[Edge]:
        (planned,) = plan_rules([one])
        return edges_of(planned, "me", "rule")

    def test_one_to_each_destination(self, network: UserNetwork) -> None:
        wanted = Filter.id(1)
        found = self.edges(rule(network, "a", "b", "c", filter=wanted, local_echo=False))
        source = node_of((network, "a"))
        assert found == [
            Edge(
                source, node_of((network, name)), "me", "rule", wanted.cover().cubes, visible=False
            )
            for name in ("b", "c")
        ]

    @pytest.mark.parametrize(
        ("options", "change"),
        [
            ({}, SAME),
            ({"modify": Modification.bit_set(data=b"\1")}, SAME),
            ({"modify": Modification.bit_set(can_id=0x123)}, (0, 0x123)),
            ({"modify": Modification.bit_and(can_id=0x7FF)}, (0x7FF, 0)),
            ({"modify": Modification.bit_or(can_id=5)}, (0xFFFFFFFA, 5)),
            ({"modify": Modification.bit_xor(can_id=5)}, (0xFFFFFFFF, 5)),
            ({"id_map": {1: 2}}, None),
            ({"call": print}, None),
        ],
    )
    def test_what_becomes_of_identifiers(
        self, network: UserNetwork, options: dict[str, object], change: object
    ) -> None:
        (edge,) = self.edges(rule(network, "a", "b", **options))
        assert edge.change == change
        assert edge.visible

    def test_error_frames_go_along_it_too(self, network: UserNetwork) -> None:
        (edge,) = self.edges(rule(network, "a", "b", filter=Filter.id(1) | Filter.errors()))
        assert edge.cubes is not None
        assert any(0x20000004 & mask == value for value, mask in edge.cubes)
        (edge,) = self.edges(rule(network, "a", "b", filter=Filter.id(1)))
        assert edge.cubes is not None
        assert not any(0x20000004 & mask == value for value, mask in edge.cubes)


class TestPaths:
    def choose(self, *rules: Rule, refusal: str = "") -> list[Choice]:
        return choose_paths(plan_rules(rules), refusal)

    def test_facts(self, kernel: StandInKernel, network: UserNetwork) -> None:
        facts = facts_of((kernel, "b"))
        assert facts == PortFacts("b", 2, 72, is_kernel=True)
        assert facts_of((kernel, "none")) is None
        assert facts_of((network, "a")) == PortFacts("a", 1, 72, is_kernel=False)

    def test_one_that_vanishes_meanwhile(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(network, "interface_mtu", lambda _: None)
        assert facts_of((network, "a")) is None

    def test_the_kernel_where_it_can(self, kernel: StandInKernel) -> None:
        (choice,) = self.choose(rule(kernel, "a", "b", "c"))
        assert choice.reason == ""
        assert choice.routes is not None
        assert {(one.source, one.destination) for one in choice.routes} == {(1, 2), (1, 3)}

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"offload": "never"}, "the rule says so"),
            ({"call": print}, "the kernel's can-gw calls no Python function (call)"),
        ],
    )
    def test_this_process_where_it_cannot(
        self, kernel: StandInKernel, options: dict[str, object], reason: str
    ) -> None:
        (choice,) = self.choose(rule(kernel, "a", "b", **options))
        assert (choice.routes, choice.reason) == (None, reason)

    def test_an_interface_that_is_not_there(self, kernel: StandInKernel) -> None:
        (planned,) = plan_rules([rule(kernel, "a", "b", "none")])
        assert routes_of(planned) == "none is not there"

    def test_what_the_kernel_refuses_as_a_whole(self, kernel: StandInKernel) -> None:
        rules = rule(kernel, "a", "b"), rule(kernel, "c", "d", offload="never")
        found = self.choose(*rules, refusal="it is busy")
        assert [choice.reason for choice in found] == ["it is busy", "the rule says so"]

    def test_one_that_meets_another_is_this_processs_too_and_so_on(
        self, kernel: StandInKernel
    ) -> None:
        kernel.add_vcan("e")
        kernel.add_vcan("f")
        found = self.choose(
            rule(kernel, "c", "d"),
            rule(kernel, "b", "c"),
            rule(kernel, "e", "f"),
            rule(kernel, "a", "b", call=print),
        )
        assert [choice.routes is None for choice in found] == [True, True, False, True]
        assert found[0].reason == (
            "rule 'b > c' meets it at an interface and is forwarded by this process"
        )
        assert found[1].reason.startswith("rule 'a > b' meets it")

    def test_two_of_one_source_or_one_destination_do_not_meet(self, kernel: StandInKernel) -> None:
        found = self.choose(
            rule(kernel, "a", "b"), rule(kernel, "a", "c", call=print), rule(kernel, "d", "b")
        )
        assert [choice.routes is None for choice in found] == [False, True, False]

    def test_one_that_requires_the_kernel(self, kernel: StandInKernel) -> None:
        required = rule(kernel, "b", "c", offload="require")
        (choice,) = self.choose(required)
        assert choice.routes
        with pytest.raises(OffloadError, match=r"'b > c' requires the kernel's path: it is busy"):
            self.choose(required, refusal="it is busy")
        with pytest.raises(OffloadError, match=r"'b > c' requires .* rule 'a > b' meets it"):
            self.choose(required, rule(kernel, "a", "b", offload="never"))
