"""The user-space network's broadcast manager is the kernel's twin, in time as well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings

from anycan.wire.bcm import NATIVE, BcmFlag, BcmMessage, BcmOpcode, Interval
from bcm_programs import END, MARGIN, Ask, Connect, Run, StandingRun, Wait, programs
from clock import manual_network
from stages import INTERFACES, KernelStage, UserStage

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
    assume(False)
    raise AssertionError


@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH)))
@settings(
    max_examples=min(PROGRAMS, BATCH),
    deadline=None,
    database=None,
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
    shown = [*program, *END]
    assert list(zip(shown, user, strict=True)) == list(zip(shown, kernel, strict=True))


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
