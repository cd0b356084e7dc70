"""What transports have in common: a protocol that may fail, two water marks, asyncio's loop."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from anycan.endpoints.base_transport import HIGH_WATER, BaseCanTransport, running_loop


class Recorder(asyncio.BaseProtocol):
    """Notes every call, and may fail."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._failure = failure

    def _note(self, *call: object) -> None:
        self.calls.append(call)
        if self._failure is not None:
            raise self._failure

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def something(self, *arguments: object) -> None:
        self._note("something", *arguments)


class Plain(BaseCanTransport[object]):
    """A transport of which so much waits as it is told."""

    protocol_class = Recorder

    def __init__(self, protocol: Recorder, high_water: int = HIGH_WATER) -> None:
        self.reports: list[dict[str, Any]] = []
        self.socket = SimpleNamespace(
            interface="can0", index=3, network="a network", fd=7, coalesce=0.0, is_behind=bool
        )
        loop: Any = SimpleNamespace(call_exception_handler=self.reports.append)
        socket: Any = self.socket
        super().__init__(loop, socket, protocol, high_water)
        self._closed = True  # there is nothing to close
        self.waiting = 0

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def wait(self, *sizes: int) -> None:
        """Let so much wait, one after the other."""
        for size in sizes:
            self.waiting = size
            self._update_writing()


def test_what_it_tells_of_itself() -> None:
    transport = Plain(Recorder())
    assert transport.get_extra_info("interface") == "can0"
    assert transport.get_extra_info("interface_index") == 3
    assert transport.get_extra_info("network") == "a network"
    assert transport.get_extra_info("fd") == 7
    transport.socket.fd = -1
    assert transport.get_extra_info("fd") == -1
    assert transport.get_extra_info("other") is None
    assert transport.get_extra_info("other", 5) == 5


def test_how_much_waits_is_known_by_each_transport() -> None:
    with pytest.raises(NotImplementedError):
        BaseCanTransport.get_write_buffer_size(Plain(Recorder()))


class TestProtocols:
    def test_another_one_is_called_from_now_on(self) -> None:
        first, second = Recorder(), Recorder()
        transport = Plain(first)
        assert transport.get_protocol() is first
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        transport._call("something", 1, 2)
        assert (first.calls, second.calls) == ([], [("something", 1, 2)])

    @pytest.mark.parametrize("other", [asyncio.Protocol(), None, Recorder])
    def test_one_of_another_kind_is_refused(self, other: Any) -> None:
        first = Recorder()
        transport = Plain(first)
        with pytest.raises(TypeError, match=r"^a Recorder is needed, not "):
            transport.set_protocol(other)
        assert transport.get_protocol() is first

    def test_one_that_fails_is_reported_to_the_loop(self) -> None:
        failure = KeyError("strange")
        protocol = Recorder(failure)
        transport = Plain(protocol)
        transport._call("something", 1)
        transport._call("something", 2)
        assert protocol.calls == [("something", 1), ("something", 2)]
        assert (
            transport.reports
            == [
                {
                    "message": "Recorder.something() failed",
                    "exception": failure,
                    "transport": transport,
                    "protocol": protocol,
                }
            ]
            * 2
        )

    def test_one_that_lacks_a_method_is_reported_too(self) -> None:
        transport = Plain(Recorder())
        transport._call("nothing")
        (report,) = transport.reports
        assert isinstance(report["exception"], AttributeError)
        assert report["message"] == "Recorder.nothing() failed"

    @pytest.mark.parametrize(
        "failure", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()]
    )
    def test_what_is_no_fault_of_its_own_goes_on(self, failure: BaseException) -> None:
        transport = Plain(Recorder(failure))
        with pytest.raises(type(failure)):
            transport._call("something")
        assert transport.reports == []


