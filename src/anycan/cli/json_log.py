"""A service's log: lines for people, or an object of JSON a line."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """Makes of each record a line: time, level, message; behind it, what was raised."""

    def formatTime(self, record: logging.LogRecord, _format: str | None = None) -> str:  # noqa: N802 - logging's name
        """Give the time in ISO 8601, UTC."""
        return _time_of(record)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")


class JsonFormatter(logging.Formatter):
    """Makes of each record an object in a line.

    Its keys are ``time`` (ISO 8601, UTC), ``level`` (``"info"``), ``logger`` and ``message``; and
    ``exception``, a traceback, where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        line = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextmanager
def logging_to_standard_error(log_format: LogFormat, level: LogLevel) -> Iterator[None]:
    """Write what is logged, and what is warned of, to standard error.

    Args:
        log_format: How.
        level: From which level on.
    """
    root = logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    level_before = root.level
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.setLevel(level_before)
        root.removeHandler(handler)
