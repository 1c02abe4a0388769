"""run(): main's value, main's error, and the end of the others."""

import contextvars

import pytest

import gopoll
from gopoll import Chan, go, gosched, run
from tests.support.parking import in_thread
from tests.support.script import run_script


def test_it_returns_what_main_returns():
    assert run(lambda *args, **kwargs: (args, kwargs), 1, a=2) == ((1,), {"a": 2})


def test_it_raises_what_main_raises():
    with pytest.raises(KeyError, match="main"):
        run({}.__getitem__, "main")


def test_main_is_the_calling_goroutine():
    assert run(gopoll.current) is gopoll.current()


def test_the_others_end_when_main_returns():
    """As in Go nobody waits for them; here their finally blocks run."""
    ran = []

    def other(who, ch):
        try:
            ch.recv()
        finally:
            ran.append(who)

    def main():
        goroutines = [go(other, who, Chan()) for who in range(3)]
        gosched()
        while not all(g.state == "chan receive" for g in goroutines):
            gosched()
        go(ran.append, "never started")
        return goroutines

    goroutines = run(main)
    assert sorted(ran) == [0, 1, 2]
    assert all(g.done for g in goroutines)
    assert gopoll.num_goroutine() == 1


def test_the_others_end_when_main_fails():
    ran = []

    def other():
        try:
            Chan().recv()
        finally:
            ran.append("other")

    def main():
        g = go(other)
        while g.state != "chan receive":
            gosched()
        raise ValueError

    with pytest.raises(ValueError):
        run(main)
    assert ran == ["other"]


def test_a_goroutine_may_wait_in_its_finally_block():
    ran = []

    def other():
        try:
            Chan().recv()
        finally:
            gopoll.sleep(0.001)
            ran.append(go(lambda: "started while ending").result())

    def main():
        g = go(other)
        while g.state != "chan receive":
            gosched()

    run(main)
    assert ran == ["started while ending"]


def test_it_can_be_called_again():
    assert [run(lambda i=i: go(int, i).result()) for i in range(3)] == [0, 1, 2]


def test_it_does_not_nest():
    with pytest.raises(RuntimeError, match="at the bottom of a thread"):
        run(run, int)
    g = go(run, int)
    with pytest.raises(RuntimeError, match="at the bottom of a thread"):
        g.result()
    assert run(int) == 0


def test_main_sees_the_context_of_the_caller():
    var = contextvars.ContextVar("var", default="unset")
    run(var.set, "set in main")
    assert var.get() == "set in main"


def test_handing_a_value_to_a_goroutine_that_ends():
    """It was received before the end came; the others, told at the same time, get nothing."""
    ch = Chan()
    got = []

    def other():
        got.append(ch.recv())
        Chan().recv()

    def main():
        g = go(other)
        while g.state != "chan receive":
            gosched()
        ch.send("last")

    run(main)
    assert got == ["last"]
    assert ch._receivers.first is None


def test_goroutines_that_refuse_are_reported():
    done = run_script(
        """
        import gopoll
        from gopoll.runtime import lifetime

        lifetime._GRACE = 0.01

        def stubborn(ch):
            while True:
                try:
                    ch.recv()
                except BaseException:
                    pass

        def main():
            gopoll.go(stubborn, ch)
            gopoll.gosched()
            return "main's value"

        ch = gopoll.Chan()
        print(gopoll.run(main))
        print(gopoll.num_goroutine(), ch.try_send("to nobody"))
        """
    )
    assert done.returncode == 0
    assert done.stdout == "main's value\n1 False\n"
    assert done.stderr.startswith(
        'gopoll: 1 goroutines refused to end:\n\ngoroutine 2 "stubborn" [chan receive]:\n'
    )


def test_without_run_nobody_is_waited_for():
    """The main thread just ends: as in Go, no deferred code of the others runs."""
    done = run_script(
        """
        import gopoll

        def other():
            try:
                gopoll.Chan().recv()
            finally:
                print("not in Go either")

        gopoll.go(other)
        gopoll.gosched()
        print("the end")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")


def test_the_keyboard_handler_is_given_back():
    done = run_script(
        """
        import signal
        import gopoll

        before = signal.getsignal(signal.SIGINT)
        inside = gopoll.run(lambda: (gopoll.go(int), signal.getsignal(signal.SIGINT))[1])
        print(inside is before, signal.getsignal(signal.SIGINT) is before)
        """
    )
    assert done.stdout == "False True\n"


def test_run_in_a_thread_leaves_main_alone():
    ch = Chan(1)
    assert in_thread(run, lambda: go(ch.send, "sent").join()) is None
    assert ch.recv() == "sent"
