"""What a service's log looks like."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Final

import pytest

from anycan.cli.json_log import JsonFormatter, TextFormatter, logging_to_standard_error

LOGGER: Final = logging.getLogger("anycan.test")


def record(
    message: str, *arguments: object, error: BaseException | None = None
) -> logging.LogRecord:
    """Give a record of 2026-11-25, 08:00:00.25 UTC."""
    raised = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("anycan.test", 30, "x.py", 1, message, arguments, raised)
    made.created = 1_795_593_600.25
    return made


def test_text() -> None:
    made = TextFormatter().format(record("%s is down", "can0"))
    assert made == "2026-11-25T08:00:00.250Z WARNING can0 is down"


def test_an_object() -> None:
    assert JsonFormatter().format(record('a "line"\n%s', "\udcff")) == (
        '{"time": "2026-11-25T08:00:00.250Z", "level": "warning", "logger": "anycan.test",'
        ' "message": "a \\"line\\"\\n\\udcff"}'
    )


def test_what_was_raised() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018 - it raises
    for formatter in (JsonFormatter(), TextFormatter()):
        line = formatter.format(record("failed", error=caught.value))
        if isinstance(formatter, JsonFormatter):
            assert "\n" not in line
            line = json.loads(line)["exception"]
        assert line.endswith("ZeroDivisionError: division by zero")


def test_from_a_level_on_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    with logging_to_standard_error("json", "warning"):
        LOGGER.info("not told")
        LOGGER.warning("told")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("of Python", stacklevel=1)
    assert (root.level, root.handlers[:]) == before
    LOGGER.warning("told to others")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("warning", "anycan.test"),
        ("warning", "py.warnings"),
    ]
    assert lines[0]["message"] == "told"
    assert "UserWarning: of Python" in lines[1]["message"]
