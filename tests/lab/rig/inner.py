"""Pytest inside the guest: runs the tests it is told to, and sends what becomes of each.

The messages, by ``kind``: ``start`` (a test begins), ``report`` (of a phase), ``finish`` (all
phases of a test are reported), ``missing`` (these tests were not found, and why), ``end``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rig.lines import encode

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sender:
    """Sends messages and reports over a descriptor.

    Args:
        descriptor: Where the lines go.
        wanted: The node identifiers of the tests to run, in their order.
    """

    def __init__(self, descriptor: int, wanted: Sequence[str]) -> None:
        self._descriptor = descriptor
        self._wanted = wanted
        self._collect_errors: list[str] = []

    def send(self, kind: str, **content: Any) -> None:
        data = encode({"kind": kind, **content})
        # A line break first: whatever stands unfinished on the console is not ours.
        data = b"\n" + data
        while data:
            data = data[os.write(self._descriptor, data) :]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._collect_errors.append(report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        found = {item.nodeid: item for item in session.items}
        session.items[:] = [found[nodeid] for nodeid in self._wanted if nodeid in found]
        missing = [nodeid for nodeid in self._wanted if nodeid not in found]
        if missing:
            self.send("missing", nodeids=missing, reason="\n".join(self._collect_errors))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.send("start", nodeid=nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.send("finish", nodeid=nodeid)

    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        self.send("report", nodeid=report.nodeid, report=data)


def main(job: str) -> int:
    """Run the tests of a job file: ``arguments`` for pytest and the ``nodeids`` to run."""
    content = json.loads(Path(job).read_text())
    descriptor = os.dup(sys.stdout.fileno())  # pytest captures the original
    sender = Sender(descriptor, content["nodeids"])
    status = int(pytest.main(content["arguments"], plugins=[sender]))
    sender.send("end", status=status)
    return status
