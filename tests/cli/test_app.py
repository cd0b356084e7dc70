from __future__ import annotations

import ast
import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import anycan
import anycan.cli
from anycan import (
    FilterError,
    NetworkUnavailableError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
)
from anycan.cli import app as app_module
from anycan.cli import main, reference

ANYCAN = [sys.executable, "-m", "anycan.cli"]
CLI = Path(app_module.__file__).parent


@pytest.mark.parametrize("module", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_public_names_only(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == "anycan":
                names = {alias.name for alias in node.names}
                assert names <= set(anycan.__all__)
            elif node.module.startswith("anycan."):
                assert node.module.startswith("anycan.cli")
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("anycan.") for alias in node.names)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("anycan ")


COMMANDS = ("dump", "send", "cyclic", "watch", "gen", "play", "demo", "doctor")
GROUPS = ("interfaces", "isotp", "gateway", "network")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Examples" in out
    assert f"anycan {command}" in out.partition("Examples")[2]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("dump", ["[SOURCE...]"]),
        ("send", ["INTERFACE", "FRAME..."]),
        ("cyclic", ["INTERFACE", "FRAME..."]),
        ("watch", ["INTERFACE", "MESSAGE..."]),
        ("gen", ["INTERFACE"]),
        ("play", ["FILE", "[MAPPING...]"]),
        ("demo", []),
        ("doctor", []),
    ],
)
def test_usage_has_the_names_that_the_arguments_have(
    command: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    usage, _, rest = capsys.readouterr().out.partition("\n")
    assert usage.split() == ["Usage:", "anycan", command, "[OPTIONS]", *words]
    for word in words:
        assert re.search(rf"│[ *]+{word.strip('[].')} +", rest)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("list", []),
        ("show", ["NAME"]),
        ("up", ["NAME..."]),
        ("down", ["NAME..."]),
        ("add", ["NAME"]),
        ("delete", ["NAME..."]),
        ("set", ["NAME"]),
        ("restart", ["NAME"]),
        ("watch", ["[NAME...]"]),
    ],
)
def test_usage_and_examples_of_interfaces(
    command: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["interfaces", command, "--help"]) == 0
    usage, _, rest = capsys.readouterr().out.partition("\n")
    assert usage.split() == ["Usage:", "anycan", "interfaces", command, "[OPTIONS]", *words]
    for word in words:
        assert re.search(rf"│[ *]+{word.strip('[].')} +", rest)
    assert f"anycan interfaces {command}" in rest.partition("Examples")[2]


@pytest.mark.parametrize(
    ("command", "usage"), [("serve", "[OPTIONS] [-- COMMAND...]"), ("status", "[OPTIONS]")]
)
def test_usage_and_examples_of_networks(
    command: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["network", command, "--help"]) == 0
    first, _, rest = capsys.readouterr().out.partition("\n")
    assert first == f"Usage: anycan network {command} {usage}"
    assert f"anycan network {command}" in rest.partition("Examples")[2]


def test_the_documentation_puts_the_names_itself() -> None:
    assert reference.app["dump"].usage == "dump [OPTIONS] [SOURCE...]"
    assert app_module.app["dump"].usage == "Usage: anycan dump [OPTIONS] [SOURCE...]"


