"""A room imports only rooms above it; users' code imports only public names."""

from __future__ import annotations

import ast
import doctest
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import anycan
from rig.imports import ROOMS, source_problems, user_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src"
# Python in a page: a block that is shown, or one that is run and not shown.
_BLOCK: Final = re.compile(
    r"^([ \t]*)(?:```(?:python|py)\b[^\n]*|<!-- run:)\n(.*?)^[ \t]*(?:```|-->)",
    re.MULTILINE | re.DOTALL,
)


def module_name(path: Path) -> tuple[str, bool]:
    """Give a module's dotted name, and whether it is a package's ``__init__``."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if is_package else parts), is_package


def docstring_examples(source: str) -> Iterator[str]:
    """Give the Python that a module's docstrings show."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            examples = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
            yield "".join(example.source for example in examples)


def test_every_room_imports_only_rooms_above_it() -> None:
    problems = []
    for path in SOURCE.rglob("*.py"):
        name, is_package = module_name(path)
        problems += source_problems(path.read_text(), name, is_package=is_package)
    assert problems == []


def test_every_module_is_in_a_room() -> None:
    names = {path.name.removesuffix(".py") for path in (SOURCE / "anycan").iterdir()}
    assert names - {"__init__", "_exports", "__pycache__", "py.typed"} <= set(ROOMS)


def test_the_architecture_page_lists_the_rooms_in_this_order() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(ROOMS)


def test_the_command_imports_only_public_names() -> None:
    problems = []
    for path in (SOURCE / "anycan/cli").rglob("*.py"):
        problems += user_problems(path.read_text(), path.name, anycan.__all__, "anycan.cli")
    assert problems == []


def test_examples_import_only_public_names() -> None:
    problems = []
    for path in (ROOT / "examples").rglob("*.py"):
        problems += user_problems(path.read_text(), path.name, anycan.__all__)
    assert problems == []


def test_pages_import_only_public_names() -> None:
    problems = []
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for indent, code in _BLOCK.findall(path.read_text()):
            block = textwrap.dedent(code) if indent else code
            problems += user_problems(block, path.name, anycan.__all__)
    assert problems == []


def test_docstrings_import_only_public_names() -> None:
    problems = []
    for path in SOURCE.rglob("*.py"):
        for example in docstring_examples(path.read_text()):
            problems += user_problems(example, path.name, anycan.__all__)
    assert problems == []


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("anycan.wire.x", "from anycan.sockets import raw", "sockets is below"),
        ("anycan.wire.x", "from anycan import sockets", "sockets is below"),
        ("anycan.wire.x", "def f():\n    import anycan.endpoints.raw", "endpoints is below"),
        ("anycan.wire.x", "if TYPE_CHECKING:\n    from anycan.cli import main", "cli is below"),
        ("anycan.wire.x", "from ..network import base", "network is below"),
        ("anycan.wire.x", "from anycan import Frame", "no room"),
        ("anycan.filter", "import importlib\nimportlib.import_module('anycan.wire')", "is below"),
        ("anycan.filter", "__import__(name)", "no room"),
        ("anycan.attic", "import anycan.frame", "no room"),
        ("anycan.wire.x", "import time", "it is pure"),
        ("anycan.engine.x", "from os.path import join", "it is pure"),
        ("anycan.engine.x", "if TYPE_CHECKING:\n    import asyncio.tasks", "it is pure"),
    ],
)
def test_the_import_rule_can_fail(module: str, source: str, problem: str) -> None:
    assert [found for found in source_problems(source, module) if problem in found]


@pytest.mark.parametrize(
    ("module", "is_package", "source"),
    [
        ("anycan", True, "from anycan.endpoints.raw import open_raw"),
        ("anycan.sockets.x", False, "import os, time\nfrom anycan.wire import frames"),
        ("anycan.wire", True, "from .frames import decode\nfrom ..frame import Frame"),
        ("anycan.wire.x", False, "from .frames import decode\nfrom ..exceptions import CanError"),
        ("anycan.engine.x", False, "from anycan.wire.frames import decode\nimport struct"),
    ],
)
def test_the_import_rule_can_hold(module: str, is_package: bool, source: str) -> None:
    assert source_problems(source, module, is_package=is_package) == []


@pytest.mark.parametrize(
    "source",
    [
        "from anycan.frame import Frame",
        "from anycan import frame",
        "import anycan.frame",
        "import anycan\nanycan.wire",
        "async def main():\n    from anycan.wire import frames",
    ],
)
def test_the_rule_of_public_names_can_fail(source: str) -> None:
    assert len(user_problems(source, "x", ["Frame"])) == 1


@pytest.mark.parametrize(
    "source", ["from anycan import Frame", "import anycan\nanycan.Frame", "import os.path"]
)
def test_the_rule_of_public_names_can_hold(source: str) -> None:
    assert user_problems(source, "x", ["Frame"]) == []


def test_the_examples_of_docstrings_are_found() -> None:
    source = 'def f():\n    """What it does.\n\n    >>> import anycan.wire\n    """\n'
    assert "import anycan.wire\n" in list(docstring_examples(source))
