"""Changing a link by rtnetlink: down, change, up; and back, where that is refused."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

from anycan.exceptions import CanOSError, ConfigurationError
from anycan.interfaces.links import no_bit_rate
from anycan.interfaces.settings import as_it_is
from anycan.wire.netlink_can import CanMode, CanParameters
from anycan.wire.netlink_link import Link, LinkFlag, LinkInfo
from anycan.wire.netlink_requests import change_link, set_down
from anycan.wire.netlink_timing import TransmitterDelay

if TYPE_CHECKING:
    from anycan.interfaces.link_source import LinkRequests
    from anycan.interfaces.settings import Plan
    from anycan.interfaces.values import Interface
    from anycan.wire.netlink_timing import BitTiming

_LOGGER: Final = logging.getLogger("anycan.interfaces")


def carry_out(netlink: LinkRequests, before: Interface, intended: Plan) -> None:
    """Change an interface as intended; if the kernel refuses, put it back as far as it can be.

    Args:
        netlink: The socket to ask by.
        before: The interface as it is.
        intended: What is to be done.

    Raises:
        ConfigurationError: The kernel does not take it.
        InterfaceError: It is to come up, and has no bit rate (EINVAL).
        CanOSError: The kernel refused it for another reason.
    """
    index = before.index
    flags = LinkFlag.UP if intended.up else 0
    info = None if intended.parameters is None else LinkInfo("can", intended.parameters)
    link = Link(
        index,
        flags,
        LinkFlag.UP if intended.up else 0,
        mtu=intended.mtu,
        queue_length=intended.queue_length,
        info=info,
    )
    request = change_link(link)
    goes_down = intended.down_first or (before.up and not intended.up)
    if goes_down:
        netlink.request(set_down(index))
    try:
        if intended.changes or intended.up:
            netlink.request(request)
    except CanOSError as error:
        is_back = _put_back(netlink, before, intended)
        now = "; it is down now" if goes_down and not is_back else ""
        if error.errno in {errno.EINVAL, errno.EOPNOTSUPP, errno.ERANGE, errno.EDOM}:
            if intended.up and before.kind == "can" and _bit_timing_after(before, intended) is None:
                raise no_bit_rate(before) from None
            raise ConfigurationError(
                f"{before.name} takes no such setting: {error.strerror}{now}"
            ) from None
        if now:
            error.strerror = f"{error.strerror}{now}"
            error.args = (error.errno, error.strerror)
        raise


def _bit_timing_after(before: Interface, intended: Plan) -> BitTiming | None:
    changed = None if intended.parameters is None else intended.parameters.bit_timing
    return changed or before.bit_timing


def _put_back(netlink: LinkRequests, before: Interface, intended: Plan) -> bool:
    """Undo what was done of a plan that came to nothing; tell whether it is up if it was."""
    flags = LinkFlag.UP if before.up else 0
    parameters = intended.parameters and former(before, intended.parameters)
    link = Link(
        before.index,
        flags,
        LinkFlag.UP,
        mtu=None if intended.mtu is None else before.mtu,
        queue_length=before.queue_length,
        info=None if parameters is None else LinkInfo("can", parameters),
    )
    try:
        if parameters is not None:
            netlink.request(set_down(before.index))
        netlink.request(change_link(link))
    except CanOSError as error:
        _LOGGER.warning(
            "%s was not put back to what it was before: %s", before.name, error.strerror
        )
        return not before.up
    return True


def former(before: Interface, changed: CanParameters) -> CanParameters:
    """Give what a controller was set to, of all that was to be changed, as the kernel takes it."""
    timing = as_it_is(before, "")
    data_timing = as_it_is(before, "data_")
    modes, delay = changed.modes, None
    flexible = False
    if modes is not None:
        flags = int(before.modes or 0) & modes.mask
        modes = type(modes)(modes.mask, flags)
        flexible = bool(flags & CanMode.FD)  # which goes with both bit timings
        if flags & (CanMode.TDC_AUTO | CanMode.TDC_MANUAL) and before.delay is not None:
            value = before.delay.value if flags & CanMode.TDC_MANUAL else None
            delay = TransmitterDelay(
                value=value, offset=before.delay.offset, filter=before.delay.filter
            )
    return CanParameters(
        bit_timing=timing if changed.bit_timing or flexible else None,
        data_bit_timing=data_timing if flexible else None,
        modes=modes,
        restart_ms=None if changed.restart_ms is None else round((before.restart or 0) * 1000),
        termination=None if changed.termination is None else before.termination,
        delay=delay,
    )
