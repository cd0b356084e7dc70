"""Gateways in a file: rules in TOML, checked with the line of each mistake."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import attrs

from anycan.exceptions import GatewayFileError
from anycan.gateway.file_places import Place, Problem, choice_of, read_text
from anycan.gateway.file_rules import RuleReader
from anycan.gateway.toml_lines import lines_of

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from anycan.gateway.rule import Rule

Missing = Literal["raise", "wait"]

# What may be a socket's name, for others to find the gateway by.
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,60}")
_LETTERS: Final = "1 to 60 letters (A to Z, a to z), digits and . _ -"
_SYNTAX: Final = re.compile(r"(?s)(?P<message>.*) \(at (?:line (?P<line>\d+),.*|end of document)\)")


@attrs.frozen(kw_only=True)
class GatewayFile:
    """What a file says of a gateway; made by :func:`load_gateway_file`.

    Attributes:
        name: What the gateway is called.
        missing: What is done about interfaces that are not there: ``"wait"`` for them, or
            ``"raise"`` an error at the start.
        rules: Its rules, in their order.
    """

    name: str
    missing: Missing
    rules: tuple[Rule, ...]


def load_gateway_file(path: str | os.PathLike[str]) -> GatewayFile:
    r"""Read a gateway's rules from a file in TOML. Nothing is opened on any interface.

    How such a file is written says the guide "Run a gateway as a service". The functions that it
    names (``call``) are imported; modules are looked for beside the file first.

    Args:
        path: The file.

    Raises:
        GatewayFileError: Something in it is wrong: the first mistake, with its line. The other ones
            are its notes (``__notes__``), each as ``FILE:LINE: message``.
        OSError: It cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as directory:
        ...     path = Path(directory, "door.toml")
        ...     _ = path.write_text('[[rule]]\nsource = "can0"\ndestination = "can1"\n')
        ...     file = load_gateway_file(path)
        >>> file.name, file.missing, [rule.name for rule in file.rules]
        ('door', 'wait', ['can0 -> can1'])
    """
    path = Path(path)
    content = path.read_bytes()
    text = _decoded(content, path)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers of thousands of digits
        raise _syntax_error(error, text, path) from None
    problems: list[Problem] = []
    found = _read(Place(document, (), problems), path)
    if found is None:
        raise _error_of(problems, text, path)
    return found


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")  # some editors put a byte order mark before the text
    except UnicodeDecodeError as error:
        # Where it is, it says of what it has: that is the content without the mark.
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise GatewayFileError(
            f"expected UTF-8, as TOML is written in, not the byte 0x{byte:02X}",
            str(path),
            line,
        ) from None


def _syntax_error(error: Exception, text: str, path: Path) -> GatewayFileError:
    match = _SYNTAX.fullmatch(str(error))
    if match is None:
        return GatewayFileError(f"this is not TOML: {error}", str(path))
    line = int(match["line"] or text.rstrip().count("\n") + 1)
    return GatewayFileError(f"this is not TOML: {match['message']}", str(path), line)


def _error_of(problems: Sequence[Problem], text: str, path: Path) -> GatewayFileError:
    """Give the first mistake as an error, and the others as its notes."""
    lines = lines_of(text)
    errors = [
        GatewayFileError(problem.message, str(path), lines.get(problem.path))
        for problem in problems
    ]
    first, *others = sorted(errors, key=lambda error: error.line or 0)
    for other in others:
        first.add_note(str(other))
    return first


def _read(document: Place, path: Path) -> GatewayFile | None:
    """Give what a file says; None: it says something wrong, which has been noted."""
    rules = RuleReader(path.resolve().parent, document)
    given = document.right_fields(
        {
            "name": _read_name,
            "missing": choice_of(*get_args(Missing)),
            "defaults": rules.defaults,  # read before: they may stand behind the rules
            "rule": rules.read,
        }
    )
    if not document.value.get("rule") and not document.problems:
        document.note('there is no rule: expected one "[[rule]]" or more')
    if "name" not in document.value and not _NAME.fullmatch(path.stem):
        document.note(
            f"the file's name, {path.stem!r}, cannot be the gateway's, which has {_LETTERS}: write"
            ' name = "…" before the first table'
        )
    if document.problems:
        return None
    return GatewayFile(
        name=given.get("name", path.stem),
        missing=given.get("missing", "wait"),
        rules=given["rule"],
    )


def _read_name(place: Place) -> str:
    if not _NAME.fullmatch(read_text(place)):
        place.expect(f"a name of {_LETTERS}")
    return str(place.value)
