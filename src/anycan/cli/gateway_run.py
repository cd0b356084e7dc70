"""``anycan gateway run``: forward by the rules of a file, as a service does."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import Annotated

from cyclopts import Parameter

from anycan.cli.common import NetworkOption  # noqa: TC001 - as above
from anycan.cli.gateway_service import GatewayService
from anycan.cli.json_log import LogFormat, LogLevel, logging_to_standard_error
from anycan.cli.notify import Notifier


async def run(
    file: Path,
    /,
    *,
    log_format: LogFormat = "text",
    log_level: LogLevel = "info",
    check_others: Annotated[bool, Parameter(negative="--no-check-others")] = True,
    network: NetworkOption = None,
) -> int:
    """Forward frames between interfaces by the rules of a file, until it is told to end.

    SIGHUP has it load the file anew: rules that stay the same go on without losing a frame, and a
    file with mistakes changes nothing. SIGTERM and Ctrl-C end it with the exit status 0. It logs to
    standard error: which way each rule's frames take, and at the end what became of them. To
    systemd (Type=notify) it tells when it forwards, loads and ends, and with WatchdogSec that it
    lives.

    Args:
        file: The rules, in TOML; *anycan gateway check* tells what is wrong in it.
        log_format: Lines for people, or an object of JSON a line.
        log_level: From which level on.
        check_others: Look whether frames could come back over what other gateways and the kernel
            forward, and do not begin then.
        network: Where the interfaces are.
    """
    with logging_to_standard_error(log_format, log_level):
        service = GatewayService(file, Notifier(), check_others=check_others, network=network)
        return 0 if await service.run() else 1
