"""What a goroutine inherits from its creator, what is its own, and what it lets go at its end."""

import contextvars
import gc
import sys
import weakref

import pytest

import gopoll
from gopoll import Chan, go, goexit, gosched, testing
from tests.support.parking import end


def test_context_variables_are_copied_at_go():
    """gevent issues 1407 and 1656: a token is never reset in another goroutine's context."""
    var = contextvars.ContextVar("var", default="unset")
    var.set("creator")

    def body():
        seen = [var.get()]
        token = var.set("child")
        gosched()
        seen.append(var.get())
        seen.append(go(var.get).result())
        var.reset(token)
        return [*seen, var.get()]

    g = go(body)
    var.set("later")
    gosched()
    assert g.result() == ["creator", "child", "child", "creator"]
    assert var.get() == "later"


def test_a_worker_has_no_context_of_its_last_goroutine():
    var = contextvars.ContextVar("var", default="unset")
    for i in range(20):
        assert go(lambda i=i: (var.set(i), var.get())[1]).result() == i
        assert go(var.get).result() == "unset"


class Thing:
    pass


def test_a_free_worker_keeps_no_context():
    var = contextvars.ContextVar("var")
    refs = []

    def body():
        thing = Thing()
        refs.append(weakref.ref(thing))
        var.set(thing)

    go(body).join()
    gc.collect()
    assert refs[0]() is None


@pytest.mark.parametrize("ends", ["returns", "raises", "goexit", "parked then ended"])
def test_nothing_of_a_goroutine_stays_when_it_ended(ends, panics):
    """Function, arguments, result and locals go when the handle goes; the worker keeps nothing."""
    thing = Thing()

    def body(arg):
        local = arg
        if ends == "raises":
            raise ValueError(local)
        if ends == "goexit":
            goexit()
        if ends == "parked then ended":
            Chan().recv()
        return Thing(), local

    refs = weakref.ref(thing), weakref.ref(body)
    g = go(body, thing)
    testing.wait_idle()
    if ends.startswith("parked"):
        end(g)
    del thing, g, body
    panics.clear()
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_no_exception_of_another_goroutine_is_in_sight():
    """A goroutine started inside an except block does not see the exception as its own."""

    def look():
        gosched()
        return sys.exc_info()

    try:
        raise ValueError
    except ValueError:
        g = go(look)
        assert g.result() == (None, None, None)
        assert isinstance(sys.exc_info()[1], ValueError)


def test_an_exception_being_handled_survives_a_switch():
    gate = Chan()

    def handle(error):
        try:
            raise error
        except type(error):
            gate.recv()
            return sys.exc_info()[1] is error

    goroutines = [go(handle, error) for error in (KeyError(1), ValueError(2))]
    testing.wait_idle()
    gate.close()
    assert [g.result() for g in goroutines] == [True, True]


def test_on_switch_saves_and_restores_around_every_park():
    """The slot for what Python keeps per OS thread: told False on leaving, True on coming back."""
    calls = []
    gate = Chan()

    def body():
        gopoll.current().on_switch = calls.append
        gate.recv()
        calls.append("between")
        gosched()  # to nobody
        other = go(calls.append, "other")
        gosched()
        gopoll.current().on_switch = None
        gosched()
        other.join()

    g = go(body)
    testing.wait_idle()
    assert calls == [False]
    gate.send(None)
    g.join()
    assert calls == [False, True, "between", False, "other", True]


def test_on_switch_hears_of_the_end_of_a_park_that_fails():
    """What it raises, or a signal handler inside of it, is raised by the park; nothing is torn."""
    calls = []
    gate = Chan()

    def on_switch(resumes):
        calls.append(resumes)
        if calls == [False]:
            raise KeyError("in between")

    def body():
        gopoll.current().on_switch = on_switch
        with pytest.raises(KeyError):
            gate.recv()
        value = gate.recv()
        gopoll.current().on_switch = None
        return value

    g = go(body)
    testing.wait_idle()
    assert calls == [False, True, False]
    gate.send("received")
    assert g.result() == "received"
    assert calls == [False, True, False, True]


def test_on_switch_is_put_away_when_the_goroutine_ends():
    calls = []

    def body():
        gopoll.current().on_switch = calls.append

    go(body).join()
    assert calls == [False]
