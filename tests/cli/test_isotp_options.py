"""What the options of anycan isotp stand for."""

from __future__ import annotations

from typing import Any

import pytest

from anycan import Address
from anycan.cli import main, reference
from anycan.cli.app import app
from anycan.cli.common import UsageError
from anycan.cli.isotp_input import parse_data
from anycan.cli.isotp_options import (
    LinkOptions,
    ModeOptions,
    as_usage_error,
    make_address,
    parse_functional,
    parse_pair,
)
from anycan.cli.isotp_replies import ReplyRule

COMMANDS = ["send", "recv", "dump", "serve"]


@pytest.mark.parametrize(
    ("tx", "rx", "options", "functional", "expected"),
    [
        ("7E0", "7E8", {}, False, Address.normal(0x7E0, 0x7E8)),
        ("7e0", "7e8", {}, False, Address.normal(0x7E0, 0x7E8)),
        ("000007E0", "000007E8", {}, False, Address.normal(0x7E0, 0x7E8, extended=True)),
        ("7DF", None, {}, True, Address.normal(0x7DF, None)),
        ("000007DF", None, {}, True, Address.normal(0x7DF, None, extended=True)),
        (
            None,
            None,
            {"mode": "normal-fixed", "target": "10", "source": "F1"},
            False,
            Address.normal_fixed(0x10, 0xF1),
        ),
        (
            None,
            None,
            {"mode": "normal-fixed", "target": "33", "source": "f1", "priority": 3},
            True,
            Address.normal_fixed(0x33, 0xF1, functional=True, priority=3),
        ),
        (
            "6F1",
            "612",
            {"mode": "extended", "target": "12", "source": "F1"},
            False,
            Address.extended(0x6F1, 0x612, target=0x12, source=0xF1),
        ),
        (
            "6F1",
            None,
            {"mode": "extended", "target": "DF", "source": "F1"},
            True,
            Address.extended(0x6F1, None, target=0xDF, source=0xF1),
        ),
        (
            "7E0",
            "7E8",
            {"mode": "mixed-11", "extension": "5"},
            False,
            Address.mixed_11(0x7E0, 0x7E8, extension=5),
        ),
        (
            None,
            None,
            {"mode": "mixed-29", "target": "10", "source": "F1", "extension": "55", "priority": 0},
            False,
            Address.mixed_29(0x10, 0xF1, extension=0x55, priority=0),
        ),
    ],
)
def test_addresses(
    tx: str | None, rx: str | None, options: dict[str, Any], functional: bool, expected: Address
) -> None:
    assert make_address(tx, rx, ModeOptions(**options), functional=functional) == expected


