"""The rig's own requests do what they say, as the program ``ip`` sees it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from rig import rtnetlink
from rig.host import search_path

pytestmark = pytest.mark.kernel


def shown() -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        ["ip", "-details", "-json", "link", "show"],  # noqa: S607 - wherever it is
        env={"PATH": search_path()},
        capture_output=True,
        text=True,
        check=True,
    )
    return {link["ifname"]: link for link in json.loads(done.stdout)}


def test_what_it_makes_and_changes_is_what_ip_shows() -> None:
    rtnetlink.add_vcan("rigcan", 16)
    try:
        link = shown()["rigcan"]
        assert (link["mtu"], link["linkinfo"]["info_kind"]) == (16, "vcan")
        assert "UP" in link["flags"]
        with pytest.raises(FileExistsError):
            rtnetlink.add_vcan("rigcan", 16)
        rtnetlink.set_flags("rigcan", up=False)
        assert "UP" not in shown()["rigcan"]["flags"]
        rtnetlink.set_flags("rigcan", up=True)
        assert "UP" in shown()["rigcan"]["flags"]
    finally:
        rtnetlink.delete("rigcan")
    assert "rigcan" not in shown()
