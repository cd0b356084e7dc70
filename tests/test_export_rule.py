"""``anycan/__init__.py`` re-exports the public names, documented, and holds nothing else.

For type checkers it imports them; at run time ``anycan/_exports.py`` does, name by name.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import anycan
from anycan._exports import EXPORTS

if TYPE_CHECKING:
    from collections.abc import Iterator


_MACHINERY = (
    "from __future__ import annotations",
    "from typing import TYPE_CHECKING",
    "from anycan._exports import lazy_exports",
    "__getattr__, __dir__ = lazy_exports(__name__, globals())",
)


def export_problems(source: str) -> list[str]:
    """Tell what in a package's ``__init__`` is more or less than re-exporting.

    That ``__all__`` is sorted is ruff's to tell (RUF022).
    """
    problems: list[str] = []
    imported: list[str] = []
    exported: list[str] | None = None
    for node in _statements(source):
        if ast.unparse(node) in _MACHINERY:
            continue
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.ImportFrom(module=str(module), names=names, level=0) if module.startswith(
                "anycan."
            ):
                imported += [alias.asname or alias.name for alias in names]
                problems += [f"{a.name} is renamed to {a.asname}" for a in names if a.asname]
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() as value):
                exported = ast.literal_eval(value)
            case _:
                problems.append(f"line {node.lineno} is neither import nor __all__")
    if exported is None:
        return [*problems, "there is no __all__"]
    for title, words in (("imported", imported), ("in __all__", exported)):
        problems += [f"{word} is twice {title}" for word in set(words) if words.count(word) > 1]
    problems += [f"{name} is not in __all__" for name in set(imported) - set(exported)]
    problems += [f"{name} is not imported" for name in set(exported) - set(imported)]
    return problems


def _statements(source: str) -> Iterator[ast.stmt]:
    """Give the statements, and of those for type checkers the ones within."""
    for node in ast.parse(source).body:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=orelse):
                yield from body
                yield from orelse
            case _:
                yield node


def declared(source: str) -> dict[str, str]:
    """Give of each name that is imported for type checkers where it is imported from."""
    return {
        alias.name: (node.module or "").removeprefix("anycan.")
        for node in _statements(source)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anycan.")
        for alias in node.names
        if alias.name != "lazy_exports"
    }


def undocumented(namespace: Any, names: list[str]) -> Iterator[str]:
    """Give the public names, and the members of public classes, that have no docstring."""
    for name in names:
        value = getattr(namespace, name)
        if not inspect.isclass(value) and not inspect.isroutine(value):
            continue  # an instance has its class's, a union has none
        if not value.__doc__:
            yield name
        if inspect.isclass(value):
            yield from (f"{name}.{member}" for member in _undocumented_members(value))


def _undocumented_members(owner: type) -> Iterator[str]:
    for base in owner.__mro__:
        if not base.__module__.startswith(("anycan", __name__)):
            continue  # somebody else's
        for name, member in vars(base).items():
            described = inspect.isroutine(member) or isinstance(
                member, property | classmethod | staticmethod
            )
            if described and not name.startswith("_") and not inspect.getdoc(getattr(owner, name)):
                yield name


def test_the_package_only_re_exports() -> None:
    assert export_problems(Path(anycan.__file__).read_text()) == []


def test_what_is_declared_is_what_is_imported() -> None:
    imported = {name: module for module, names in EXPORTS.items() for name in names}
    assert imported == declared(Path(anycan.__file__).read_text())
    assert sum(map(len, EXPORTS.values())) == len(imported)


def test_every_name_can_be_had_and_is_listed() -> None:
    namespace: dict[str, Any] = {}
    exec("from anycan import *", namespace)  # noqa: S102 - as users do
    assert namespace.keys() >= set(anycan.__all__)
    assert set(dir(anycan)) >= set(anycan.__all__)


def test_what_there_is_not() -> None:
    with pytest.raises(AttributeError, match=r"^module 'anycan' has no attribute 'open_row'$"):
        anycan.open_row  # type: ignore[attr-defined]  # noqa: B018 - it raises


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import anycan", "anyio"),
        ("import anycan", "attrs"),
        ("from anycan import Frame", "anyio"),
        ("from anycan import open_raw", "anycan.network.user"),
        ("from anycan import open_raw", "anycan.gateway"),
        ("from anycan import UserNetwork", "anycan.network.server"),
    ],
)
def test_what_is_not_asked_for_is_not_imported(statement: str, module: str) -> None:
    program = f"{statement}; import sys; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own words


def test_every_name_has_a_docstring() -> None:
    assert list(undocumented(anycan, anycan.__all__)) == []


def test_nothing_has_two_names() -> None:
    names = defaultdict(list)
    for name in anycan.__all__:
        names[id(getattr(anycan, name))].append(name)
    assert [both for both in names.values() if len(both) > 1] == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "there is no __all__"),
        ("from anycan.frame import Frame\n__all__ = []", "Frame is not in __all__"),
        ("__all__ = ['Frame']", "Frame is not imported"),
        ("from anycan.frame import Frame as F\n__all__ = ['F']", "Frame is renamed to F"),
        ("from anycan.frame import F, F\n__all__ = ['F']", "F is twice imported"),
        ("from anycan.frame import F\n__all__ = ['F', 'F']", "F is twice in __all__"),
        ("import os\n__all__ = []", "line 1 is neither"),
        ("from os import path\n__all__ = ['path']", "line 1 is neither"),
        ("from .frame import F\n__all__ = ['F']", "line 1 is neither"),
        ("__all__ = sorted([])", "line 1 is neither"),
        ("if True:\n    x = 1\n__all__ = []", "line 1 is neither"),
        ("def f(): ...\n__all__ = []", "line 1 is neither"),
        ("if TYPE_CHECKING:\n    import os\n__all__ = []", "line 2 is neither"),
        ("if TYPE_CHECKING:\n    from anycan.frame import F\n__all__ = []", "F is not in __all__"),
    ],
)
def test_the_export_rule_can_fail(source: str, problem: str) -> None:
    assert [found for found in export_problems(source) if problem in found]


def test_the_docstring_rule_can_fail() -> None:
    class Bare:
        def method(self) -> None: ...

        @property
        def value(self) -> int:
            return 1

        @classmethod
        def make(cls) -> None: ...

        def _private(self) -> None: ...

    def function() -> None: ...

    bare = SimpleNamespace(Bare=Bare, function=function, number=1)
    assert list(undocumented(bare, ["Bare", "function", "number"])) == [
        "Bare",
        "Bare.method",
        "Bare.value",
        "Bare.make",
        "function",
    ]
