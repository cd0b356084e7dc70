"""Everything that README and docs show: each page's Python is run, its output compared.

A page's Python blocks run in their order in one namespace, with ``ANYCAN_NETWORK`` naming the
user-space network ``docs`` where a hidden block opens one. In the page's source, a comment before
a block tells what to do with it:

- ``<!-- no-run: REASON -->``: compile it only;
- ``<!-- output -->``: no Python, but what the Python before it prints.

A comment of its own, ``<!-- run:`` and Python up to ``-->``, is run and not shown. It may call
``on_network(function, *interfaces)``, which runs a coroutine function on the network ``docs``.
"""

from __future__ import annotations

import contextlib
import gc
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import pytest

import anycan
from rig.host import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "docs/index.md",
    *sorted((ROOT / "docs").glob("[!_]*/*.md")),
]
_PIECE: Final = re.compile(
    r"""
    ^<!--\ run:\n (?P<hidden> .*? ) ^-->$
  | (?: ^<!--\ (?P<mark> no-run:\ [^\n]*? | output ) \ -->\n+ )?
    ^```(?P<language> \w+ )\n (?P<shown> .*? ) ^```$
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_INTERFACES: Final = ("can0", "can1", "vcan0")


@attrs.frozen
class Piece:
    """Python to run, to compile, or what Python printed."""

    kind: str
    text: str
    line: int


def pieces(page: Path) -> Iterator[Piece]:
    source = page.read_text(encoding="utf-8")
    for match in _PIECE.finditer(source):
        mark = match["mark"] or ""
        if match["hidden"] is not None:
            kind, group = "run", "hidden"
        elif mark == "output":
            kind, group = "output", "shown"
        elif match["language"] == "python":
            kind, group = "compile" if mark else "run", "shown"
        else:
            continue
        yield Piece(kind, match[group], source.count("\n", 0, match.start(group)) + 1)


def on_network(function: Callable[[], Awaitable[object]], *interfaces: str) -> None:
    """Run a coroutine function on a user-space network that ANYCAN_NETWORK names."""

    async def run() -> None:
        async with anycan.UserNetwork(name="docs") as network:
            for interface in interfaces or _INTERFACES:
                network.add_vcan(interface, mtu=2060 if interface == "vcan0" else 72)
            with anyio.fail_after(10):
                await function()

    anyio.run(run)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANYCAN_NETWORK", "user:docs")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__page__", "on_network": on_network}
    printed = io.StringIO()
    for piece in pieces(page):
        if piece.kind == "output":
            assert printed.getvalue() == piece.text, f"{page}:{piece.line}"
            printed = io.StringIO()
            continue
        # The lines before it are blank, so that a traceback names the line of the page.
        code = compile("\n" * (piece.line - 1) + piece.text, page, "exec")
        if piece.kind == "run":
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)  # noqa: S102 - our own pages
    namespace.clear()
    gc.collect()  # what was left open warns now


def test_every_block_of_python_is_found() -> None:
    for page in PAGES:
        source = page.read_text(encoding="utf-8")
        found = [piece for piece in pieces(page) if piece.kind in {"run", "compile"}]
        shown = len(re.findall(r"^\s*```+\s*python", source, re.MULTILINE))
        hidden = source.count("<!-- run:")
        assert len(found) == shown + hidden, page
        assert source.count("<!-- output") == len(
            re.findall(r"^<!-- output -->\n", source, re.MULTILINE)
        )
        assert source.count("<!-- no-run") == sum(piece.kind == "compile" for piece in found), page


def test_the_reference_has_every_public_name() -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md")]
    documented = re.findall(r"^\.\. auto\w+:: (\w+)$", "\n".join(pages), re.MULTILINE)
    assert sorted(documented) == sorted(anycan.__all__)


def test_the_exception_tree_is_the_one_of_the_code() -> None:
    page = (ROOT / "docs/reference/exceptions.md").read_text(encoding="utf-8")
    tree = re.search(r"^CanError\n(?:[├│└ ].*\n)+", page, re.MULTILINE)
    documentation = anycan.CanError.__module__
    module = __import__(documentation, fromlist=["__doc__"])
    assert tree is not None
    shown = [line.strip() for line in tree[0].splitlines()]
    assert shown == [
        line.strip() for line in (module.__doc__ or "").splitlines() if line.strip() in shown
    ]


def test_the_commands_of_the_readme_are_marked_and_one_line_each() -> None:
    source = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = dict(
        re.findall(r"^<!-- command: (\w+) -->\n+```sh\n(.*)\n```$", source, re.MULTILINE)
    )
    environment = "python3 -m venv .venv && . .venv/bin/activate && "
    assert commands == {
        "run": environment + "pip install '.[cli]' && anycan demo",
        "test": environment + "pip install -e '.[test]' && pytest",
    }


def test_the_packages_of_the_kernel_lab_are_those_that_the_pages_name() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        assert " ".join(PACKAGES) in (ROOT / page).read_text(encoding="utf-8")


def test_links_between_pages_lead_somewhere() -> None:
    others = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*PAGES, *others]
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_pages_type_check(tmp_path: Path) -> None:
    for page in PAGES:
        blocks = [
            match["shown"]
            for match in _PIECE.finditer(page.read_text(encoding="utf-8"))
            if match["language"] == "python"
        ]
        name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
        (tmp_path / f"page_{name}.py").write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - our own pages
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-incremental"),
            "--config-file=",
            # A page shows one program after the other, and says what is not equal.
            *("--disable-error-code=no-redef", "--disable-error-code=comparison-overlap"),
            ".",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
