"""A guest as a process: any command stands in for the emulator."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rig.guest import Guest
from rig.launch import guest_script

if TYPE_CHECKING:
    from collections.abc import Callable


def shell(script: str) -> Callable[[Path], list[str]]:
    return lambda _directory: ["sh", "-c", script]


def wait(guest: Guest) -> int:
    """Wait for the end of a guest whose end is near."""
    while (status := guest.status) is None:
        os.sched_yield()
    return status


def is_alive(process: str) -> bool:
    """Tell whether a process runs: neither gone, nor waiting for its parent to take notice."""
    try:
        return " Z " not in Path("/proc", process, "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_output_and_status() -> None:
    with Guest(shell("echo one; echo two >&2; printf three; exit 7")) as guest:
        assert wait(guest) == 7
        assert guest.read_lines() == ["one"]
        assert guest.read_lines() == []
        assert guest.tail() == (
            "--- end of the guest's output ---\none\nthree\n--- end of the guest's console ---\ntwo"
        )


def test_the_tail_is_for_readers() -> None:
    with Guest(shell("echo @anycan-lab:00000000:AAAA; echo words")) as guest:
        wait(guest)
        assert guest.tail().splitlines()[1] == "words"


def test_lines_come_whole() -> None:
    script = "printf 'a\\nb'; read -r go; printf 'c\\n'; cat"
    with Guest(shell(script)) as guest:
        lines: list[str] = []
        while not lines:
            lines += guest.read_lines()
        assert lines == ["a"]


def test_the_tail_is_bounded() -> None:
    with Guest(shell("seq 1000 >&2")) as guest:
        wait(guest)
        assert guest.tail().splitlines()[2:] == [str(number) for number in range(961, 1001)]


def test_output_that_is_no_text() -> None:
    with Guest(shell(r"printf '\377\n'")) as guest:
        wait(guest)
        assert guest.read_lines() == ["\N{REPLACEMENT CHARACTER}"]


def test_a_guest_is_ended_with_its_children_and_files() -> None:
    directories: list[Path] = []

    def command(directory: Path) -> list[str]:
        directories.append(directory)
        return ["sh", "-c", "sleep 100 & echo $!; wait"]

    with Guest(command) as guest:
        lines: list[str] = []
        while not lines:
            lines += guest.read_lines()
        assert guest.status is None
    assert not directories[0].exists()
    while is_alive(lines[0]):
        os.sched_yield()


def test_its_standard_input_is_open_as_long_as_its_user_lives() -> None:
    with Guest(shell("cat; echo ended")) as guest:
        assert guest.status is None
        guest._process.stdin.close()  # type: ignore[union-attr]  # what the end of this process does
        assert wait(guest) == 0
        assert guest.read_lines() == ["ended"]


def test_a_command_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Guest(lambda _directory: [str(tmp_path / "nothing")])


def test_the_script_of_a_guest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A_QUOTE", "it's")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--cov")
    script = guest_script(["pytest", "-k", "a b"])
    assert script.endswith(f"\ncd {tmp_path}\nexec pytest -k 'a b' </dev/null\n")
    assert """\nexport A_QUOTE='it'"'"'s'\n""" in script
    assert "PYTEST_ADDOPTS" not in script
    assert "export ANYCAN_LAB_GUEST=1\n" in script
