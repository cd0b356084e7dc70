"""anycan gateway check: what is wrong in files of rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import attrs
import pytest

from anycan import Frame, Rule, load_gateway_file
from anycan.cli import main

ROOT: Final = Path(__file__).parents[2]
RIGHT = '[[rule]]\nsource = "can0"\ndestination = "can1"\n'


def test_files_that_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(RIGHT)
    two.write_text(RIGHT * 2)
    assert main(["gateway", "check", str(one), str(two)]) == 0
    assert capsys.readouterr() == (f"{one}: 1 rule\n{two}: 2 rules\n", "")


def test_each_mistake_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, right, missing = (tmp_path / f"{name}.toml" for name in ("wrong", "right", "missing"))
    wrong.write_text(f"{RIGHT}capacity = 0\nofload = 'never'\n")
    right.write_text(RIGHT)
    assert main(["gateway", "check", str(wrong), str(missing), str(right)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{wrong}:4: rule 'can0 -> can1': capacity is a number of frames, 1 or more, not 0",
        f"{wrong}:5: unknown key 'ofload'; did you mean 'offload'?",
        f"{right}: 1 rule",
    ]
    assert err == f"anycan: {missing}: No such file or directory\n"


def test_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", "check"]) == 2
    assert capsys.readouterr().err == "anycan: say which files to check. See --help.\n"


@pytest.mark.parametrize("command", ["check", "run", "show"])
def test_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"anycan gateway {command}" in out.partition("Examples")[2]


def test_the_example() -> None:
    file = load_gateway_file(ROOT / "examples/gateway.toml")
    assert (file.name, len(file.rules)) == ("vehicle", 4)
    asked = file.rules[2].filter
    for data, passes in (
        ("0322F190", True),
        ("300000", True),
        ("0227F1", False),
        ("1022F1", False),
    ):
        assert asked.matches(Frame(0x7E0, bytes.fromhex(data))) is passes


def test_the_rules_of_the_guide(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/gateway-service.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 1
    for block in blocks:
        path = tmp_path / "door.toml"
        path.write_text(block, encoding="utf-8")
        assert load_gateway_file(path).rules


def test_the_guide_has_every_key_of_a_rule() -> None:
    page = (ROOT / "docs/how-to/gateway-service.md").read_text(encoding="utf-8")
    keys = {field.alias for field in attrs.fields(Rule)}
    table = page.partition("| Key | Value |")[2].partition("\n\n")[0]
    assert keys <= set(re.findall(r"`(\w+)`", table))
