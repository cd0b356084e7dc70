"""The user-space network is the kernel's twin: the same programs have the same outcomes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from raw_comparison import SEED, compare, generate
from stages import KernelStage, ServedStage, UserStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stages import Stage

PROGRAMS = int(os.environ.get("ANYCAN_RAW_PROGRAMS", "300"))

BATCH = 300  # of which the lab hears nothing until it has ended


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
@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH)))
def test_the_same_program_has_the_same_outcomes(
    kernel_stage: KernelStage,
    user_stage: UserStage,
    served_stage: ServedStage,
    batch: int,
    record_property: Callable[[str, object], None],
) -> None:
    stages: dict[str, Stage] = {"kernel": kernel_stage, "user": user_stage, "served": served_stage}
    count = min(BATCH, PROGRAMS - batch * BATCH)
    tally = compare(stages, count, SEED + batch)
    suite = "raw sockets, on the kernel, the user network and a served one"
    record_property("differential", [suite, tally.programs, tally.steps, SEED])


def test_a_served_network_is_as_the_one_in_process(
    user_stage: UserStage,
    served_stage: ServedStage,
    record_property: Callable[[str, object], None],
) -> None:
    tally = compare({"user": user_stage, "served": served_stage}, 15, SEED)
    suite = "raw sockets, on the user network and a served one"
    record_property("differential", [suite, tally.programs, tally.steps, SEED])


class LostStage(UserStage):
    """One whose interface for CAN FD is gone: a network with a bug."""

    def reset(self) -> None:
        super().reset()
        self.remove("flexible")


def test_a_difference_is_made_small_and_shown(user_stage: UserStage) -> None:
    stages: dict[str, Stage] = {"whole": user_stage, "lost": LostStage(pair=True)}
    with pytest.raises(pytest.fail.Exception) as caught:
        compare(stages, 100, 1)
    marked = [line for line in str(caught.value).splitlines() if line.startswith("! ")]
    assert len(marked) == 2
    assert "flexible" in marked[0]
    assert "ENODEV" in marked[1]


def test_programs_are_the_same_from_the_same_seed() -> None:
    assert generate(10, 5) == generate(10, 5) != generate(10, 6)
