"""Who imports whom: the checker behind ``test_import_rule.py``."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOMS: Final = (
    "exceptions",
    "frame",
    "filter",
    "wire",
    "engine",
    "loops",
    "network",
    "sockets",
    "drivers",
    "interfaces",
    "endpoints",
    "routing",
    "gateway",
    "cli",
)
PURE: Final = ("wire", "engine")
IMPURE: Final = frozenset(
    {
        "anyio",
        "asyncio",
        "concurrent",
        "ctypes",
        "fcntl",
        "multiprocessing",
        "os",
        "pathlib",
        "sched",
        "select",
        "selectors",
        "signal",
        "sniffio",
        "socket",
        "subprocess",
        "threading",
        "time",
        "trio",
        "uvloop",
    }
)


def imported_modules(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Give what a module imports, wherever in it: line and dotted name.

    Imports inside functions and for type checking count: they too are knowledge of the other.

    Args:
        tree: The module's source.
        module: Its dotted name, for relative imports.
        is_package: It is a package's ``__init__``.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=source, names=names, level=level):
                base = _base(source, level, module, is_package=is_package)
                # ``from anycan import wire`` may name a module as well as a name of one.
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="__import__")):
                match node.args:
                    case [ast.Constant(value=str(name)), *_]:
                        yield node.lineno, name
                    case _:
                        yield node.lineno, "?"


def _base(source: str | None, level: int, module: str, *, is_package: bool) -> str:
    if level == 0:
        return source or ""
    parts = module.split(".")
    kept = parts[: len(parts) - level + is_package]
    return ".".join((*kept, source) if source else kept)


def room_of(module: str) -> str | None:
    """Give the room of a module of anycan; None: it is anycan itself, or none of anycan's."""
    match module.split("."):
        case ["anycan", room, *_]:
            return room
        case _:
            return None


def source_problems(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Tell what in a module of ``src`` breaks the import rule."""
    room = room_of(module)
    if room in {None, "cli"}:  # anycan/__init__.py imports from all, cli from anycan alone
        return []
    problems = []
    for line, imported in imported_modules(ast.parse(source), module, is_package=is_package):
        problem = _order_problem(room, imported) or _purity_problem(room, imported)
        if problem is not None:
            problems.append(f"{module}:{line}: {problem}")
    return problems


def _order_problem(room: str | None, imported: str) -> str | None:
    if imported.split(".", maxsplit=1)[0] not in {"anycan", "?"}:
        return None  # the rest of the world
    other = room_of(imported)
    if room is None or room not in ROOMS or other is None or other not in ROOMS:
        return f"{room} imports {imported}: one of them is no room"
    if ROOMS.index(other) > ROOMS.index(room):
        return f"{room} imports {imported}: {other} is below it"
    return None


def _purity_problem(room: str | None, imported: str) -> str | None:
    if room in PURE and imported.split(".", maxsplit=1)[0] in IMPURE:
        return f"{room} imports {imported}: it is pure"
    return None


def user_problems(source: str, name: str, public: Iterable[str], own: str = "") -> list[str]:
    """Tell what in code that uses anycan names other than its public names.

    Args:
        source: The code.
        name: What to call it.
        public: anycan's public names.
        own: The package that the code belongs to, which it may import.
    """
    names = frozenset(public)
    tree = ast.parse(source)
    found = list(imported_modules(tree, name, is_package=False))
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="anycan"), attr=attribute):
                found.append((node.lineno, f"anycan.{attribute}"))
    return [
        f"{name}:{line}: {imported} is no public name of anycan"
        for line, imported in found
        if not _is_public(imported, names, own)
    ]


def _is_public(imported: str, names: frozenset[str], own: str) -> bool:
    if own and f"{imported}.".startswith(f"{own}."):
        return True
    match imported.split("."):
        case ["anycan"]:
            return True
        case ["anycan", name]:
            return name in names or name.startswith("__")
        case ["anycan", *_]:
            return False
        case _:
            return True
