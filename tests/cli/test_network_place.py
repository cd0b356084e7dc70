"""Where a network is served unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anycan import CanError
from anycan.cli.network_place import default_path, served_path


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    return directory


def own(temporary: Path) -> Path:
    return temporary / f"anycan-{os.geteuid()}"


def test_in_the_directory_of_this_session(runtime: Path, tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    path = default_path(environment, make=True, temporary=tmp_path)
    assert path == f"{runtime}/anycan.sock"
    assert not own(tmp_path).exists()


@pytest.mark.parametrize("name", ["", "run", "{}/none"])
def test_without_such_a_directory(name: str, tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": name.format(tmp_path)}
    path = default_path(environment, make=True, temporary=tmp_path)
    assert path == f"{own(tmp_path)}/anycan.sock"
    assert own(tmp_path).stat().st_mode & 0o777 == 0o700
    assert default_path(environment, make=True, temporary=tmp_path) == path


def test_a_session_that_is_somebody_elses(runtime: Path, tmp_path: Path) -> None:
    runtime.chmod(0o755)
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    assert default_path(environment, temporary=tmp_path) == f"{own(tmp_path)}/anycan.sock"


def test_who_connects_makes_nothing(tmp_path: Path) -> None:
    assert default_path({}, temporary=tmp_path) == f"{own(tmp_path)}/anycan.sock"
    assert not own(tmp_path).exists()


@pytest.mark.parametrize("kind", ["open to all", "a link", "a file"])
@pytest.mark.parametrize("make", [True, False])
def test_what_somebody_else_may_have_put_there(kind: str, make: bool, tmp_path: Path) -> None:
    there = own(tmp_path)
    if kind == "a link":
        target = tmp_path / "target"
        target.mkdir(mode=0o700)
        there.symlink_to(target)
    elif kind == "a file":
        there.touch(mode=0o600)
    else:
        there.mkdir()
        there.chmod(0o777)
    with pytest.raises((CanError, FileExistsError), match=there.name):
        default_path({}, make=make, temporary=tmp_path)


@pytest.mark.parametrize(
    ("given", "network", "path"),
    [
        ("/a", "unix:/b", "/a"),
        (None, "unix:/b", "/b"),
        (None, "kernel", "{}/anycan.sock"),
        (None, "unix:", "{}/anycan.sock"),
    ],
)
def test_what_is_meant(given: str | None, network: str, path: str, runtime: Path) -> None:
    environment = {"ANYCAN_NETWORK": network, "XDG_RUNTIME_DIR": str(runtime)}
    found = served_path(None if given is None else Path(given), environment)
    assert found == path.format(runtime)
