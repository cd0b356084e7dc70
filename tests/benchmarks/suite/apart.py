"""Cases on a CAN kernel, by the command started once more.

It runs in the kernel lab or, where the kernel has PF_CAN, in a network namespace of its own, so
that nobody's interfaces are touched.

What runs there prints each result on a line of its own, as soon as there is one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from rig.host import judge
from suite.findings import HERE, LAB
from suite.machine import describe_machine
from suite.results import CaseResult
from suite.running import run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from suite.case import Case
    from suite.findings import Findings

_BENCHMARKS: Final = Path(__file__).parents[1]
_RESULT: Final = "@result "
_MACHINE: Final = "machine"
_LAB_SCALE: Final = "0.1"  # its processor is about a tenth as fast
_GRACE: Final = 10.0  # seconds to end in order


class NoKernelError(Exception):
    """Nothing can be run on a CAN kernel here: its message says why."""


@attrs.frozen
class Apart:
    """Where cases run in a process of their own.

    Attributes:
        place: What it is called in results.
        command: What runs them, up to the words that say which.
        environment: Its environment.
    """

    place: str
    command: Sequence[str]
    environment: Mapping[str, str]

    def run(
        self,
        words: Sequence[str],
        findings: Findings,
        tell: Callable[[str], object],
        keep: Callable[[], object],
    ) -> str | None:
        """Run cases, note what they give as it arrives, and call ``keep`` after each.

        Returns:
            How it has ended, if not well; None: well.
        """
        with subprocess.Popen(
            [*self.command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",  # a console may say anything
            env=self.environment,
            start_new_session=True,  # Ctrl-C is for this process, which ends that one in order,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - there are no threads here
        ) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if not line.startswith(_RESULT):
                        sys.stderr.write(line)
                    elif self._note(line[len(_RESULT) :], findings):
                        keep()
                    else:
                        tell(f"{self.place}: what is this? {line.strip()[:80]}")
                process.wait()
            finally:
                _end(process)
        return (
            f"{self.place} ended with status {process.returncode}" if process.returncode else None
        )

    def _note(self, line: str, findings: Findings) -> bool:
        """Note a result; tell whether it is one: the end of a lab may cut a line."""
        try:
            key, value = json.loads(line)
            if key == _MACHINE:
                findings.machines[self.place] = value
            else:
                findings.cases[key] = CaseResult.from_json({**value, "place": self.place})
        except (ValueError, TypeError, KeyError):
            return False
        return True


def find_place() -> Apart:
    """Find where cases can run on a CAN kernel.

    Raises:
        NoKernelError: Nowhere.
    """
    verdict = judge()
    again = (sys.executable, str(_BENCHMARKS), "--emit")
    if verdict.place == "nowhere":
        raise NoKernelError(verdict.reason)
    if verdict.place == "lab":
        lab = str(_BENCHMARKS.parent / "lab")
        environment = {"ANYCAN_BENCHMARK_SCALE": _LAB_SCALE, **os.environ}
        return Apart(LAB, (sys.executable, lab, *again), environment)
    unshare = shutil.which("unshare")
    if unshare is None:
        raise NoKernelError("a network namespace of their own needs the program unshare")
    if os.geteuid() != 0:
        raise NoKernelError("a network namespace of their own needs root")
    return Apart(HERE, (unshare, "--net", *again), os.environ)


def emit(wanted: list[Case], rounds: int, tell: Callable[[str], object]) -> None:
    """Run cases and print their results for the command that has started this one."""

    def say(key: str, value: Any) -> None:
        print(_RESULT + json.dumps([key, value]), flush=True)

    say(_MACHINE, describe_machine())
    for case in wanted:
        say(case.key, run_case(case, rounds, tell).to_json())


def _heed_interrupts() -> None:
    """Let SIGINT end what is started, even where a shell has it ignored in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process that still runs: it takes down what it has set up, if it can."""
    if process.stdout is not None:
        process.stdout.close()  # nobody reads it any more: what writes to it is not to wait
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
