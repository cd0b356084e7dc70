"""Everything that README and docs show: each page's Python is run, its output compared.

A block of Python that ends in ``anyio.run(...)`` or ``asyncio.run(...)`` is a program: it is run as
its reader has it, with what stands in the page's other blocks above it and nothing else. Those, the
parts, are run in their order in one namespace. The tutorial is one program, in parts.

``ANYCAN_NETWORK`` names the user-space network ``docs``, which is open with its interfaces while a
program runs. A block behind the comment ``<!-- output -->`` is what the Python before it prints.

Comments of their own hold Python up to ``-->`` that is not shown:

- ``<!-- run:``: run it behind the parts. It may call ``on_network(function, *interfaces)``, which
  runs a coroutine function on the network ``docs``. In README and the guides it prints nothing:
  what is shown there, the reader's own code prints;
- ``<!-- beside:``: run it in the loop of the next program, as another program on its network would.
  It has anycan's names, ``anyio``, ``network``, ``shows(text)`` to await an end of the output, and
  ``stop()``, which ends the program as Ctrl-C does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import pytest

import anycan
from rig.host import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from types import CodeType

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "docs/index.md",
    *sorted((ROOT / "docs").glob("[!_]*/*.md")),
]
_PIECE: Final = re.compile(
    r"""
    ^<!--\ (?P<use> run | beside ):\n (?P<hidden> .*? ) ^-->$
  | (?: ^<!--\ (?P<mark> output ) \ -->\n+ )?
    ^```(?P<language> \w+ )\n (?P<shown> .*? ) ^```$
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_PROGRAM: Final = re.compile(r"^(?:print\()?(?:anyio|asyncio)\.run\(", re.MULTILINE)
_ONE_PROGRAM: Final = {ROOT / "docs/tutorial/index.md"}
_GUIDES: Final = {ROOT / "README.md", *(ROOT / "docs/how-to").glob("*.md")}
_INTERFACES: Final = ("can0", "can1", "vcan0")
# Where can0 is a controller's; elsewhere it is a vcan.
_OF_A_CONTROLLER: Final = {
    ROOT / "docs/how-to/interfaces.md",
    ROOT / "docs/how-to/interfaces-boot.md",
    ROOT / "docs/how-to/link-down.md",
}


@attrs.frozen
class Piece:
    """Something of a page.

    Attributes:
        kind: part, program, run, beside or output.
        text: It.
        line: Where it begins on its page.
    """

    kind: str
    text: str
    line: int


def pieces(page: Path) -> Iterator[Piece]:
    source = page.read_text(encoding="utf-8")
    for match in _PIECE.finditer(source):
        group = "shown" if match["hidden"] is None else "hidden"
        if group == "hidden":
            kind = match["use"]
        elif match["mark"]:
            kind = "output"
        elif match["language"] != "python":
            continue
        elif page not in _ONE_PROGRAM and _PROGRAM.search(match[group]):
            kind = "program"
        else:
            kind = "part"
        yield Piece(kind, match[group], source.count("\n", 0, match.start(group)) + 1)


def compiled(page: Path, piece: Piece) -> CodeType:
    """Compile a piece so that a traceback names the line of the page."""
    text, before = piece.text, piece.line - 1
    if piece.kind == "beside":
        text, before = f"async def beside():\n{textwrap.indent(text, '    ')}", before - 1
    return compile("\n" * before + text, page, "exec")


@contextlib.contextmanager
def open_network(*interfaces: str, with_controller: bool = False) -> Iterator[anycan.UserNetwork]:
    with anycan.UserNetwork(name="docs") as network:
        for interface in interfaces or _INTERFACES:
            if with_controller and interface == "can0":
                network.add_can(interface, bitrate=500_000)
            else:
                network.add_vcan(interface, mtu=2060 if interface == "vcan0" else 72)
        yield network


