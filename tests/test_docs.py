"""What README and guide show is what happens."""

import re
from functools import reduce
from pathlib import Path

import pytest

import gopoll
from gopoll import runtime
from tests.support.script import ROOT, run_script

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"`gopoll\.([a-z_][\w.]*)")

# What the snippets of each page print, in order; a text that ends in ... is the beginning.
OUTPUTS = {
    "README.md": ["hello, gopher\n"],
    "docs/asyncio.md": [
        "first is here\nsecond is here\n",
        "0\n1\n2\ncounted\n",
        "['A', 'B', 'C']\n",
        "timed out after 0.01 seconds\ntimed out after 0.01 seconds\n",
    ],
    "docs/channels.md": ["0\n1\n2\n", "...", "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n"],
    "docs/context.md": [
        "0 1 2\nstopped: context canceled\n",
        "True\ncontext deadline exceeded\n",
        "clean up because of RuntimeError('shutting down')\n",
        "c gives up\na gives up\nfailed: no b\n[0, 1, 4, 9, 16]\n",
    ],
    "docs/debugging.md": ["goroutine ..."],
    "docs/files.md": ["b'through a pipe\\n'\nnobody wrote in time\n", "['one', 'two']\n"],
    "docs/gevent.md": ["timed out after 0.01 seconds True False\n", "3\n", "[0, 1, 4, 9, 16]\n"],
    "docs/go.md": [
        "5\n",
        "received hello True\n",
        "open a\nopen b\nclose b\nclose a\ndone\n",
        "100\n",
        "no such user\n",
        "context deadline exceeded\n",
        "3.0 hours\n",
        "b'hello'\n",
    ],
    "docs/goroutines.md": [
        "first is here\nsecond is here\ndone\n",
        "True\n",
        "all goroutines are asleep - deadlock!\n",
        "the end\n",
    ],
    "docs/index.md": ["b'hello\\n'\n"],
    "docs/install.md": ["6\n"],
    "docs/monkey.md": [
        "332833500 in less than 10 seconds: True\n",
        "True False\ngopoll.monkey\n  time  ...",
        "False\nTrue\n",
    ],
    "docs/network.md": [
        "b'HELLO'\n",
        "True\n",
        "True\n",
        "nobody wrote in time\nb'late'\n",
        "b'ping' 127.0.0.1\n",
    ],
    "docs/processes.md": [
        "0 b'bear\\ngopher\\n'\ntimed out after 0.01 seconds and it ended with -15\n",
        "b'hello\\n'\n0\n",
        "3\n",
    ],
    "docs/signals.md": ["SIGTERM\n", "{'interrupt signal received'}\n"],
    "docs/sync.md": [
        "100\n",
        "loading\n['blue', 'blue', 'blue']\n",
        "one soup\nno more orders\n",
        "10 pages, at most 3 at a time\n",
        "fetching\n[('the page', True), ('the page', True), ('the page', True)]\n",
        "True\n",
    ],
    "docs/testing.md": [
        "",
        "the block is over, and the goroutines in the bubble are asleep - deadlock!\n",
        "",
        "",
        "",
        "1 goroutines were left behind:\n",
        "",
    ],
    "docs/time.md": [
        "timed out after 0.01 seconds\n",
        (
            "attempt 0 expired: True\nonce more; all in all expired: False\n"
            "attempt 1 expired: True\nonce more; all in all expired: False\n"
        ),
        "nothing new\n",
        "True\n8.0\nFalse\n",
        "10.0\n40.0\n",
        "quiet so far\nnothing heard for 30 seconds\n",
    ],
    "docs/watch.md": ["CREATE news.txt\nRENAME news.txt\nCREATE old news.txt\n", "1000 False\n"],
}


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def snippets():
    for path in PAGES:
        for number, found in enumerate(SNIPPET.finditer(path.read_text("utf-8")), 1):
            yield pytest.param(found[1], page_name(path), number, id=f"{page_name(path)}-{number}")


@pytest.mark.parametrize(("code", "page", "number"), list(snippets()))
def test_snippets_run_and_print_what_they_say(code, page, number):
    done = run_script(code, PYTHONWARNINGS="error")
    assert (done.returncode, done.stderr) == (0, "")
    expected = OUTPUTS[page][number - 1]
    if expected.endswith("..."):
        assert done.stdout.startswith(expected.removesuffix("..."))
    else:
        assert done.stdout == expected


def test_every_snippet_is_known():
    found = {page_name(path): len(SNIPPET.findall(path.read_text("utf-8"))) for path in PAGES}
    assert {page: n for page, n in found.items() if n} == {p: len(o) for p, o in OUTPUTS.items()}


def test_every_name_exists():
    names = {name for path in PAGES for name in NAME.findall(path.read_text("utf-8"))}
    assert len(names) > 5
    for name in names:
        assert reduce(getattr, name.split("."), gopoll) is not None


def test_the_plan_names_every_module():
    plan = (ROOT / "docs" / "design.md").read_text("utf-8").split("```")[1].split()
    for room in (Path(gopoll.__file__).parent, Path(runtime.__file__).parent):
        for path in room.iterdir():
            if path.name.startswith("__") or path.suffix not in ("", ".py"):
                continue
            name = path.stem + "/" * path.is_dir()
            assert name in plan or name == "_typing", name


def test_every_file_that_the_readme_names_is_there():
    text = (ROOT / "README.md").read_text("utf-8")
    paths = re.findall(r"`((?:gopoll|examples|tests|docs|\.ci)/[\w./]*)`", text)
    assert len(paths) > 5
    for path in paths:
        assert (ROOT / path).exists(), path
