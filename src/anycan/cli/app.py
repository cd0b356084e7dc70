"""The commands put together, and what every error becomes: one line and an exit status."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from cyclopts import App, CycloptsError, Parameter

from anycan import CanError
from anycan.cli.common import UsageError, error_text, leaves_of, say
from anycan.cli.manual import (
    GATEWAY_HELP,
    GATEWAY_PAGES,
    INTERFACES_HELP,
    INTERFACES_PAGES,
    ISOTP_HELP,
    ISOTP_PAGES,
    NETWORK_HELP,
    NETWORK_PAGES,
    PAGES,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRONG: Final = 2
_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE

_HELP: Final = """\
CAN networking: set up interfaces, look at a bus, send, generate and replay traffic, speak ISO-TP,
run a gateway, serve a network to many processes.

Try it without any hardware or rights:

    anycan demo

`anycan COMMAND --help` shows a command's options and examples.
"""


def make_app(usage: str = "Usage: anycan ") -> App:
    """Put the commands together.

    Args:
        usage: What stands before a command's name in its usage.
    """
    made = App(
        name="anycan",
        help=_HELP,
        help_format="markdown",
        version=lambda: f"anycan {version('anycan')}",
        version_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for name, page in PAGES.items():
        made.command(  # imported when it is asked for
            f"anycan.cli.{name}:{name}",
            name=name,
            usage=f"{usage}{name} {page.usage}",
            help_epilogue=page.examples,
        )
    groups = {
        "interfaces": (INTERFACES_HELP, INTERFACES_PAGES),
        "isotp": (ISOTP_HELP, ISOTP_PAGES),
        "gateway": (GATEWAY_HELP, GATEWAY_PAGES),
        "network": (NETWORK_HELP, NETWORK_PAGES),
    }
    for group_name, (text, pages) in groups.items():
        group = App(name=group_name, help=text, version_flags=())
        for name, page in pages.items():
            group.command(
                f"anycan.cli.{group_name}_{name}:{name}",
                name=name,
                # In the reference the group's own heading says its name.
                usage=f"{usage and f'{usage}{group_name} '}{name} {page.usage}",
                help_epilogue=page.examples,
            )
        made.command(group)
    made.register_install_completion_command()
    return made


app = make_app()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; give the exit status."""
    try:
        status = app(None if arguments is None else list(arguments))
    except SystemExit as error:  # what rich makes of a broken pipe; anything else is a defect
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return _BROKEN_PIPE
    except CycloptsError as error:
        say(f"{error} See --help.")
        return _WRONG
    except UsageError as error:
        say(f"{error}. See --help.")
        return _WRONG
    except Exception as error:  # noqa: BLE001 - _report raises again what it does not know
        return _report(error)
    return status if isinstance(status, int) else 0


def _report(error: Exception) -> int:
    """Tell what is known to go wrong in one line each; raise what is not."""
    causes = list(dict.fromkeys(leaves_of(error)))
    if any(isinstance(cause, BrokenPipeError) for cause in causes):
        # The interpreter flushes standard output once more at its end: into nothing, then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    if not all(isinstance(cause, (CanError, OSError)) for cause in causes):
        raise error
    for text in dict.fromkeys(error_text(cause) for cause in causes):
        say(text)
    return 1
