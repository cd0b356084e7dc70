"""Gateways beside the kernel's own: rules of cangw, rules left behind, circles through it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from anycan import Filter, Gateway, GatewayLoopError, Modification, list_gateways
from rig.blocking import excuse
from rig.gateway_bench import Bench, Wire, forwarding, open_bench, until
from rig.gateway_cases import CASES, FRAMES, outcomes
from rig.gateway_model import classical, flexible
from rig.links import ip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.timeout(300)]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run these on one back end: what they look at is the kernel."""
    return "asyncio", {"use_uvloop": False}


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give the kernel, on which this process forwards."""
    with open_bench("kernel") as bench:
        yield bench
    cangw("-F", check=False)


def cangw(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(  # noqa: S603 - a test's own words
        ["cangw", *arguments],  # noqa: S607 - wherever it is
        capture_output=True,
        text=True,
        check=False,
    )
    excuse()
    if check and done.returncode:
        raise RuntimeError(f"cangw {' '.join(arguments)}: {done.stdout} {done.stderr}")
    return done.stdout


def kernel_rules() -> list[str]:
    """Give what ``cangw -L`` tells of each rule, without the counts."""
    return sorted(
        line.partition(" #")[0]
        for line in cangw("-L", check=False).splitlines()
        if line.startswith("cangw -A")
    )


# The same rule, by cangw


async def test_cangw_does_the_same(bench: Bench) -> None:
    """It shows that what the tests of both networks expect is what the kernel does."""
    source, destination = bench.links.add(), bench.links.add()
    frames = FRAMES
    wrong: dict[str, list[str]] = defaultdict(list)
    for case in CASES:
        for command in case.commands(source, destination):
            cangw("-A", *command, "-f", "0:0")
        near, far = Wire(bench.links.network, source), Wire(bench.links.network, destination)
        with near, far:
            for start in range(0, len(frames), 40):
                await near.send(frames[start : start + 40])
            # The kernel has forwarded them by the time that sending returns.
            expected = [one for one in outcomes(case) if one is not None]
            with contextlib.suppress(AssertionError):
                await far.receive(len(expected))
            if len(far.seen) != len(expected):
                wrong[case.name].append(f"{len(far.seen)} came of {len(expected)}")
            wrong[case.name] += [
                f"{want.hex()} {got.hex()}"
                for want, got in zip(expected, far.seen, strict=False)
                if want != got
            ]
        cangw("-F")
    assert not {name: found for name, found in wrong.items() if found}


# What a former run has left behind

SCRIPT = """
    import sys
    import anyio
    from anycan import Filter, Gateway, Modification, Rule

    async def main():
        one, other, third, offload, name = sys.argv[1:]
        gateway = Gateway(
            [
                Rule(
                    source=one,
                    destination=other,
                    filter=Filter.id(0x123) | Filter.range(0x200, 0x2FF),
                    modify=Modification.bit_set(id=0x333),
                    offload=offload,
                    name="child",
                ),
                Rule(source=one, destination=third, filter=Filter.id(0x400), offload=offload),
            ],
            name=name,
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(gateway.run)
            print("runs", flush=True)
            await anyio.sleep_forever()

    anyio.run(main)
"""


@contextlib.asynccontextmanager
async def other_process(*arguments: str) -> AsyncIterator[anyio.abc.Process]:
    """Run a gateway in another process, which forwards when this begins."""
    process = await anyio.open_process(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments], stderr=None
    )
    excuse()
    try:
        assert process.stdout is not None
        with anyio.fail_after(100):
            text = b""
            while b"\n" not in text:
                text += await process.stdout.receive()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def kill(process: anyio.abc.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()
    excuse()


@pytest.mark.parametrize("name", ["door", "another"])
async def test_rules_of_a_gateway_that_was_killed_go_at_the_next_start(
    bench: Bench, name: str
) -> None:
    one, other, third = (bench.links.add() for _ in range(3))
    change = "SET:I:456.0.0000000000000000"
    cangw("-A", "-s", one, "-d", third, "-e", "-f", "123:7FF", "-m", change, "-u", "7")
    cangw("-A", "-s", third, "-d", other, "-e", "-f", "124:7FF")
    foreign = kernel_rules()
    assert len(foreign) == 2
    async with other_process(one, other, third, "require", "door") as process:
        assert await list_gateways() == ["door"]
        with_child = kernel_rules()
        assert len(with_child) > len(foreign)
        await kill(process)
    assert kernel_rules() == with_child  # nobody was there to take them away
    near, far = bench.wire(one), bench.wire(other)
    rule = bench.rule(one, other, filter=Filter.id(0x300), offload="require")
    async with forwarding(rule, name=name, check_others=False):
        left = kernel_rules()
        assert [line for line in left if line in foreign] == foreign
        own = [line for line in left if line not in foreign]
        assert len(own) == 2  # of classical CAN and of CAN FD
        assert all("-f 300:C00007FF" in line for line in own)
        frames = [classical(0x123), classical(0x200), classical(0x300), flexible(0x300)]
        await near.send(frames)
        assert await far.receive(2) == frames[2:]
    assert kernel_rules() == foreign


async def test_a_gateway_that_runs_keeps_its_rules(bench: Bench) -> None:
    one, other, third = (bench.links.add() for _ in range(3))
    async with other_process(one, other, third, "require", "door") as process:
        there = kernel_rules()
        rule = bench.rule(third, other, offload="require")
        async with forwarding(rule, name="second"):
            assert set(there) < set(kernel_rules())
        assert kernel_rules() == there
        process.terminate()
        await process.wait()


async def test_a_gateway_that_is_cancelled_leaves_nothing(bench: Bench) -> None:
    one, other = bench.links.add(), bench.links.add()
    gateway = Gateway([bench.rule(one, other, offload="require")])
    async with anyio.create_task_group() as tasks:
        await tasks.start(gateway.run)
        assert len(kernel_rules()) == 2
        tasks.cancel_scope.cancel()
    assert kernel_rules() == []
    assert gateway.statistics().rules[0].path == "kernel"


# Being asked


async def test_it_can_be_asked_while_its_rules_change(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = bench.links.add(), bench.links.add()

    def rule(number: int) -> Any:
        return bench.rule(
            one,
            other,
            modify=Modification.bit_set(id=number),
            offload="require",
            name=f"{number}",
        )

    async with forwarding(rule(0)) as gateway, anyio.create_task_group() as tasks:

        async def ask() -> None:
            while True:
                gateway.statistics()
                await anyio.sleep(0.001)

        tasks.start_soon(ask)
        for number in range(60):
            await gateway.replace([rule(number)])
        tasks.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records] == []


# Circles through the kernel


async def refused(*rules: Any) -> str:
    with pytest.raises(GatewayLoopError) as told:
        await Gateway(rules, name="mine").run()
    return str(told.value)


@pytest.mark.parametrize("offload", ["never", "require"])
async def test_another_process_that_closes_the_circle(bench: Bench, offload: str) -> None:
    one, other, third = (bench.links.add() for _ in range(3))
    async with other_process(one, other, third, offload, "door") as process:
        back = bench.rule(other, one, filter=Filter.id(0x333), name="back")
        text = await refused(back)
        assert "'back'" in text
        assert one in text
        assert other in text
        if offload == "never":
            assert "'door'" in text
            assert str(process.pid) in text
        else:
            assert "cangw -L" in text
        async with forwarding(bench.rule(other, one, filter=Filter.id(0x334)), name="mine"):
            pass
        assert await list_gateways() == ["door"]


async def test_a_pair_of_vxcan_that_closes_the_circle(bench: Bench) -> None:
    one, other, third = "vx-one", "vx-other", bench.links.add()
    ip(
        f"link add dev {one} type vxcan peer name {other}",
        f"link set dev {one} up",
        f"link set dev {other} up",
    )
    try:
        for offload in ("never", "auto"):
            text = await refused(bench.rule(one, other, name="there", offload=offload))
            assert "vxcan" in text
            assert "'there'" in text
            text = await refused(
                bench.rule(one, third, name="there", offload=offload),
                bench.rule(third, other, name="and back", offload=offload),
            )
    finally:
        ip(f"link del dev {one}")


async def test_a_pair_of_vxcan_is_no_circle_where_it_leads_away(bench: Bench) -> None:
    one, other, third = "vx-one", "vx-other", bench.links.add()
    ip(
        f"link add dev {one} type vxcan peer name {other}",
        f"link set dev {one} up",
        f"link set dev {other} up",
    )
    try:
        with Wire(bench.links.network, third) as near, Wire(bench.links.network, other) as far:
            rule = bench.rule(third, one)
            async with forwarding(rule):
                await near.send([classical(1, b"out")])
                assert await far.receive(1) == [classical(1, b"out")]
    finally:
        ip(f"link del dev {one}")


async def test_a_rule_of_cangw_that_closes_the_circle(bench: Bench) -> None:
    one, other = bench.links.add(), bench.links.add()
    cangw("-A", "-s", other, "-d", one, "-e", "-f", "123:C00007FF")
    text = await refused(bench.rule(one, other, name="there"))
    assert "'there'" in text
    assert "cangw -L" in text
    async with forwarding(bench.rule(one, other, filter=Filter.id(0x124))):
        pass
    text = await refused(
        bench.rule(one, other, filter=Filter.id(0x124), modify=Modification.bit_set(id=0x123))
    )
    assert "cangw -L" in text


async def test_a_circle_does_ring(bench: Bench) -> None:
    """What is refused is refused for a reason."""
    one, other = bench.links.add(), bench.links.add()
    cangw("-A", "-s", other, "-d", one, "-e", "-f", "123:C00007FF")
    near = bench.wire(one)
    async with forwarding(bench.rule(one, other), check_others=False):
        await near.send([classical(0x123)])
        await until(lambda: len(near.take()) > 20)
        cangw("-F")
