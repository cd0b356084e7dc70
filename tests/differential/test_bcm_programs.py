"""The user-space network's broadcast manager is the kernel's twin, in time as well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from anycan.wire.bcm import NATIVE, BcmFlag, BcmMessage, BcmOpcode, Interval
from bcm_programs import END, Ask, Connect, Run, StandingRun, programs
from clock import manual_network
from stages import INTERFACES, UserStage
from steps import Traffic, Wait
from timed import assume_in_time, difference, in_time, on_the_kernel, timely_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bcm_programs import Outcome, Step
    from stages import KernelStage

PROGRAMS = int(os.environ.get("ANYCAN_BCM_PROGRAMS", "60"))

BATCH = 20  # of which the lab hears nothing until it has ended

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def kernel_stage() -> Iterator[KernelStage]:
    with timely_stage() as stage:
        yield stage


def run_on_user_network(program: list[Step], waits: list[int]) -> list[Outcome]:
    network, clock = manual_network()
    return StandingRun(UserStage(network), clock, waits).outcomes(program)


def run_on_kernel(
    program: list[Step], waits: list[int], stage: KernelStage, attempts: int = 50
) -> list[Outcome]:
    def make() -> Run:
        for interface in INTERFACES:
            stage.up(interface)
        return Run(stage, waits)

    return in_time(make, lambda run: run.outcomes(program), attempts)


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
    with assume_in_time():
        kernel = on_the_kernel(user, lambda: run_on_kernel(program, waits, kernel_stage, 5))
    if kernel != user:
        pytest.fail(difference([*program, *END], waits, user, kernel, show))


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
