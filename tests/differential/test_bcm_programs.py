"""The user-space network's broadcast manager is the kernel's twin, in time as well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from anycan.wire.bcm import NATIVE, BcmFlag, BcmMessage, BcmOpcode, Interval
from bcm_programs import END, Ask, Connect, Run, StandingRun, Traffic, Wait, programs
from clock import manual_network
from stages import INTERFACES, KernelStage, UserStage
from timed import MARGIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bcm_programs import Outcome, Step

PROGRAMS = int(os.environ.get("ANYCAN_BCM_PROGRAMS", "60"))

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
    # What takes its time, such as a program that replaces an interface, tells nothing of timers.
    # (Where that is so for nearly all, Hypothesis fails the test: it finds too few programs.)
    assume(False)
    raise AssertionError


def difference(
    program: list[Step], waits: list[int], user: list[Outcome], kernel: list[Outcome]
) -> str:
    """Tell where two runs differ, and what the program was."""
    lines = [f"waits (ms): {[wait // 1_000_000 for wait in waits]}"]
    for step, here, there in zip([*program, *END], user, kernel, strict=True):
        if here == there:
            lines.append(f"  {show(step)}")
        else:
            lines += [f"! {show(step)}", f"    user:   {show(here)}", f"    kernel: {show(there)}"]
    return "\n".join(lines)


def show(what: object) -> str:
    """Write bytes as hexadecimal digits, and messages as what is in them."""
    match what:
        case bytes() if len(what) >= NATIVE.head_size:
            return str(NATIVE.decode(what)) if len(what) % 8 == 0 else what.hex()
        case bytes():
            return what.hex(" ")
        case Ask(who, data, interface) if data:
            return f"Ask({who}, {show(data)}, {interface})"
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
    network, clock = manual_network()
    user = StandingRun(UserStage(network), clock, waits).outcomes(program)
    assume(not clock.close_call)
    kernel = run_on_kernel(program, waits, kernel_stage)
    for _ in range(2):
        # A timer of the kernel's that was late is chance; what differs thrice does differ.
        if kernel != user:
            kernel = run_on_kernel(program, waits, kernel_stage)
    if kernel != user:
        pytest.fail(difference(program, waits, user, kernel))


def test_the_comparison_sees_a_beat_that_is_another(kernel_stage: KernelStage) -> None:
    flags = BcmFlag.SETTIMER | BcmFlag.STARTTIMER

    def program(milliseconds: int) -> list[Step]:
        interval = Interval(0, milliseconds * 1000)
        message = BcmMessage(
            BcmOpcode.TX_SETUP, flags, 0, Interval(), interval, 1, 1, bytes([1, *bytes(15)])
        )
        return [Connect(0, "flexible"), Ask(0, NATIVE.encode(message), None), Wait(500)]

    waits: list[int] = []
    user = run_on_user_network(program(80), waits)
    assert run_on_kernel(program(80), waits, kernel_stage) == user
    assert run_on_kernel(program(110), waits, kernel_stage) != user
