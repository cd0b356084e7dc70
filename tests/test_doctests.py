"""Every example in a docstring is run, with what its reader has: the public names and the module's.

The examples of README and docs are another matter (``test_docs.py``).
"""

from __future__ import annotations

import asyncio
import doctest
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

import anycan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PUBLIC: Final[dict[str, Any]] = {
    **{name: getattr(anycan, name) for name in anycan.__all__},
    "anycan": anycan,
    "anyio": anyio,
    "asyncio": asyncio,
}
FINDER: Final = doctest.DocTestFinder(exclude_empty=True)


def modules() -> Iterator[ModuleType]:
    yield anycan
    for found in pkgutil.walk_packages(anycan.__path__, "anycan."):
        if not found.name.endswith(".__main__"):
            yield import_module(found.name)


def examples() -> list[doctest.DocTest]:
    return [
        test
        for module in modules()
        for test in FINDER.find(module, extraglobs=PUBLIC)
        if test.examples
    ]


EXAMPLES: Final = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_example_shows_what_happens(example: doctest.DocTest) -> None:
    printed: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=printed.append)
    assert result.failed == 0, "".join(printed)
    assert result.attempted == len(example.examples)


def test_what_users_meet_first_has_an_example() -> None:
    names = {example.name.rpartition(".")[2] for example in EXAMPLES}
    assert names >= {
        "CanFilter",
        "ErrorFrame",
        "FdFrame",
        "Filter",
        "Frame",
        "RemoteFrame",
        "UserNetwork",
        "XlFrame",
        "create_raw_transport",
        "open_raw",
    }
