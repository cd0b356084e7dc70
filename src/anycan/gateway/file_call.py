"""The functions that a file of rules names: ``"package.module:function"``."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anycan.gateway.file_places import Place

_FORM: Final = 'a function, written "package.module:function"'


def reader_of_calls(directory: Path) -> Callable[[Place], Callable[[Any], Any]]:
    """Give what reads the name of a function, and imports it.

    Args:
        directory: Where modules are looked for first.
    """

    def read(place: Place) -> Callable[[Any], Any]:
        if not isinstance(place.value, str):
            place.expect(_FORM)
        module_name, colon, name = place.value.partition(":")
        words = [*module_name.split("."), *name.split(".")]
        if not colon or not all(word.isidentifier() for word in words):
            place.expect(_FORM)
        try:
            with _searched_first(directory):
                found: Any = pkgutil.resolve_name(f"{module_name}:")  # the module alone
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a module does when it is run
            place.refuse(f"call: {module_name} cannot be imported: {type(error).__name__}: {error}")
        other = _other_file(module_name, directory)
        if other:
            place.refuse(
                f"call: {module_name} has been imported from {other} before, and the one in"
                f" {directory} is another: give it another name"
            )
        for word in name.split("."):
            if not hasattr(found, word):
                place.refuse(f"call: there is no {name!r} in {module_name}")
            found = getattr(found, word)
        if not callable(found):
            place.refuse(f"call: {place.value} is a {type(found).__name__}, and no function")
        return found  # type: ignore[no-any-return]  # it can be called

    return read


@contextmanager
def _searched_first(directory: Path) -> Iterator[None]:
    importlib.invalidate_caches()  # a module may be as new as the file
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        with suppress(ValueError):  # the module may have taken it away
            sys.path.remove(str(directory))


def _other_file(module_name: str, directory: Path) -> str:
    """Tell where a module is from, if a directory has another one of that name."""
    top = module_name.partition(".")[0]
    expected = PathFinder.find_spec(top, [str(directory)])
    if expected is None or expected.origin is None:
        return ""
    loaded = getattr(sys.modules.get(top), "__file__", None)
    if loaded is None:
        return "the interpreter itself"
    return "" if Path(loaded).resolve() == Path(expected.origin).resolve() else str(loaded)
