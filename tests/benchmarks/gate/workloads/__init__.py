"""The workloads: the paths that frames take most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gate.workloads import cyclic, forwarding, isotp, reading, reference, routing, user, writing

if TYPE_CHECKING:
    from gate.meter import Workload


def all_workloads() -> dict[str, Workload]:
    """Give the workloads by their keys; the first is what the others are compared with."""
    found = [
        *reference.WORKLOADS,
        *reading.WORKLOADS,
        *writing.WORKLOADS,
        *user.WORKLOADS,
        *routing.WORKLOADS,
        *forwarding.WORKLOADS,
        *isotp.WORKLOADS,
        *cyclic.WORKLOADS,
    ]
    return {workload.key: workload for workload in found}