@pytest.mark.parametrize(
    ("tx", "rx", "options", "functional", "message"),
    [
        (None, None, {}, False, "--mode normal needs --tx"),
        ("7E0", None, {}, False, "needs --rx, or --functional for a group of nodes"),
        ("7DF", "7E8", {}, True, "--functional stands for a group of nodes: leave out --rx"),
        ("7E0", "7E0", {}, False, "tx_id and rx_id are both 0x7e0"),
        ("7E", "7E8", {}, False, "--tx: not an identifier in hex: '7E'; write three digits"),
        ("7E0", "0x7E8", {}, False, "--rx: not an identifier in hex: '0x7E8'"),
        ("FFF", "7E8", {}, False, "is 0 to 0x7ff, not 0xfff"),
        ("7E0", "000007E8", {}, False, "--tx and --rx have both 11 bits"),
        ("7E0", "7E8", {"target": "10"}, False, "--target has no meaning in --mode normal, which"),
        ("7E0", "7E8", {"priority": 1}, False, "--priority has no meaning in --mode normal"),
        (
            "7E0",
            None,
            {"mode": "normal-fixed", "target": "10", "source": "F1"},
            False,
            "--tx has no meaning in --mode normal-fixed, which has --target and --source",
        ),
        (
            None,
            None,
            {"mode": "normal-fixed", "target": "10"},
            False,
            "--mode normal-fixed needs --source",
        ),
        (
            None,
            None,
            {"mode": "normal-fixed", "target": "100", "source": "F1"},
            False,
            "--target: not a byte in hex: '100'; write 00 to FF",
        ),
        ("7E0", "7E8", {"mode": "mixed-11"}, False, "--mode mixed-11 needs --extension"),
    ],
)
def test_what_is_no_address(
    tx: str | None, rx: str | None, options: dict[str, Any], functional: bool, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make_address(tx, rx, ModeOptions(**options), functional=functional)
    assert message in str(caught.value)


def test_pairs_and_groups() -> None:
    assert parse_pair("--pair", "7E0,7E8") == Address.normal(0x7E0, 0x7E8)
    assert parse_pair("--pair", "00000001,18DAF110") == Address.normal(1, 0x18DAF110, extended=True)
    assert parse_pair("--pair", "6F1:12,612:F1") == Address.extended(
        0x6F1, 0x612, target=0x12, source=0xF1
    )
    assert parse_functional("--functional", "7DF") == Address.normal(0x7DF, None)
    group = parse_functional("--functional", "6F1:DF")
    assert (group.tx_id, group.rx_id, group.tx_extension) == (0x6F1, None, 0xDF)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7E0", "--pair: not TX,RX: '7E0'; for example 7E0,7E8"),
        ("7E0,7E", "--pair: not an identifier in hex: '7E'"),
        ("7E0:1,7E8", "--pair: both of '7E0:1,7E8' have 11 or 29 bits, and an address byte"),
        ("7E0,000007E8", "--pair: both of"),
        ("7E0:,7E8:1", "--pair: not a byte in hex: ''"),
        ("7E0,7E0", "--pair 7E0,7E0: tx_id and rx_id are both 0x7e0"),
    ],
)
def test_what_is_no_pair(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pair("--pair", text)
    assert str(caught.value).startswith(message)
    with pytest.raises(UsageError, match=r"^--functional FFF: tx_id"):
        parse_functional("--functional", "FFF")


def test_link_options() -> None:
    assert LinkOptions(padding="cc", rx_padding="0", stmin=0.01).arguments() == {
        "fd": False,
        "tx_dl": None,
        "brs": False,
        "padding": 0xCC,
        "rx_padding": 0,
        "block_size": 0,
        "stmin": 0.01,
        "implementation": "auto",
        "max_pdu_size": None,
    }
    with pytest.raises(UsageError, match="--padding: not a byte in hex: 'x'"):
        LinkOptions(padding="x").arguments()
    with pytest.raises(UsageError, match="leave out --implementation socket"):
        LinkOptions(max_pdu_size=10_000, implementation="socket").arguments()


def test_keywords_become_options() -> None:
    error = ValueError("tx_dl= is 8, or 12 (fd=True), not 9; broadcast_segmented=True: max=1")
    assert str(as_usage_error(error)) == (
        "--tx-dl is 8, or 12 (--fd), not 9; --broadcast-segmented: max=1"
    )


def test_data() -> None:
    assert parse_data(["22F1", " 9 0", "\n\taa"]) == b"\x22\xf1\x90\xaa"
    for texts, message in (
        ([], "DATA: nothing to send"),
        (["22", "F"], "DATA: an odd number of digits in '22F'"),
        (["2G"], "DATA: no bytes in hex: '2G'; for example 22 F1 90"),
    ):
        with pytest.raises(UsageError) as caught:
            parse_data(texts)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "request_", "reply"),
    [
        ("22F190=62 F1 90 41", "22f190", "62f19041"),
        ("22F190=62", "22f19000", "no"),
        ("22 F1..=62", "22f1", "62"),
        ("22F1..=62..", "22f19041", "629041"),
        ("22..=62..", "22", "62"),
        ("..=7F0011", "85", "7f0011"),
        ("..=..", "8501", "8501"),
        ("3E..=..", "3e80", "80"),
        ("3E..=..", "3e", "nothing"),
        ("3E80=", "3e80", "nothing"),
    ],
)
def test_replies(text: str, request_: str, reply: str) -> None:
    rule = ReplyRule.parse(text)
    asked = bytes.fromhex(request_)
    assert rule.matches(asked) == (reply != "no")
    if rule.matches(asked):
        answer = rule.answer(asked)
        assert ("nothing" if answer is None else answer.hex()) == reply


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("22F190", "--reply: not REQUEST=REPLY: '22F190'"),
        ("=62", "--reply =62: no request stands before '='; '..' is any"),
        ("x..=", "--reply x..=: no bytes in hex: 'x'"),
        ("22=6", "--reply 22=6: an odd number of digits in '6'"),
        ("22=62..", "--reply 22=62..: the request has no '..' that could follow the reply"),
    ],
)
def test_what_is_no_reply(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ReplyRule.parse(text)
    assert str(caught.value).startswith(message)


# The commands in the manual


@pytest.mark.parametrize("command", COMMANDS)
def test_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["isotp", command, "--help"]) == 0
    out = capsys.readouterr().out
    usage, _, rest = out.partition("\n")
    words = {"send": ["INTERFACE", "[DATA...]"], "dump": ["SOURCE"]}.get(command, ["INTERFACE"])
    assert usage.split() == ["Usage:", "anycan", "isotp", command, "[OPTIONS]", *words]
    for word in words:
        assert f" {word.strip('[].')} " in rest
    assert f"anycan isotp {command}" in rest.partition("Examples")[2]
    for option in ("--tx -s", "--rx -d", "--mode", "--network"):
        assert option in rest


