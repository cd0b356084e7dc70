"""What a router says of itself: what the kernel filters, what is matched here, and for whom."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import (
    CanFilter,
    EndpointExplanation,
    ErrorClass,
    Filter,
    Frame,
    Router,
    byte,
)
from rig.routing import LIMIT, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import AnyFrame
    from rig.links import Links


class Protocol:
    def frame_received(self, frame: AnyFrame) -> None: ...


@asynccontextmanager
async def running_on(
    router: Router, links: Links, name: str | None, **options: Any
) -> AsyncIterator[None]:
    async with (
        anycan.open_raw(name, network=links.network, **options) as can,
        running(router, can),
    ):
        yield


class TestSubscriptions:
    @pytest.mark.parametrize(
        ("wanted", "by", "rest"),
        [
            (Filter.id(0x100), "identifier", False),
            (Filter.id(0x100, extended=True), "identifier", False),
            (Filter.id(0x100) | Filter.id(0x18DA00F1), "identifier", False),
            (Filter.id(0x100) & (byte(0) == 1), "identifier", True),
            (Filter.id(0x100) & Filter.fd(), "identifier", True),
            (Filter.range(0x700, 0x7FF), "mask", False),
            (Filter.id(0x100) | Filter.range(0x700, 0x7FF), "mask", False),
            (Filter.mask(0x100, 0x700), "mask", False),
            (Filter.range(0x700, 0x7FF) & Filter.length(8), "mask", True),
            (Filter.all(), "all", False),
            (byte(0) == 1, "mask", True),  # no remote frame has one
            (Filter.where(lambda frame: frame.can_id == 1), "all", True),
            (Filter.errors(ErrorClass.BUS_OFF), "error class", False),
            (Filter.errors() & Filter.interface("can0"), "error class", True),
            (Filter.errors() | Filter.id(0x100), "identifier", False),
        ],
    )
    def test_how_frames_are_found(self, wanted: Filter, by: str, rest: bool) -> None:
        router = Router()
        router.add(wanted, print)
        (explained,) = router.explain().subscriptions
        assert explained.name == "print"
        assert explained.filter == wanted
        assert (explained.by, explained.rest) == (by, rest)
        text = f"print: {wanted!r}: found by {by}"
        assert str(explained).startswith(text)
        assert (", then by the rest of its filter;" in str(explained)) is rest

    async def _nothing(self, frame: AnyFrame) -> None: ...

    @pytest.mark.anyio
    async def test_how_they_are_handled(self) -> None:
        router = Router()
        router.add(Filter.id(1), print)
        router.add(
            Filter.id(1),
            self._nothing,
            name="batches",
            batch=True,
            capacity=5,
            overflow="block",
            on_error="stop",
        )
        router.attach(Filter.id(1), Protocol(), on_error="restart")
        async with router.subscribe(None, capacity=7, overflow="latest_per_id"):
            explained = router.explain()
            assert explained.endpoints == ()
            found = "Filter.id(0x1): found by identifier"
            assert str(explained).splitlines() == [
                f"print: {found}; up to 1024, drop_oldest, on error keep",
                f"batches: {found}; up to 5, block, in batches, on error stop",
                f"Protocol: {found}; called at once, on error restart",
                "subscribe: Filter.all(): found by all; up to 7, latest_per_id",
            ]

    def test_a_router_without_any(self) -> None:
        assert str(Router().explain()) == ""


@pytest.mark.anyio
class TestEndpoints:
    async def test_exactly_what_is_wanted(self, user_links: Links) -> None:
        router = Router()
        name = user_links.add()
        router.add(Filter.id(0x100) | Filter.range(0x700, 0x7FF), print)
        router.add(Filter.errors(ErrorClass.BUS_OFF), print, name="errors")
        async with running_on(router, user_links, name):
            explained = router.explain()
            (endpoint,) = explained.endpoints
            assert endpoint.interface == name
            assert set(endpoint.kernel_filters) == {
                CanFilter(0x100, 0xC00007FF),
                CanFilter(0x700, 0xC0000700),
            }
            assert endpoint.errors == ErrorClass.BUS_OFF
            assert endpoint.pushed_down
            assert endpoint.exact
            assert (endpoint.taken, endpoint.refused) == (0, 0)
            lines = str(explained).splitlines()
        assert lines[0] == (
            f"{name}: the kernel lets through 100:C00007FF,700:C0000700, error frames 00000040:"
            " exactly what is wanted; 0 taken, 0 refused"
        )
        assert len(lines) == 3
        assert router.explain().endpoints == ()

    async def test_the_rest_is_matched_here(self, user_links: Links) -> None:
        router = Router()
        name, network = user_links.add(), user_links.network
        router.add(Filter.id(0x100) & (byte(0) == 1), lambda _: None, name="one")
        async with (
            running_on(router, user_links, name),
            anycan.open_raw(name, network=network) as other,
            router.subscribe(Filter.id(0x101)) as last,
        ):
            await other.send_many([Frame(0x100, b"\x01"), Frame(0x100), Frame(0x101)])
            with anyio.fail_after(LIMIT):
                await last.receive()
            (endpoint,) = router.explain().endpoints
            assert not endpoint.exact
            assert (endpoint.taken, endpoint.refused) == (2, 1)
            assert str(endpoint) == (
                f"{name}: the kernel lets through 100:C00007FF,101:C00007FF: and the rest is"
                " matched here; 2 taken, 1 refused"
            )

    async def test_all_interfaces_and_nothing_wanted(self, user_links: Links) -> None:
        router = Router()
        async with running_on(router, user_links, None):
            assert str(router.explain()) == (
                "all interfaces: the kernel lets through nothing: exactly what is wanted;"
                " 0 taken, 0 refused"
            )

    async def test_joined_filters(self, user_links: Links) -> None:
        router = Router()
        name = user_links.add()
        router.add(Filter.id(0x100), print)
        filters = [CanFilter(0x100, 0x700), CanFilter(0x000, 0x001)]
        async with running_on(router, user_links, name, filters=filters, join_filters=True):
            (endpoint,) = router.explain().endpoints
            assert endpoint.kernel_filters == tuple(filters)
            assert not endpoint.pushed_down
            assert str(endpoint) == (
                f"{name}: the kernel lets through 100:700,000:001: as it was opened;"
                " all is matched here; 0 taken, 0 refused"
            )

    async def test_joined_filters_of_an_endpoint_that_was_given_none(
        self, user_links: Links
    ) -> None:
        router = Router()
        name = user_links.add()
        async with running_on(router, user_links, name, join_filters=True):
            (endpoint,) = router.explain().endpoints
            assert endpoint.kernel_filters == (CanFilter(0, 0),)


def test_many_filters_are_counted() -> None:
    filters = tuple(CanFilter(number, 0x7FF) for number in range(10))
    explained = EndpointExplanation(
        interface="can0",
        kernel_filters=filters,
        errors=ErrorClass(0),
        pushed_down=True,
        exact=True,
        taken=1,
        refused=2,
    )
    shown = ",".join(f"{number:03X}:7FF" for number in range(8))
    assert str(explained) == (
        f"can0: the kernel lets through {shown} and 2 more: exactly what is wanted;"
        " 1 taken, 2 refused"
    )