def test_a_command_is_imported_when_it_is_run() -> None:
    program = (
        "import sys; from anycan.cli import main; main(['--version']);"
        "print(*(name for name in sys.modules if name.startswith('anycan.cli.')"
        " or name in {'rich.live', 'rich.progress'}))"
    )
    done = subprocess.run(  # noqa: S603 - a test's own words
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    imported = done.stdout.splitlines()[-1].split()
    assert sorted(imported) == ["anycan.cli.app", "anycan.cli.common", "anycan.cli.manual"]


def test_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    for command in (*COMMANDS, *GROUPS):
        assert f" {command} " in out
    for option in ("--install-completion", "--version"):
        assert option in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = app_module.app.generate_completion(shell=shell)  # type: ignore[arg-type]  # one of them
    assert "--timestamps" in script


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["dump", "--bogus"],
        ["dump", "-t", "q"],
        ["dump", "-n", "0"],
        ["dump", "-n", "x"],
        ["play"],
        ["play", "x", "--speed", "0"],
        ["gen", "vcan0", "-g", "-1"],
        ["gen", "vcan0", "-g", "inf"],
        ["gen", "vcan0", "-n", "9" * 30],
        ["send", "vcan0", "123#", "--interval", "inf"],
        ["send", "vcan0", "123#", "--interval", "nan"],
        ["dump", "-T", "nan"],
        ["dump", "-r", "2147483648"],
        ["play", "x", "--speed", "inf"],
        ["demo", "--speed", "nan"],
        ["demo", "--seconds", "inf"],
        ["demo", "--seconds", "1e9"],
        ["dump", "can0,zz"],
        ["dump", ",123:7FF"],
        ["send", "can0", "zzz"],
        ["send", "can0", "FFF#11"],
        ["cyclic", "can0", "zzz", "-g", "1"],
        ["cyclic", "can0", "123#11"],
        ["cyclic", "can0", "123#11", "-g", "1", "--then", "1"],
        ["watch", "can0"],
        ["watch", "can0", "zzz"],
        ["watch", "can0", "123", "123"],
        ["gen", "can0", "--id", "zz"],
        ["gen", "can0", "-R", "-f"],
        ["play", "/dev/null", "can0"],
        ["play", "/dev/null", "--loop", "3"],
        ["play", "/dev/null", "--fast", "--speed", "2"],
        ["demo", "--fast", "--speed", "2"],
        ["demo", "--log", "x", "--seconds", "5"],
        ["demo", "--log", "--bogus"],
        ["network", "serve", "--bogus"],
        ["network", "serve", "--mode", "9"],
        ["network", "serve", "--mode", "1777"],
        ["network", "serve", "--group", "no such group"],
        ["network", "serve", "--sockets", "0"],
        ["network", "serve", "--max-pdu-size", "4094"],
        ["network", "status", "--interval", "0"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anycan: ")
    assert err.endswith("See --help.\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FilterError("too many"), "anycan: too many\n"),
        (
            UnknownInterfaceError(errno.ENODEV, "no such thing", "can0"),
            "anycan: no such thing\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "x.log"),
            "anycan: x.log: Permission denied\n",
        ),
        (
            ExceptionGroup("", [FilterError("a"), ExceptionGroup("", [FilterError("b")])]),
            "anycan: a\nanycan: b\n",
        ),
        (ExceptionGroup("", [FilterError("a"), FilterError("a")]), "anycan: a\n"),
        (
            ProtocolUnavailableError(errno.EAFNOSUPPORT, "use anycan.UserNetwork"),
            (
                "anycan: this system has no such CAN sockets (PF_CAN with can-raw and can-bcm): on"
                " Linux, load them with 'sudo modprobe -a can-raw can-bcm can-isotp'; 'anycan"
                " doctor' tells what is missing; 'anycan network serve' serves a user-space"
                " network, which does without them\n"
            ),
        ),
        (
            ProtocolUnavailableError(errno.EPERM, "a sandbox forbids it"),
            "anycan: a sandbox forbids it; 'anycan doctor' tells what this machine has\n",
        ),
        (
            NetworkUnavailableError("unix:/run/can is lost: its server is gone"),
            "anycan: unix:/run/can is lost: its server is gone\n",
        ),
    ],
)
def test_an_error_is_one_line_and_status_1(
    error: Exception,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_tokens: object) -> int:
        raise error

    monkeypatch.setattr(app_module, "app", fail)
    assert main([]) == 1
    assert capsys.readouterr() == ("", text)


def test_a_command_has_no_user_network_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "can0", "123#", "--network", "user:bench"]) == 1
    assert capsys.readouterr().err == (
        "anycan: a command has no user-space network of its own: name kernel, or unix:PATH for one"
        " that 'anycan network serve' serves\n"
    )


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_tokens: object) -> int:
        raise ExceptionGroup("", [FilterError("a"), ZeroDivisionError()])

    monkeypatch.setattr(app_module, "app", fail)
    with pytest.raises(ExceptionGroup):
        main([])


def forget(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Have a package and the modules of the command imported anew."""
    for name in list(sys.modules):
        if name.startswith("anycan.cli."):
            monkeypatch.delitem(sys.modules, name)
            monkeypatch.delattr(anycan.cli, name.removeprefix("anycan.cli."), raising=False)
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # what halts an import


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_extra(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(monkeypatch, missing)
    assert main(["--version"]) == 1
    assert capsys.readouterr().err == (
        "anycan: the command line is an extra, which is not installed: pip install 'anycan[cli]'\n"
    )


def test_a_command_without_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(monkeypatch, "rich")
    assert main(["demo", "--fast", "--seconds", "0.1"]) == 1
    assert "pip install 'anycan[cli]'" in capsys.readouterr().err


def test_an_interrupt_while_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_arguments: object) -> None:
            if name == "anycan.cli.app":
                raise KeyboardInterrupt

    forget(monkeypatch, "anycan.cli.app")
    monkeypatch.delitem(sys.modules, "anycan.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main(["--version"]) == 130


def test_another_missing_module_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, "anycan.cli.app")
    with pytest.raises(ModuleNotFoundError):
        main(["--version"])


def demo(*arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603 - a test's own words
        [*ANYCAN, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("replaying ")
    return process


def test_a_broken_pipe_is_no_traceback() -> None:
    process = demo("--fast", "--seconds", "2")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (141, "")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["dump", "--help"]])
def test_help_into_a_broken_pipe(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(  # noqa: S603 - a test's own words
            [*ANYCAN, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interrupt_ends_with_a_summary() -> None:
    process = demo("--seconds", "60", "--speed", "1")
    assert process.stdout is not None
    assert process.stdout.readline().endswith(" frames replayed\n")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.startswith("anycan: interrupted after ")
    assert errors.count("\n") == 1
