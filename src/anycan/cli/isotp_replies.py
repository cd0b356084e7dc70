"""What ``anycan isotp serve`` answers: ``22F190=62F19041``, ``3E..=7E..``, ``3E80=``."""

from __future__ import annotations

import attrs

from anycan.cli.common import UsageError
from anycan.cli.isotp_input import parse_data

_TAIL = ".."


@attrs.frozen
class ReplyRule:
    """A request, and what it is answered with.

    Attributes:
        request: Its bytes.
        any_tail: Any bytes may follow them.
        reply: The reply's bytes; none: there is no reply, unless something follows them.
        same_tail: What follows the request's bytes follows those of the reply, too.
    """

    request: bytes
    any_tail: bool
    reply: bytes
    same_tail: bool

    @classmethod
    def parse(cls, text: str) -> ReplyRule:
        """Read ``REQUEST=REPLY`` in hex, each with ``..`` behind it or without.

        Raises:
            UsageError: It is none.
        """
        request, sign, reply = text.partition("=")
        if not sign:
            raise UsageError(
                f"--reply: not REQUEST=REPLY: {text!r}; for example 22F190=62F19041, 3E..=7E.."
            )
        request, any_tail = _cut(request)
        reply, same_tail = _cut(reply)
        if same_tail and not any_tail:
            raise UsageError(f"--reply {text}: the request has no '..' that could follow the reply")
        if not request and not any_tail:
            raise UsageError(f"--reply {text}: no request stands before '='; '..' is any")
        name = f"--reply {text}"
        return cls(
            request=parse_data([request], name) if request else b"",
            any_tail=any_tail,
            reply=parse_data([reply], name) if reply else b"",
            same_tail=same_tail,
        )

    def matches(self, request: bytes) -> bool:
        """Tell whether a request is this one."""
        return request.startswith(self.request) if self.any_tail else request == self.request

    def answer(self, request: bytes) -> bytes | None:
        """Give the reply to a request that matches; None: there is none."""
        tail = request[len(self.request) :] if self.same_tail else b""
        return self.reply + tail or None


def _cut(text: str) -> tuple[str, bool]:
    text = text.strip()
    return text.removesuffix(_TAIL), text.endswith(_TAIL)
