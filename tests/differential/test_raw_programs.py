"""The user-space network is the kernel's twin: the same programs have the same outcomes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from raw_programs import run, steps
from stages import INTERFACES, KernelStage, UserStage
from steps import Link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raw_programs import Step

PROGRAMS = int(os.environ.get("ANYCAN_PROGRAMS", "300"))

BATCH = 300  # of which the lab hears nothing until it has ended

# A program takes up to half a second where the processor is emulated.
pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def kernel_stage() -> Iterator[KernelStage]:
    stage = KernelStage()
    yield stage
    stage.close()


@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH)))
@settings(
    max_examples=min(PROGRAMS, BATCH),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(program=strategies.lists(steps(), min_size=4, max_size=25))
def test_the_same_program_has_the_same_outcomes(
    kernel_stage: KernelStage,
    batch: int,  # noqa: ARG001 - each has programs of its own
    program: list[Step],
) -> None:
    for interface in INTERFACES:
        kernel_stage.up(interface)
    user = run(program, UserStage())
    kernel = run(program, kernel_stage)
    shown = [*program, "left over", "left over", "left over"]
    assert list(zip(shown, user, strict=True)) == list(zip(shown, kernel, strict=True))


def test_the_comparison_sees_a_difference(kernel_stage: KernelStage) -> None:
    assert run([Link("flexible", up=False)], UserStage()) == run(
        [Link("flexible", up=False)], kernel_stage
    )
    kernel_stage.up("flexible")
    stage = UserStage()
    stage.network.remove("flexible")
    assert run([Link("flexible", up=False)], stage) != run(
        [Link("flexible", up=False)], kernel_stage
    )
    kernel_stage.up("flexible")
