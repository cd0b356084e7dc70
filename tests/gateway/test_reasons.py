"""The reasons' values are shown, and written into files: they stay what they are."""

from __future__ import annotations

from anycan.gateway.reasons import DropReason


def test_the_values() -> None:
    assert {reason.name: reason.value for reason in DropReason} == {
        "RATE_LIMIT": "rate limit",
        "UNCHANGED": "unchanged",
        "NOT_ACTIVE": "not active",
        "LENGTH": "length",
        "DOES_NOT_FIT": "does not fit",
        "INTERFACE_DOWN": "interface down",
        "BUS_OFF": "bus-off",
        "INTERFACE_GONE": "interface gone",
        "QUEUE_FULL": "queue full",
        "SUPERSEDED": "superseded",
        "CALL_FAILED": "call failed",
        "CALL_QUEUE_FULL": "call queue full",
        "CALL_GAVE_NONE": "call gave none",
        "REFUSED": "refused",
        "RULE_ENDED": "rule ended",
    }
    assert f"{DropReason.LENGTH}" == "length"
