# ruff: noqa: INP001 - Sphinx reads it by its path
"""How Sphinx builds these pages. Nothing here needs the internet."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any, Generic

import anycan

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "anycan"
author = "the anycan authors"
copyright = "2026, the anycan authors"  # noqa: A001 - Sphinx's name for it
release = installed_version("anycan")
version = release

extensions = [
    "cyclopts.ext.sphinx",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
nitpicky = True

# Names of other projects: their pages would have to be fetched to link them.
nitpick_ignore_regex = [
    (r"py:.*", r"(anyio|asyncio|collections|datetime|dt|enum|os|socket|typing)\..*"),
    (
        r"py:.*",
        r"(ClosedResourceError|BusyResourceError|EndOfStream|WouldBlock|ValueError|TypeError)",
    ),
    (r"py:.*", r"(TimestampMode|_ProtocolType|Callable\[\[\])"),
    # What may be given is told in the text, where these stand.
    (r"py:.*", r"(FilterArgument|HandlerOptions|HandlerT|OnError|Overflow|TaskStatus)"),
    (r"py:.*", r"(Checksum|Conversion|Missing|Offload)"),
    (r"py:.*", r"anycan\.routing\.subscription\.Taker"),
    # What a byte can be compared by stands with the function that gives it.
    (r"py:.*", r"anycan\.filter\._byte\.Byte"),
]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    ("Entering the block raises", "params_style"),
    ("Entering the block or iteration raises", "params_style"),
]

myst_heading_anchors = 3

smartquotes = False  # of two hyphens it makes a dash, also in names of options

html_theme = "furo"
html_title = f"anycan {release}"

# Made by functions or methods, not by calling the class.
_MADE_BY_FUNCTIONS = {
    "anycan.AnswerOperation",
    "anycan.BcmEndpoint",
    "anycan.BcmOperation",
    "anycan.BcmStatistics",
    "anycan.BcmTransport",
    "anycan.CalculatedBitTiming",
    "anycan.ClientStatus",
    "anycan.CyclicOperation",
    "anycan.CyclicTask",
    "anycan.DestinationStatistics",
    "anycan.EndpointExplanation",
    "anycan.Explanation",
    "anycan.Filter",
    "anycan.FrameSubscription",
    "anycan.FunctionalRequest",
    "anycan.GatewayFile",
    "anycan.GatewayStatistics",
    "anycan.HandlerSubscription",
    "anycan.InterfaceWatch",
    "anycan.IsotpLink",
    "anycan.IsotpRecord",
    "anycan.IsotpStatistics",
    "anycan.IsotpTransport",
    "anycan.KernelNetwork",
    "anycan.LatencyHistogram",
    "anycan.Modification",
    "anycan.Network",
    "anycan.NetworkStatus",
    "anycan.PortStatistics",
    "anycan.ProtocolSubscription",
    "anycan.RawEndpoint",
    "anycan.RawStatistics",
    "anycan.RawTransport",
    "anycan.RemoteAnswer",
    "anycan.RouterStatistics",
    "anycan.RoutingFault",
    "anycan.RuleStatistics",
    "anycan.ServedNetwork",
    "anycan.SocketStatus",
    "anycan.Subscription",
    "anycan.SubscriptionExplanation",
    "anycan.SubscriptionStatistics",
    "anycan.Watch",
}
_ANY_FRAME = re.compile(
    r"[~.\w]*\bFrame \| [~.\w]*FdFrame \| [~.\w]*XlFrame \| [~.\w]*RemoteFrame \| [~.\w]*ErrorFrame"
)
_ATTRIBUTES = {"attribute", "property", "data"}
_kept: dict[str, list[str]] = {}


def _keep(
    _app: Sphinx, what: str, name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Keep an attribute's docstring from napoleon, which takes words before a colon as a type."""
    if what in _ATTRIBUTES:
        _kept[name] = lines[:]
        lines.clear()


def _give_back(
    _app: Sphinx, what: str, name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    if what in _ATTRIBUTES:
        lines[:] = _kept.pop(name)


def _shorten_signature(
    _app: Sphinx,
    _what: str,
    name: str,
    _object: Any,
    _options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Hide what nobody calls; write AnyFrame instead of the frames that it stands for."""
    if name in _MADE_BY_FUNCTIONS:
        return "", None
    return (
        signature and _ANY_FRAME.sub("AnyFrame", signature),
        returns and _ANY_FRAME.sub("AnyFrame", returns),
    )


def _hide_internal_bases(
    _app: Sphinx, _name: str, _object: Any, _options: Any, bases: list[Any]
) -> None:
    """Show, in the place of a base that is not public, the bases that it has itself."""
    bases[:] = [
        shown
        for base in bases
        for shown in (_plain(base).__bases__ if _is_internal(_plain(base)) else [base])
        if shown is not Generic
    ]


def _plain(base: Any) -> Any:
    """Give the class itself of one with arguments, such as ``Base[bytes]``."""
    return getattr(base, "__origin__", base)


def _is_internal(base: Any) -> bool:
    """Tell whether it is a class of anycan that is not public."""
    ours = isinstance(base, type) and base.__module__.startswith("anycan.")
    return ours and base.__name__ not in anycan.__all__


def setup(app: Sphinx) -> None:
    """Connect the functions above; Sphinx calls this."""
    app.connect("autodoc-process-docstring", _keep, priority=400)
    app.connect("autodoc-process-docstring", _give_back, priority=600)
    app.connect("autodoc-process-signature", _shorten_signature)
    app.connect("autodoc-process-bases", _hide_internal_bases)
