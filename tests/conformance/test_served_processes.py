"""Many processes on one network that is served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from anycan import ServedNetwork
from rig import crowd, rtnetlink
from rig.served import ServerProcess, eventually, sockets_of_clients

FRAMES: Final = int(os.environ.get("ANYCAN_SERVED_FRAMES", "1000"))


@pytest.mark.timeout(60 + FRAMES // 50)
def test_eight_processes_miss_nothing_and_the_ninth_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each frame of each of them reaches each of the others, once and in order.

    ``ANYCAN_SERVED_FRAMES`` says how many each sends, 1000 where it is not set.
    """
    with (
        ServerProcess(str(tmp_path / "network")) as server,
        ServedNetwork(server.path) as network,
    ):
        rtnetlink.check(network.demand_links(rtnetlink.vcan_request("vcan0", 72)))
        rtnetlink.check(network.demand_links(rtnetlink.flags_request("vcan0", up=True)))
        ran = subprocess.run(  # noqa: S603 - words of this file
            [sys.executable, "-m", "rig.crowd", server.path, str(FRAMES)],
            cwd=Path(crowd.__file__).parents[1],
            stdout=subprocess.PIPE,
            check=True,
            timeout=40 + FRAMES // 50,
        )
        # Nothing of theirs is left, the ninth's cyclic transmission neither.
        eventually(partial(sockets_of_clients, network), [0])
    seen: list[dict[str, Any]] = sorted(json.loads(ran.stdout), key=lambda one: one["number"])
    with capsys.disabled():
        slowest = max(one["seconds"] for one in seen)
        total = sum(sum(one["received"].values()) for one in seen)
        sys.stdout.write(
            f"\n{len(seen)} processes: {FRAMES} frames sent by each, {total} received in"
            f" {slowest} s ({total / slowest:.0f} a second)\n"
        )
    assert [one["number"] for one in seen] == list(range(crowd.PROCESSES))
    for one in seen:
        others = {str(number) for number in range(crowd.PROCESSES) if number != one["number"]}
        assert one["wrong"] == []
        assert one["sent"] == FRAMES
        assert one["received"] == dict.fromkeys(others, FRAMES)
        assert one["dropped"] == 0
