"""What the tests in a guest have come to, from the lines it writes."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from rig.lines import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE: Final = 240.0
"""Seconds without a line after which a guest is taken for dead.

It boots in less, and a test that hangs in it is ended by its own timeout before.
"""
_PAUSE: Final = 0.02


class LabError(Exception):
    """The lab cannot say what became of a test."""


class LabGoneError(LabError):
    """The guest has ended, or says nothing any more."""


class Source(Protocol):
    """What reports come from: a guest."""

    @property
    def status(self) -> int | None: ...
    def read_lines(self) -> list[str]: ...
    def tail(self) -> str: ...


class Progress:
    """The reports of a guest's tests, by test.

    Args:
        source: The guest.
        echo: Told the lines that are no message.
        patience: Seconds without a line after which the guest is taken for dead.
    """

    def __init__(
        self,
        source: Source,
        echo: Callable[[str], None] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._source = source
        self._echo = echo
        self._patience = patience
        self._reports: defaultdict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self._finished: set[str] = set()
        self._missing: dict[str, str] = {}
        self._running: str | None = None
        self._last_line = time.monotonic()
        self._failure: str | None = None

    def reports(self, nodeid: str) -> Iterator[dict[str, Any]]:
        """Give the reports of a test as they come, in their serialised form.

        Raises:
            LabError: There is no (further) report, and will be none.
        """
        pending = self._reports[nodeid]
        while True:
            while pending:
                yield pending.popleft()
            if nodeid in self._finished:
                return
            if nodeid in self._missing:
                raise LabError(f"the guest did not find this test\n{self._missing[nodeid]}")
            self._advance(nodeid)

    def _advance(self, nodeid: str) -> None:
        """Take in what the guest has written, or wait a little for it to write."""
        status = self._source.status  # before the lines: what an ended guest wrote is complete
        lines = self._source.read_lines()
        for line in lines:
            self._take(line)
        if lines:
            self._last_line = time.monotonic()
        elif self._failure is not None:
            raise LabGoneError(self._failure)
        elif status is not None:
            self._fail(f"the guest ended with status {status}", nodeid)
        elif time.monotonic() - self._last_line > self._patience:
            self._fail(f"no word from the guest for {self._patience:.0f} s", nodeid)
        else:
            time.sleep(_PAUSE)

    def _take(self, line: str) -> None:
        match decode(line):
            case {"kind": "start", "nodeid": str(nodeid)}:
                self._running = nodeid
            case {"kind": "report", "nodeid": str(nodeid), "report": dict(report)}:
                self._reports[nodeid].append(report)
            case {"kind": "finish", "nodeid": str(nodeid)}:
                self._finished.add(nodeid)
                self._running = None
            case {"kind": "missing", "nodeids": list(nodeids), "reason": str(reason)}:
                self._missing |= dict.fromkeys(nodeids, reason)
            case None:
                if self._echo is not None:
                    self._echo(line)
            case _:  # the end: the guest's exit tells it
                pass

    def _fail(self, cause: str, nodeid: str) -> None:
        """Give up, once: the tests after this one are told in short, without the guest's words."""
        running = self._running or "no test"
        self._failure = f"the lab is gone: {cause} while it ran {running}"
        where = "while it ran this test" if running == nodeid else f"while it ran {running}"
        raise LabGoneError(f"{cause} {where}\n{self._source.tail()}")
