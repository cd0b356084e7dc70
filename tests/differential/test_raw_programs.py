"""The user-space network is the kernel's twin: the same programs have the same outcomes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies

import raw_comparison
from raw_comparison import SEED, compare, generate
from raw_steps import Address, Bind, Poll
from stages import KernelStage, ServedStage, UserStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from raw_steps import Step
    from stages import Stage

PROGRAMS = int(os.environ.get("ANYCAN_RAW_PROGRAMS", "300"))
BATCH = 300  # of which the lab hears nothing until it has ended

# In the lab, a call to another process takes its time: there it is a tenth of them, and here all
# of them, from the same seed.
SERVED = PROGRAMS // 10
SERVED_BATCH = 100
SERVED_HERE = PROGRAMS if "ANYCAN_RAW_PROGRAMS" in os.environ else 15


def batches(count: int, size: int) -> list[tuple[int, int]]:
    """Give the number of each batch, and how many programs are in it."""
    starts = range(0, count, size)
    return [(number, min(size, count - start)) for number, start in enumerate(starts)]


@pytest.fixture(scope="module")
def served_stage() -> Iterator[ServedStage]:
    stage = ServedStage(pair=True)
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def kernel_stage() -> Iterator[KernelStage]:
    stage = KernelStage(pair=True)
    yield stage
    stage.close()


@pytest.fixture
def user_stage() -> UserStage:
    return UserStage(pair=True)


@pytest.mark.kernel
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("batch", "count"), batches(PROGRAMS, BATCH))
def test_the_user_network_is_the_kernel_s_twin(
    kernel_stage: KernelStage,
    user_stage: UserStage,
    batch: int,
    count: int,
    record_property: Callable[[str, object], None],
) -> None:
    tally = compare({"kernel": kernel_stage, "user": user_stage}, count, SEED + batch)
    suite = "raw sockets, on the kernel and the user network"
    record_property("differential", [suite, tally.programs, tally.steps, SEED])


@pytest.mark.kernel
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("batch", "count"), batches(SERVED, SERVED_BATCH))
def test_a_served_network_is_the_kernel_s_twin(
    kernel_stage: KernelStage,
    served_stage: ServedStage,
    batch: int,
    count: int,
    record_property: Callable[[str, object], None],
) -> None:
    tally = compare({"kernel": kernel_stage, "served": served_stage}, count, SEED + batch)
    suite = "raw sockets, on the kernel and a served network"
    record_property("differential", [suite, tally.programs, tally.steps, SEED])


@pytest.mark.parametrize(("batch", "count"), batches(SERVED_HERE, BATCH))
def test_a_served_network_is_as_the_one_in_process(
    user_stage: UserStage,
    served_stage: ServedStage,
    batch: int,
    count: int,
    record_property: Callable[[str, object], None],
) -> None:
    tally = compare({"user": user_stage, "served": served_stage}, count, SEED + batch)
    suite = "raw sockets, on the user network and a served one"
    record_property("differential", [suite, tally.programs, tally.steps, SEED])


class LostStage(UserStage):
    """One whose interface for CAN FD is gone: a network with a bug."""

    def reset(self) -> None:
        super().reset()
        self.remove("flexible")


def test_a_difference_is_made_small_and_shown(
    user_stage: UserStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    some: list[Step] = [Bind(0, Address("classical")), Bind(1, Address("flexible")), Poll(0)]
    few = strategies.lists(strategies.sampled_from(some), max_size=8)
    monkeypatch.setattr(raw_comparison, "bundles", lambda: few.map(lambda program: [program]))
    stages: dict[str, Stage] = {"whole": user_stage, "lost": LostStage(pair=True)}
    with pytest.raises(pytest.fail.Exception) as caught:
        compare(stages, 200, 1)
    text = str(caught.value)
    assert text.startswith("seed 1:\n")
    lines = text.splitlines()[3:]
    assert lines[:2] == ["! Bind(1, Address(flexible))", f"!     {'done':54} | ENODEV"]
    # What is left over at the end of it is shown where it differs alone.
    assert lines[2:] == ["! Lists()", f"!     {'flexible all 00000000:00000000 0':54} | nothing"]


def test_programs_are_the_same_from_the_same_seed() -> None:
    assert generate(10, 5) == generate(10, 5) != generate(10, 6)