def test_the_group_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert " isotp " in capsys.readouterr().out
    assert main(["isotp"]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert f" {command} " in out
    assert "--version" not in out


def test_the_documentation_puts_the_names_itself() -> None:
    assert reference.app["isotp"]["dump"].usage == "dump [OPTIONS] SOURCE"
    assert app["isotp"]["dump"].usage == "Usage: anycan isotp dump [OPTIONS] SOURCE"


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["send"],
        ["send", "can0", "22"],
        ["send", "can0", "2", "--tx", "7E0", "--rx", "7E8"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--block-size", "256"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--stmin", "0.128"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--stmin", "nan"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--wait", "0"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--uds"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--broadcast-segmented"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--file", "/dev/null"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--padding", "100"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--tx-dl", "64"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--brs"],
        ["send", "can0", "22", "--tx", "7E0", "--rx", "7E8", "--max-pdu-size", "1"],
        ["send", "can0", "22", "--tx", "7DF", "--functional", "--wait", "1"],
        ["send", "can0", "22", "--tx", "7DF", "--functional", "--responder", "7E0,7E8"],
        ["send", "can0", "--tx", "7E0", "--rx", "7E8", "--file", "/dev/null"],
        ["send", "can0", "--tx", "7E0", "--rx", "7E8", "--file", "/dev/null", "--binary"],
        ["send", "can0", "--tx", "7E0", "--rx", "7E8", "--file", "/dev/zero", "--binary"],
        ["recv", "can0"],
        ["recv", "can0", "--tx", "7E8", "--rx", "7E0", "-n", "0"],
        ["recv", "can0", "--tx", "7E8", "--rx", "7E0", "-t", "q"],
        ["recv", "can0", "--listen-only"],
        ["serve", "can0", "--tx", "7E8", "--rx", "7E0"],
        ["serve", "can0", "--tx", "7E8", "--rx", "7E0", "--reply", "22"],
        ["serve", "can0", "--tx", "7E8", "--rx", "7E0", "--echo", "--functional", "7DF:1"],
        ["serve", "can0", "--tx", "7E8", "--rx", "7E0", "--echo", "--brs"],
        ["dump"],
        ["dump", "can0"],
        ["dump", "can0", "--tx", "7E0"],
        ["dump", "can0", "--tx", "7E0", "--rx", "7E8", "--pair", "7E8,7E0"],
        ["dump", "can0", "--functional", "7"],
        ["dump", "--bogus"],
        ["dump", "/dev/null"],
        ["dump", "/dev/null", "--mode", "extended"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["isotp", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anycan: ")
    assert err.endswith("See --help.\n")
    assert err.count("\n") == 1
