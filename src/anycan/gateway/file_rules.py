"""The rules of a file, with what its table ``defaults`` says for all of them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from anycan.exceptions import GatewayError
from anycan.gateway.file_places import Place, WrongValueError
from anycan.gateway.file_rule import OF_EACH_RULE, rule_readers
from anycan.gateway.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from anycan.gateway.file_rule import Reader

_NEEDED: Final = ("source", "destination")
# A rule that is right, whatever single default is put into it that is right by itself.
_TRIAL: Final = {"name": "defaults", "source": "a", "destination": "b", "changes_only": True}


class RuleReader:
    """Reads the rules of a file.

    Args:
        directory: Where the file is.
        document: The file; its defaults are read at once, since they may stand behind the rules.
    """

    def __init__(self, directory: Path, document: Place) -> None:
        self._readers = rule_readers(directory)
        self._defaults: dict[str, Any] = {}
        self._refused_defaults: set[str] = set()  # of which has been told, for some rule
        self._are_known = "defaults" not in document.value
        self._place = document
        if "defaults" in document.value:
            self._place = document.inner("defaults")
            self._read_defaults()

    def _read_defaults(self) -> None:
        optional = {key: one for key, one in self._readers.items() if key not in OF_EACH_RULE}
        with suppress(WrongValueError):
            found = self._place.right_fields(optional)
            self._are_known = _are_all_of(found, self._place, optional)
            self._defaults = {key: one for key, one in found.items() if self._is_right(key, one)}

    def _is_right(self, key: str, value: object) -> bool:
        """Tell whether a rule takes a default; note it if it does not."""
        message = _refusal({**_TRIAL, key: value})
        if message:
            self._place.inner(key).note(message.removeprefix("rule 'defaults': "))
        return not message

    def defaults(self, _place: Place) -> dict[str, Any]:
        """Give what was read before anything else."""
        return self._defaults

    def read(self, place: Place) -> tuple[Rule, ...]:
        """Read all rules."""
        if not isinstance(place.value, list):
            place.refuse('rule: expected "[[rule]]", with two brackets on each side')
        return place.each(self._read_rule, "tables")

    def _read_rule(self, place: Place) -> Rule:
        """Read a rule; what is wrong with it, while the rest of it is right, is noted, too."""
        given = place.right_fields(self._readers, needed=_NEEDED)
        is_known = self._are_known and _are_all_of(given, place, self._readers)
        if not is_known or not given.keys() >= set(_NEEDED):
            raise WrongValueError
        defaults = self._defaults.copy()
        is_right = True
        while message := _refusal(defaults | given):
            is_right = False
            cause = _cause(message, given, defaults)
            if cause == "destination":  # without which it is no rule
                place.inner(cause).refuse(message)
            if cause in given:
                place.inner(cause).note(message)
                del given[cause]  # and look what else is wrong
                continue
            del defaults[cause]
            if cause not in self._refused_defaults:
                self._refused_defaults.add(cause)
                self._place.inner(cause).note(message)
        if not is_right:
            raise WrongValueError
        return Rule(**defaults | given)


def _cause(message: str, given: dict[str, Any], defaults: dict[str, Any]) -> str:
    """Give the key without whose value a rule is not refused, or for another reason.

    It is ``destination`` where source and destination do not go together.

    Messages are not searched for keys: a name or an interface in them may look like one.

    Args:
        message: Why it is refused.
        given: What it says itself.
        defaults: What else holds for it.
    """
    for key in (*given, *defaults):
        if key in OF_EACH_RULE:
            continue
        rest = {one: value for one, value in given.items() if one != key}
        other = {one: value for one, value in defaults.items() if key in given or one != key}
        if _refusal(other | rest) != message:
            return key
    ends = {key: given[key] for key in _NEEDED}
    return "destination" if "name" not in given or _refusal(ends) else "name"


def _are_all_of(found: Mapping[str, Any], place: Place, readers: Mapping[str, Reader]) -> bool:
    """Tell whether all of a table's values were right, but for those of unknown keys."""
    return set(place.value) & set(readers) == set(found)


def _refusal(values: Mapping[str, Any]) -> str:
    """Give why values are no rule; nothing if they are one."""
    try:
        Rule(**values)
    except GatewayError as error:
        return str(error)
    return ""
