"""The user-space network's ISO-TP is the kernel's twin, in time as well."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from clock import manual_network
from isotp_programs import END, Bind, Run, Send, StandingRun, programs
from stages import INTERFACES, UserStage
from steps import Receive, Traffic, Wait
from timed import assume_in_time, difference, in_time, on_the_kernel, timely_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isotp_programs import Outcome, Step
    from stages import KernelStage

PROGRAMS = int(os.environ.get("ANYCAN_ISOTP_PROGRAMS", "60"))

_BYTES_OF_ONE_KIND = re.compile(r"( ..)\1{3,}$")
BATCH = 10  # of which the lab hears nothing until it has ended

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
    with assume_in_time():
        kernel = on_the_kernel(user, lambda: run_on_kernel(program, waits, kernel_stage, 5))
    if kernel != user:
        pytest.fail(difference([*program, *END], waits, user, kernel, show))


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
