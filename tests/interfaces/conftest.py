"""A stand-in for the kernel's rtnetlink."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rig.link_kernel import in_place_of_the_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.link_kernel import LinkKernel


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkKernel]:
    """Give a stand-in for the kernel, which answers all requests to rtnetlink."""
    with in_place_of_the_kernel(monkeypatch) as stand_in:
        yield stand_in
