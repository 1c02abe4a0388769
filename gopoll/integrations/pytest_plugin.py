"""The pytest plugin; pytest finds it by itself where gopoll is installed.

    ==================================  ========================================================
    name                                what it does for a test
    ==================================  ========================================================
    ``gopoll_bubble``                   runs it in a bubble, which the fixture is
    ``gopoll_no_leaks``                 fails it if it leaves goroutines, descriptors or threads
    ``gopoll_seeded``                   lets chance decide who runs next; the source of it
    ``--gopoll-seed=N``                 the seed of that chance; so is ``gopoll_seed`` in the
                                        configuration. Without it each run has another one
    ``@pytest.mark.goroutine(seconds)`` runs it as a goroutine, which a watchdog ends
    ==================================  ========================================================

With ``GOPOLL_PATCH`` in the environment it patches the standard library, unless the interpreter has
done so when it started; with ``-p gopoll`` see `pytest_patch`.

It must cost nothing where nobody uses it: it imports what it needs when that is asked for.
"""

import os
import random
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from gopoll.testing import Bubble

__all__ = ["gopoll_bubble", "gopoll_no_leaks", "gopoll_seeded"]

T = TypeVar("T")

_failure = pytest.StashKey[BaseException]()  # of a test: what its function raised
_seed = pytest.StashKey[int]()  # of a run
_AROUND = {"gopoll_bubble", "gopoll_no_leaks"}  # fixtures that want to know whether the test failed


if os.environ.get("GOPOLL_PATCH") and "gopoll.monkey" not in sys.modules:
    from gopoll.integrations import startup

    try:
        startup.patch()
    except (ValueError, RuntimeError) as exc:
        raise pytest.UsageError(str(exc)) from None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the seed from the command line, or from the configuration."""
    what = "seed of the fixture gopoll_seeded: the same one repeats an order of goroutines"
    parser.getgroup("gopoll").addoption("--gopoll-seed", type=int, metavar="N", help=what)
    parser.addini("gopoll_seed", what)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "goroutine(timeout=60.0): run the test as a goroutine; fail it with the stacks of all "
        "goroutines if it still runs after so many seconds (None: never).",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which seed was chosen, if one was, and whether the standard library is patched."""
    words = []
    monkey = sys.modules.get("gopoll.monkey")
    if monkey is not None and monkey.patched():
        words.append(f"patched {len(monkey.patched())} modules")
    seed = _chosen_seed(config)
    if seed is not None:
        words.append(f"seed {seed}")
    return f"gopoll: {', '.join(words)}" if words else None


def _chosen_seed(config: pytest.Config) -> int | None:
    seed = config.getoption("--gopoll-seed")
    text = config.getini("gopoll_seed")
    if seed is None and text:
        try:
            seed = int(text)
        except ValueError:
            msg = f"gopoll_seed is an integer, got {text!r}"
            raise pytest.UsageError(msg) from None
    return seed  # type: ignore[no-any-return]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Run a marked test as a goroutine; remember the failure of one that has our fixtures."""
    marker = pyfuncitem.get_closest_marker("goroutine")
    fn = pyfuncitem.obj
    if marker is not None:
        from gopoll.integrations._watchdog import as_goroutine

        pyfuncitem.obj = as_goroutine(
            fn, *marker.args, show=lambda text: _show(pyfuncitem.config, text), **marker.kwargs
        )
    try:
        return (yield)
    except BaseException as exc:
        if not _AROUND.isdisjoint(pyfuncitem.fixturenames):
            pyfuncitem.stash[_failure] = exc
        raise
    finally:
        if marker is not None:
            pyfuncitem.obj = fn


def _show(config: pytest.Config, text: str) -> None:
    """Write on the real stderr, past whatever captures the output of tests."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)
    sys.stderr.write(text)
    sys.stderr.flush()


def _around(request: pytest.FixtureRequest, block: AbstractContextManager[T]) -> Iterator[T]:
    """Be in `block` during the test; a test that failed leaves it by its exception.

    So what a failure leaves behind is not reported as another failure.
    """
    value = block.__enter__()
    yield value
    failure = request.node.stash.get(_failure, None)
    if failure is None:
        block.__exit__(None, None, None)
    else:
        del request.node.stash[_failure]
        block.__exit__(type(failure), failure, failure.__traceback__)


@pytest.fixture
def gopoll_bubble(request: pytest.FixtureRequest) -> "Iterator[Bubble]":
    """The `gopoll.testing.bubble` in which the test runs."""
    from gopoll.testing import bubble

    yield from _around(request, bubble())


@pytest.fixture
def gopoll_no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if it leaves goroutines, descriptors or threads: `gopoll.testing.no_leaks`."""
    from gopoll.testing import no_leaks

    yield from _around(request, no_leaks())


@pytest.fixture
def gopoll_seeded(request: pytest.FixtureRequest) -> Iterator[random.Random]:
    """The chance that decides which goroutine of the test runs next: `gopoll.testing.seeded`."""
    from gopoll.testing import seeded

    config = request.config
    seed = _chosen_seed(config)
    if seed is None:
        seed = config.stash.setdefault(_seed, random.SystemRandom().getrandbits(32))
    request.node.add_report_section(
        "setup", "gopoll seed", f"--gopoll-seed={seed} repeats this order of goroutines\n"
    )
    with seeded(seed) as dice:
        yield dice
