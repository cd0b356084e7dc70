"""What every test can use. The rig behind it is ``tests/lab/rig``."""

from __future__ import annotations

import importlib.util
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from rig.blocking import allow
from rig.host import in_guest
from rig.links import ip, open_links
from rig.served import served_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.links import Links

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what runs behind it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and the tests' programs inherit it

pytest_plugins = ["pytester", "rig.replay", "rig.checks"]

_TURN = 1.0  # seconds: in a stretch of a test that asks a served network a hundred times

# No deadline: an example's time says nothing on a busy or an emulated machine.
settings.register_profile("here", deadline=None)
settings.register_profile(
    "guest", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("guest" if in_guest() else "here")


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(
            ("asyncio", {"use_uvloop": True}),
            id="uvloop",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed here"
            ),
        ),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run an async test (``@pytest.mark.anyio``) on every back end."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the process that serves a network, before a test that counts descriptors begins."""
    if any("served" in item.name for item in session.items):
        served_path()


@pytest.fixture(params=["user", "served", pytest.param("kernel", marks=pytest.mark.kernel)])
def links(request: pytest.FixtureRequest) -> Iterator[Links]:
    """Run a test on a user-space network and on the kernel. Its interfaces go with it."""
    if request.param == "served":
        allow(_TURN)
    with open_links(request.param) as links:
        yield links


@pytest.fixture
def user_links() -> Iterator[Links]:
    """Give interfaces of a user-space network."""
    with open_links("user") as links:
        yield links


@pytest.fixture
def kernel_links() -> Iterator[Links]:
    """Give interfaces of the kernel, to a test that carries the marker ``kernel``."""
    with open_links("kernel") as links:
        yield links


@pytest.fixture
def controllers() -> Iterator[tuple[str, str]]:
    """Give two emulated controllers on one bus, down, to a test that carries the marker ``kernel``.

    Only the lab has them. A real interface of this machine is never touched.
    """
    if not in_guest():
        pytest.skip("the emulated controllers are in the kernel lab only")
    names = ("can0", "can1")
    down = [f"link set dev {name} down" for name in names]
    ip(*down)
    yield names
    ip(*down)
