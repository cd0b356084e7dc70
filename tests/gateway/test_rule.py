"""Rules: what they may say, what their fields become, and what is wrong with those that may not."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from anycan import (
    CanFilter,
    Crc8Checksum,
    Filter,
    GatewayError,
    GatewayPort,
    Modification,
    RateLimit,
    Rule,
    UserNetwork,
    XorChecksum,
)

CRC = Crc8Checksum.of(0x1D, first=0, last=6, result=7)
XOR = XorChecksum(0, 6, 7)


def make(**options: Any) -> Rule:
    return Rule(**{"source": "can0", "destination": "can1"} | options)


class TestPort:
    def test_what_it_is_called(self) -> None:
        with UserNetwork("bench") as network:
            ports = (
                GatewayPort("can0"),
                GatewayPort("can0", "kernel"),
                GatewayPort("can0", network),
            )
            assert [str(port) for port in ports] == ["can0", "can0@kernel", "can0@user:bench"]

    @pytest.mark.parametrize("name", ["", None, 3, b"can0"])
    def test_an_interface_is_a_name(self, name: Any) -> None:
        with pytest.raises(GatewayError, match="a gateway's interface is a name such as 'can0'"):
            GatewayPort(name)


class TestFields:
    def test_what_is_not_given(self) -> None:
        rule = make()
        assert rule.source == GatewayPort("can0")
        assert rule.destinations == (GatewayPort("can1"),)
        assert rule.filter == Filter.all()
        assert (rule.modify, rule.checksums, rule.limits, dict(rule.id_map)) == ((), (), (), {})
        assert (rule.overflow, rule.capacity, rule.offload) == ("drop_oldest", 1024, "auto")

    @pytest.mark.parametrize(
        ("destination", "name"),
        [
            ("can1", "can0 -> can1"),
            (GatewayPort("can1", "kernel"), "can0 -> can1@kernel"),
            (["can1", GatewayPort("can2")], "can0 -> can1, can2"),
            (iter(["can1", "can2"]), "can0 -> can1, can2"),
        ],
    )
    def test_its_name_says_where_it_leads(self, destination: Any, name: str) -> None:
        assert make(destination=destination).name == name

    def test_a_name_of_its_own(self) -> None:
        assert make(name="doors").name == "doors"

    @pytest.mark.parametrize(
        "given", [Filter.id(1), [Filter.id(1)], iter([Filter.id(1)]), [CanFilter(1, 0xC00007FF)]]
    )
    def test_filters_in_any_form(self, given: Any) -> None:
        rule = make(filter=given)
        assert rule.filter.to_kernel() == Filter.id(1).to_kernel()

    def test_several_filters_are_one(self) -> None:
        assert make(filter=[Filter.id(1), Filter.id(2)]).filter == Filter.id(1) | Filter.id(2)

    def test_one_or_several(self) -> None:
        change, limit = Modification.bit_set(id=1), RateLimit(5)
        assert make(modify=change).modify == make(modify=[change]).modify == (change,)
        assert make(limits=limit).limits == make(limits=iter([limit])).limits == (limit,)
        assert make(checksums=XOR).checksums == (XOR,)
        assert make(checksums=[CRC, XOR]).checksums == (CRC, XOR)

    def test_a_map_keeps_its_order_and_is_its_own(self) -> None:
        given = {3: 1, 1: 2, 0x1FFFFFFF: 0}
        rule = make(id_map=given)
        given[9] = 9
        assert list(rule.id_map.items()) == [(3, 1), (1, 2), (0x1FFFFFFF, 0)]

    def test_rules_that_say_the_same_are_equal(self) -> None:
        def options() -> dict[str, Any]:
            return {"filter": Filter.range(1, 9), "id_map": {1: 2}, "checksums": [CRC]}

        assert make(**options()) == make(**options())
        assert make(**options()) != make(**options(), capacity=5)
        assert pickle.loads(pickle.dumps(make(**options()))) == make(**options())  # noqa: S301 - its own

    def test_it_does_not_change(self) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            make().name = "other"  # type: ignore[misc]


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"destination": []}, "rule 'can0 -> ': it has no destination"),
            ({"destination": "can0"}, "can0 is both source and destination"),
            ({"destination": ["can1", "can0"]}, "can0 is both source and destination"),
            ({"destination": ["can1", "can2", "can1"]}, "can1 is a destination twice"),
            ({"filter": Filter.none()}, "its filter takes no frame"),
            ({"convert": "xl"}, "convert is one of (None, 'classical', 'fd'), not 'xl'"),
            ({"overflow": "block"}, "overflow is one of ('drop_oldest', 'drop_newest', "),
            ({"offload": None}, "offload is one of ('auto', 'never', 'require'), not None"),
            ({"capacity": 0}, "capacity is a number of frames, 1 or more, not 0"),
            ({"capacity": 1.5}, "capacity is a number of frames, 1 or more, not 1.5"),
            ({"call_capacity": -1}, "call_capacity is a number of frames, 1 or more, not -1"),
            ({"minimum_interval": -0.1}, "minimum_interval is a time in seconds, 0 to 86400"),
            ({"minimum_interval": 86401}, "0 to 86400, not 86401"),
            ({"minimum_interval": float("nan")}, "not nan"),
            ({"refresh": -1.0, "changes_only": True}, "refresh is a time in seconds, 0 to 86400"),
            ({"refresh": 1.0}, "it needs changes_only"),
            ({"call": 5}, "call is a function that is given a frame, not 5"),
            ({"checksums": [XOR, XOR]}, "it has more than one XorChecksum"),
            ({"checksums": [CRC, XOR, CRC]}, "it has more than one Crc8Checksum"),
            ({"offload": "require", "call": print}, "the kernel calls no Python function"),
            ({"name": "doors", "capacity": 0}, "rule 'doors': capacity"),
        ],
    )
    def test_in_the_whole(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(GatewayError) as caught:
            make(**options)
        assert message in str(caught.value)
        assert str(caught.value).startswith("rule '")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"source": None}, "a gateway's interface is a name"),
            ({"destination": 5}, "a gateway's interface is a name such as 'can0', not 5"),
            ({"filter": 5}, "filter: "),
            ({"modify": 5}, "modify: 5 is no Modification"),
            ({"modify": [Modification.bit_set(id=1), "x"]}, "modify: 'x' is no Modification"),
            ({"checksums": 5}, "checksums: 5 is no XorChecksum or Crc8Checksum"),
            ({"limits": "100/s"}, "limits: '1' is no RateLimit"),
            ({"id_map": {-1: 5}}, "id_map: -1 is no identifier (0 to 0x1FFFFFFF)"),
            ({"id_map": {1: 0x20000000}}, "id_map: 536870912 is no identifier"),
            ({"id_map": {"1": 5}}, "id_map: '1' is no identifier"),
            ({"id_map": {True: 5}}, "id_map: True is no identifier"),
        ],
    )
    def test_in_one_field(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(GatewayError) as caught:
            make(**options)
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        "options",
        [
            {"minimum_interval": "1s"},
            {"refresh": "1s", "changes_only": True},
            {"id_map": [1, 2]},
            {"active": "22:00"},
        ],
        ids=str,
    )
    def test_of_another_kind(self, options: dict[str, Any]) -> None:
        with pytest.raises(GatewayError):
            make(**options)


def test_a_port_on_what_is_no_network() -> None:
    with pytest.raises(GatewayError, match="the network of can1 is a network"):
        GatewayPort("can1", 5)  # type: ignore[arg-type]