class Stage:
    """What a page's Python runs on: a network, what is beside it, and its output."""

    def __init__(self) -> None:
        self.printed = io.StringIO()
        self.with_controller = False
        self._beside: CodeType | None = None
        self._run = anyio.run

    def on_network(self, function: Callable[[], Awaitable[object]], *interfaces: str) -> None:
        async def run() -> None:
            with open_network(*interfaces), anyio.fail_after(10):
                await function()

        self._run(run)

    def put_beside(self, code: CodeType) -> None:
        self._beside = code

    def run_anyio(self, function: Callable[..., Awaitable[Any]], *arguments: object) -> object:
        """Do what anyio.run does, with the network open and what is beside."""
        code, self._beside = self._beside, None
        result: object = None

        async def run() -> None:
            nonlocal result
            there = open_network(with_controller=self.with_controller)
            with there as network, anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    program = anyio.CancelScope()
                    if code is not None:
                        tasks.start_soon(self._play, code, network, program)
                    with program:
                        result = await function(*arguments)

        self._run(run)
        return result

    def run_asyncio(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """Do what asyncio.run does, with the network open and what is beside."""
        return self.run_anyio(lambda: coroutine)

    async def _play(
        self, code: CodeType, network: anycan.UserNetwork, program: anyio.CancelScope
    ) -> None:
        async def shows(text: str) -> None:
            while not self.printed.getvalue().endswith(text):  # noqa: ASYNC110 - print() has no event
                await anyio.sleep(0.001)

        namespace: dict[str, Any] = {name: getattr(anycan, name) for name in anycan.__all__}
        namespace |= {"anyio": anyio, "network": network, "shows": shows, "stop": program.cancel}
        exec(code, namespace)  # noqa: S102 - our own pages
        await anyio.wait_all_tasks_blocked()
        await namespace["beside"]()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    stage = Stage()
    monkeypatch.setenv("ANYCAN_NETWORK", "user:docs")
    monkeypatch.setattr(anyio, "run", stage.run_anyio)
    monkeypatch.setattr(asyncio, "run", stage.run_asyncio)
    monkeypatch.chdir(tmp_path)
    return stage


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, stage: Stage) -> None:
    parts: dict[str, Any] = {"__name__": "__page__"}
    stage.with_controller = page in _OF_A_CONTROLLER
    for piece in pieces(page):
        if piece.kind == "output":
            assert stage.printed.getvalue() == piece.text, f"{page}:{piece.line}"
            stage.printed = io.StringIO()
            continue
        code = compiled(page, piece)
        if piece.kind == "beside":
            stage.put_beside(code)
            continue
        before = stage.printed.getvalue()
        if piece.kind == "part":
            namespace = parts
        elif piece.kind == "program":
            namespace = dict(parts)
            stage.printed = io.StringIO()
        else:
            namespace = parts | {"on_network": stage.on_network}
        with contextlib.redirect_stdout(stage.printed):
            exec(code, namespace)  # noqa: S102 - our own pages
        if piece.kind == "run" and page in _GUIDES:
            assert stage.printed.getvalue() == before, f"{page}:{piece.line}"
    parts.clear()
    namespace = {}
    gc.collect()  # what was left open warns now


def test_every_block_of_python_is_found() -> None:
    for page in PAGES:
        source = page.read_text(encoding="utf-8")
        found = [piece for piece in pieces(page) if piece.kind != "output"]
        shown = len(re.findall(r"^\s*```+\s*python", source, re.MULTILINE))
        hidden = len(re.findall(r"<!-- (?:run|beside)", source))
        assert len(found) == shown + hidden, page
        assert source.count("<!-- output") == len(
            re.findall(r"^<!-- output -->\n", source, re.MULTILINE)
        )


def test_what_runs_a_loop_is_a_program() -> None:
    for page in _GUIDES:
        shown = page.read_text(encoding="utf-8").split("<!-- run:")
        source = "".join([shown[0], *(one.partition("-->")[2] for one in shown[1:])])
        programs = [piece for piece in pieces(page) if piece.kind == "program"]
        assert len(programs) == len(re.findall(r"(?:anyio|asyncio)\.run\([^…]", source)), page


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
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            f"--cache-dir={ROOT / '.mypy_cache/pages'}",
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
