"""A user network's link events, as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.interfaces.user_links import value_of

if TYPE_CHECKING:
    from anycan.interfaces.netlink_feed import LinkSink
    from anycan.network.core.interface import Interface as Link
    from anycan.network.user import UserNetwork


class UserLinkFeed:
    """Tells what happens to a user network's links.

    Args:
        network: The network.
        sink: What it is told to; first of all, what there is.
    """

    def __init__(self, network: UserNetwork, sink: LinkSink) -> None:
        self._network = network
        self._sink = sink
        network._stack.clock.attend()  # noqa: SLF001 - a timer may run that was started in no loop
        self._watchers = network._stack.link_watchers  # noqa: SLF001 - hidden from users alone
        self._watchers[self._changed] = None
        for link in network._stack.by_index.values():  # noqa: SLF001 - as above
            self._changed(link, True)

    def _changed(self, link: Link, present: bool) -> None:
        if present:
            self._sink.put(value_of(link, self._network))
        else:
            self._sink.drop(link.index)

    def catch_up(self) -> None:
        """Do nothing: all has been told."""

    def close(self) -> None:
        """Tell nothing more."""
        self._watchers.pop(self._changed, None)
