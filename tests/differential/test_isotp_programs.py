"""The user-space network's ISO-TP is the kernel's twin, in time as well."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from clock import manual_network
from isotp_programs import END, Bind, Receive, Run, Send, StandingRun, Traffic, Wait, programs
from stages import INTERFACES, KernelStage, UserStage
from timed import MARGIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isotp_programs import Outcome, Step

PROGRAMS = int(os.environ.get("ANYCAN_ISOTP_PROGRAMS", "60"))

_BYTES_OF_ONE_KIND = re.compile(r"( ..)\1{3,}$")
BATCH = 60  # of which the lab hears nothing until it has ended

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def kernel_stage() -> Iterator[KernelStage]:
    # The kernel's timers are each processor's own: on one, they are in order.
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    stage = KernelStage()
    yield stage
    stage.close()
    os.sched_setaffinity(0, processors)


def run_on_user_network(program: list[Step], waits: list[int]) -> list[Outcome]:
    network, clock = manual_network()
    return StandingRun(UserStage(network), clock, waits).outcomes(program)


def run_on_kernel(program: list[Step], waits: list[int], stage: KernelStage) -> list[Outcome]:
    """Run a program in time; on a busy machine, that may take several attempts."""
    for _ in range(5):
        for interface in INTERFACES:
            stage.up(interface)
        run = Run(stage, waits)
        outcomes = run.outcomes(program)
        if run.lateness < MARGIN // 2:
            return outcomes
    assume(False)  # what takes its time tells nothing of timers
    raise AssertionError


def difference(
    program: list[Step], waits: list[int], user: list[Outcome], kernel: list[Outcome]
) -> str:
    """Tell where two runs differ, and what the program was."""
    lines = [f"waits (ms): {[wait // 1_000_000 for wait in waits]}"]
    for step, here, there in zip([*program, *END], user, kernel, strict=True):
        if here == there:
            lines.append(f"  {show(step)} -> {show(here)}")
        else:
            lines += [f"! {show(step)}", f"    user:   {show(here)}", f"    kernel: {show(there)}"]
    return "\n".join(lines)


def show(what: object) -> str:
    """Write bytes as hexadecimal digits."""
    match what:
        case bytes():
            return _BYTES_OF_ONE_KIND.sub(r" \1*", what.hex(" "))
        case Traffic(payload, interface):
            return f"Traffic({show(payload)}, {interface})"
        case list() | tuple():
            return f"({', '.join(map(show, what))})"
        case _:
            return str(what)


@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH)))
@settings(
    max_examples=min(PROGRAMS, BATCH),
    deadline=None,
    database=None,
    phases=[Phase.generate],  # time does not repeat itself: what is found is shown as it is
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(program=programs())
def test_the_same_program_has_the_same_outcomes(
    kernel_stage: KernelStage,
    batch: int,  # noqa: ARG001 - each has programs of its own
    program: list[Step],
) -> None:
    waits: list[int] = []
    user = run_on_user_network(program, waits)
    kernel = run_on_kernel(program, waits, kernel_stage)
    for _ in range(2):
        # A timer of the kernel's that was late is chance; what differs thrice does differ.
        if kernel != user:
            kernel = run_on_kernel(program, waits, kernel_stage)
    if kernel != user:
        pytest.fail(difference(program, waits, user, kernel))


def test_the_comparison_sees_a_frame_that_is_missing(kernel_stage: KernelStage) -> None:
    def program(size: int) -> list[Step]:
        return [
            Bind(0, "flexible", 0x101, 0x102),
            Bind(1, "flexible", 0x102, 0x101),
            Send(0, size),
            Wait(100),
            Receive(None),
        ]

    waits: list[int] = []
    user = run_on_user_network(program(20), waits)
    assert run_on_kernel(program(20), waits, kernel_stage) == user
    assert run_on_kernel(program(21), waits, kernel_stage) != user