class TestWaterMarks:
    @pytest.mark.parametrize(("high", "low"), [(256, 64), (16, 4), (3, 0), (0, 0)])
    def test_they_are_at_first(self, high: int, low: int) -> None:
        assert Plain(Recorder(), high).get_write_buffer_limits() == (low, high)

    def test_they_are_at_first_unless_it_is_said(self) -> None:
        assert Plain(Recorder()).get_write_buffer_limits() == (64, 256)

    @pytest.mark.parametrize(
        ("high", "low", "expected"),
        [
            (100, None, (25, 100)),
            (100, 0, (0, 100)),
            (100, 100, (100, 100)),
            (None, 5, (5, 20)),
            (None, 0, (0, 0)),
            (None, None, (4, 16)),
            (0, None, (0, 0)),
            (0, 0, (0, 0)),
            (1, None, (0, 1)),
        ],
    )
    def test_they_are_set(
        self, high: int | None, low: int | None, expected: tuple[int, int]
    ) -> None:
        transport = Plain(Recorder(), 16)
        transport.set_write_buffer_limits(1000, 500)
        transport.set_write_buffer_limits(high, low)
        assert transport.get_write_buffer_limits() == expected

    @pytest.mark.parametrize(("high", "low"), [(1, 2), (-1, None), (1, -1), (None, -1), (-1, -2)])
    def test_what_they_cannot_be(self, high: int | None, low: int | None) -> None:
        transport = Plain(Recorder(), 16)
        with pytest.raises(ValueError, match=r"^high \(.*\) is at least low \(.*\), which is"):
            transport.set_write_buffer_limits(high, low)
        assert transport.get_write_buffer_limits() == (4, 16)

    def test_writing_pauses_above_the_high_one_and_resumes_at_the_low_one(self) -> None:
        protocol = Recorder()
        transport = Plain(protocol, 16)
        transport.wait(0, 16)
        assert protocol.calls == []
        transport.wait(17, 18, 30)
        assert protocol.calls == [("pause",)]
        transport.wait(16, 5)
        assert protocol.calls == [("pause",)]
        transport.wait(4, 3, 0)
        assert protocol.calls == [("pause",), ("resume",)]
        transport.wait(17)
        assert protocol.calls == [("pause",), ("resume",), ("pause",)]

    def test_without_room_one_is_enough_to_pause(self) -> None:
        protocol = Recorder()
        transport = Plain(protocol)
        transport.set_write_buffer_limits(0)
        transport.wait(1, 0)
        assert protocol.calls == [("pause",), ("resume",)]

    def test_setting_them_pauses_and_resumes_at_once(self) -> None:
        protocol = Recorder()
        transport = Plain(protocol, 16)
        transport.wait(10)
        transport.set_write_buffer_limits(8)
        assert protocol.calls == [("pause",)]
        transport.set_write_buffer_limits(100, 9)
        assert protocol.calls == [("pause",)]
        transport.set_write_buffer_limits(100, 10)
        assert protocol.calls == [("pause",), ("resume",)]

    def test_a_protocol_that_fails_is_paused_all_the_same(self) -> None:
        protocol = Recorder(KeyError("strange"))
        transport = Plain(protocol, 16)
        transport.wait(17, 18, 0, 0)
        assert protocol.calls == [("pause",), ("resume",)]
        assert [report["message"] for report in transport.reports] == [
            "Recorder.pause_writing() failed",
            "Recorder.resume_writing() failed",
        ]


class TestRunningLoop:
    words = r"^transports are asyncio's own, and no loop of asyncio runs here: use open_isotp\(\)$"

    def test_asyncios(self) -> None:
        async def main() -> None:
            assert running_loop("open_isotp()") is asyncio.get_running_loop()

        asyncio.run(main())

    def test_none(self) -> None:
        with pytest.raises(RuntimeError, match=self.words) as caught:
            running_loop("open_isotp()")
        assert caught.value.__suppress_context__

    def test_trios(self) -> None:
        async def main() -> None:
            with pytest.raises(RuntimeError, match=self.words):
                running_loop("open_isotp()")

        trio.run(main)
