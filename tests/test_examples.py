"""The examples run as a user would run them: each in a process of its own, from its own folder."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
OUTPUT: Final = {
    "across_processes.py": r"(?:3C0#15\n){3}the node is dead, and its beat has ended\n",
    "dashboard.py": (
        r"(?:identifier  payload\n0C0         [0-9A-F]{4}\n120         [0-9A-F]{2}\n"
        r"18FEF100    [0-9A-F]{2}\n\n){3}\d+ frames, of which 9 were shown\n"
    ),
    "echo_protocol.py": r"7E8#70696E67\nended: .*vcan0 has been removed.*\n",
    "ecu_simulator.py": (
        r"1002 7F107E\n3101FF00 7F317F\n1003 5003003201F4\n22F190 62F190(?:[0-9A-F]{2}){17}\n"
        r"22F195F186 62F19530342E3230F18603\n22F18C 7F2278 62F18C534E303034373131\n"
        r"3103FF00 7F3124\n3101FF00 7F3178 7101FF0000\n3183FF00\n3181FF00 7F3178 7101FF0000\n"
        r"2212341234 7F2231\n22FF00 7F2231\n2712 7F2711\n3E80\n1101 5101\n3E00\n"
        r"to all: 3E00 7E00\nto all: 22F195 62F19530342E3230\nto all: 22FF00\nto all: 2712\n"
        r"to all: 1105\nto all: 1002\nto all: 3101FF00\nto all: 22F1 7F2213\n"
    ),
    "endurance.py": (
        r"(?:can0 is lost: down\ncan0 is back after 0\.\d+ s\n){2}"
        r"can0 is lost: bus-off\ncan0 is back after 0\.\d+ s\n"
        r"(\d+) sent, \1 received, 0 missing, 3 gaps\n"
    ),
    "firewall.py": (
        r"in the vehicle: 7E0#0322F19000000000\nat the plug: 0C0#0B 7E8#0762F19057564700\n"
        r"signals: 1 passed, kept out: 1 by rate limit\nresponses: 1 passed, kept out: none\n"
        r"requests: 1 passed, kept out: none\n"
        r"vehicle@user: 0 read here, and on no list\nplug@user: \d+ read here, and on no list\n"
    ),
    "frame_service.py": (
        r"diagnosis: 7E0#3E00\nalarm: 5F0#97\nhighest speed: 3100 rpm\n"
        r"EngineWatch\.speed: 24 handled, 0 dropped\n"
        r"EngineWatch\.temperature: 3 handled, 0 dropped\ndiagnosis: 1 handled, 0 dropped\n"
    ),
    "gateway.py": (
        r"outside: 500#61 7E8#\ninside: 7E0#62\nsignals: 1 of 1 forwarded\n"
        r"answers: 1 of 1 forwarded\nquestions: 1 of 1 forwarded\n"
    ),
    "interfaces.py": (
        r"InterfaceAdded: can0: can, down\n"
        r"(can0: can, up, 500 kbit/s, data 2000 kbit/s, restarts 0\.01 s after bus-off)\n"
        r"can0: mtu, modes, bit_timing, data_bit_timing, restart changed\n"
        r"InterfaceUp: \1\ncan0 is ERROR_PASSIVE\ncan0 is BUS_OFF\ncan0 is ERROR_ACTIVE\n"
        r"InterfaceDown: can0: can, down.*\nInterfaceRemoved: can0: can, down.*\n"
    ),
    "logger.py": r"\([\d.]{17}\) vcan0 123#68656C6C6F\n\([\d.]{17}\) vcan0 18DAF110#021003\n",
    "node_simulation.py": (
        r"20 messages\nSN004711\n750 rpm\n2000 rpm\n750 rpm\ncounter and checksum right\n"
    ),
    "raw_request.py": (
        r"node 5, device type: 0xF0191\nnode 5, error register: 0x0\n"
        r"node 5, heartbeat time: aborted with 06020000\nnode 6 does not answer\n"
    ),
    "read_identification.py": (
        r"ECUs: 2\n7E0:\n  VIN: WVWZZZ1JZXW000001\n  software: 04\.20\n  serial number: SN004711\n"
        r"7E1:\n  VIN: WVWZZZ1JZXW000001\n  software: 1\.7\n"
        r"  serial number: \(request out of range \(0x31\)\)\n"
    ),
    "receive_with_deadline.py": r"None\n123#68656C6C6F\n",
    "request_response.py": r"750\.0 rpm\n",
}
SCRIPTS: Final = sorted(path.name for path in EXAMPLES.glob("[!t]*.py"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own examples
        [sys.executable, "-W", "error", *arguments],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_example_runs_on_the_user_network(script: str) -> None:
    done = run(script, "--user")
    assert (done.stderr, done.returncode) == ("", 0)
    assert re.fullmatch(OUTPUT[script], done.stdout), done.stdout


@pytest.mark.parametrize("script", [*SCRIPTS, "tyres.py"])
def test_example_without_arguments_says_how_to_use_it(script: str) -> None:
    done = run(script)
    assert done.returncode == 1
    assert f"python {script} can0" in done.stderr


def test_the_example_of_tests_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of all plugins, a user of the example has anyio's.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugins = ("-p", "anyio", "-p", "no:cacheprovider")
    done = run("-m", "pytest", "-c", "/dev/null", *plugins, "-q", "test_tyres.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: str(path.name))
def test_examples_use_public_names_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anycan"):
            assert node.module == "anycan"
        if isinstance(node, ast.Import):
            assert not any(name.name.startswith("anycan.") for name in node.names)
