"""What an slcan adapter is set to, and what it can be set to."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import attrs

from anycan.drivers.slcan_protocol import BITRATES
from anycan.wire.netlink_can import (
    CanMode,
    CanModes,
    CanParameters,
    CanSupportedModes,
)
from anycan.wire.netlink_timing import BitTiming

if TYPE_CHECKING:
    from anycan.wire.netlink_can import CanErrorCounters, CanState


@attrs.frozen(kw_only=True)
class SlcanSettings:
    """What an adapter is set to.

    Attributes:
        bitrate: One of :data:`BITRATES`; 0: not set.
        listen_only: It sends nothing, acknowledgements included.
        restart_ms: After how many milliseconds of bus-off it is opened anew; 0: never.
    """

    bitrate: int = 0
    listen_only: bool = False
    restart_ms: int = 0

    def check_start(self) -> None:
        """See to it that the adapter can take part in a bus.

        Raises:
            OSError: EINVAL: it has no bit rate.
        """
        if not self.bitrate:
            raise OSError(errno.EINVAL, "it has no bit rate yet")

    def parameters(self, state: CanState, counters: CanErrorCounters | None) -> CanParameters:
        """Give what netlink tells of them.

        Args:
            state: The controller's state.
            counters: Its error counters; None: the adapter has not told any.
        """
        mode = CanMode.LISTENONLY if self.listen_only else 0
        return CanParameters(
            bit_timing=BitTiming(bitrate=self.bitrate) if self.bitrate else None,
            state=state,
            modes=CanModes(0, int(mode)),
            restart_ms=self.restart_ms,
            error_counters=counters,
            bitrates=BITRATES,
            bitrate_max=0,
            supported_modes=CanSupportedModes(int(CanMode.LISTENONLY)),
        )

    def changed(self, request: CanParameters, *, up: bool) -> SlcanSettings:
        """Give them as they are after a change.

        Args:
            request: What is to be changed; what it tells only is not looked at, nor is ``restart``.
            up: The interface is up.

        Raises:
            OSError: EBUSY: the interface is up. EINVAL: it has no such bit rate, which the text
                explains. EOPNOTSUPP: it has no such mode or setting.
        """
        others = (
            request.data_bit_timing,
            request.termination,
            request.delay,
            request.xl_bit_timing,
            request.xl_delay,
            request.pulse_width,
        )
        if any(one is not None for one in others):
            raise OSError(
                errno.EOPNOTSUPP,
                "an slcan adapter has classical CAN alone: a bit rate, listen-only mode, a restart",
            )
        resting = (request.bit_timing, request.modes, request.restart_ms)
        if up and any(one is not None for one in resting):
            raise OSError(errno.EBUSY, "it is up: that is changed while it is down")
        settings = self
        if request.bit_timing is not None:
            settings = attrs.evolve(settings, bitrate=_checked_bitrate(request.bit_timing))
        if request.modes is not None:
            settings = attrs.evolve(settings, listen_only=self._changed_mode(request.modes))
        if request.restart_ms is not None:
            settings = attrs.evolve(settings, restart_ms=request.restart_ms)
        return settings

    def _changed_mode(self, change: CanModes) -> bool:
        wanted = change.flags & change.mask
        unknown = wanted & ~int(CanMode.LISTENONLY)
        if unknown:
            name = CanMode(unknown).name or hex(unknown)
            raise OSError(errno.EOPNOTSUPP, f"it has no mode {name}")
        if not change.mask & CanMode.LISTENONLY:
            return self.listen_only
        return bool(wanted)


def check_bitrate(bitrate: int) -> None:
    """See to it that the protocol has a bit rate.

    Raises:
        OSError: EINVAL: it has not.
    """
    if bitrate not in BITRATES:
        known = ", ".join(map(str, BITRATES))
        raise OSError(
            errno.EINVAL,
            f"an slcan adapter has no bit rate of {bitrate}; those of S0 to S8 are {known}",
        )


def _checked_bitrate(timing: BitTiming) -> int:
    if not timing.bitrate:
        raise OSError(errno.EINVAL, "an slcan adapter is set by a bit rate, and not by time quanta")
    check_bitrate(timing.bitrate)
    return timing.bitrate
