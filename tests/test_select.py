"""What one select does: which case, which answer, what it leaves behind, what it refuses."""

import gc
import weakref

import pytest

import gopoll
from gopoll import Chan, ChannelClosed, default, go, nil_chan, select, testing
from tests.support.parking import end, outcome, parked


def closed(*values):
    ch = Chan(len(values))
    for value in values:
        ch.send(value)
    ch.close()
    return ch


def full():
    ch = Chan(1)
    ch.send("old")
    return ch


# -- test/chan/select3.go: what blocks, what goes on, what fails ---------------------------------

BLOCKS = {
    "no cases": list,
    "nil recv": lambda: [nil_chan.recv],
    "nil send": lambda: [(nil_chan.send, 1)],
    "nil both": lambda: [nil_chan.recv_ok, (nil_chan.send, 1)],
    "empty unbuffered recv": lambda: [Chan().recv],
    "empty unbuffered send": lambda: [(Chan().send, 1)],
    "empty buffered recv": lambda: [Chan(1).recv],
    "full buffered send": lambda: [(full().send, 1)],
}
GOES_ON = {
    "full recv": (lambda: [full().recv], (0, "old")),
    "full recv_ok": (lambda: [full().recv_ok], (0, ("old", True))),
    "room send": (lambda: [(Chan(1).send, 1)], (0, None)),
    "closed recv": (lambda: [closed().recv], (0, None)),
    "closed recv_ok": (lambda: [closed().recv_ok], (0, (None, False))),
    "closed, not drained": (lambda: [closed(7).recv_ok], (0, (7, True))),
    "default alone": (lambda: [default], (0, None)),
    "default beside nil": (lambda: [nil_chan.recv, default, (nil_chan.send, 1)], (1, None)),
    "default beside empty": (lambda: [Chan().recv, (Chan().send, 1), default], (2, None)),
    "nil counts": (lambda: [nil_chan.recv, nil_chan.recv, full().recv], (2, "old")),
    "default not needed": (lambda: [default, full().recv], (1, "old")),
}


@pytest.mark.parametrize("cases", BLOCKS.values(), ids=BLOCKS)
def test_what_blocks(cases):
    g = parked(lambda: select(*cases()))
    assert g.state.startswith("select")
    end(g)


@pytest.mark.parametrize(("cases", "answer"), GOES_ON.values(), ids=GOES_ON)
def test_what_goes_on(cases, answer):
    assert select(*cases()) == answer


@pytest.mark.parametrize("beside", [[], [default], [Chan().recv]])
def test_a_send_on_a_closed_channel_is_ready_and_fails(beside):
    with pytest.raises(ChannelClosed, match=r"^send on closed channel$"):
        select((closed().send, 1), *beside)


def test_a_select_without_cases_says_what_it_waits_for():
    """runtime/select.go: the wait reason of `select {}`."""
    g = parked(select)
    assert g.state == "select (no cases)"
    end(g)


# -- being woken -------------------------------------------------------------------------------


def test_a_waiting_select_gets_the_value_and_the_index():
    a, b = Chan(), Chan()
    for ch, method, answer in ((a, "recv", (0, "x")), (b, "recv_ok", (1, ("x", True)))):
        g = parked(select, a.recv, b.recv_ok)
        ch.send("x")
        assert g.result() == answer, method


def test_a_waiting_select_sends_the_value_of_the_chosen_case_only():
    a, b = Chan(), Chan()
    g = parked(select, (a.send, "to a"), (b.send, "to b"))
    assert b.recv() == "to b"
    assert g.result() == (1, None)
    assert a.try_recv() == (None, False)


def test_a_select_that_waits_is_ended_by_close():
    a, b = Chan(), Chan()
    g = parked(select, a.recv, b.recv_ok)
    b.close()
    assert g.result() == (1, (None, False))
    g = parked(outcome, select, a.recv, (a.send, 1))
    a.close()
    answer = g.result()
    assert answer == (0, None) or repr(answer) == "ChannelClosed('send on closed channel')"
    g = parked(outcome, select, ((c := Chan()).send, 1))
    c.close()
    assert repr(g.result()) == "ChannelClosed('send on closed channel')"


@pytest.mark.parametrize("serves", ["send", "recv", "close", "interrupt"])
def test_losers_leave_their_queues(serves):
    """test/chan/select6.go (issue 2075): a select served elsewhere leaves nothing behind."""
    winner, loser = Chan(), Chan()
    g = parked(outcome, select, winner.recv, loser.recv, (winner.send, 1), (loser.send, 2))
    assert loser._receivers.first is not None
    assert loser._senders.first is not None
    if serves == "send":
        winner.send("value")
    elif serves == "recv":
        assert winner.recv() == 1
    elif serves == "close":
        winner.close()
    else:
        g.sched.interrupt(g, KeyError("interrupt"))
    g.join()
    for ch in (winner, loser):
        assert ch._receivers.first is ch._receivers.last is None
        assert ch._senders.first is ch._senders.last is None


def test_whoever_waits_behind_a_loser_is_served():
    """test/chan/select6.go: the queue is sound for the goroutine behind the select."""
    a, b = Chan(), Chan()
    first = parked(select, a.recv, b.recv)
    second = parked(b.recv)
    a.send("for the first")
    b.send("for the second")
    assert first.result() == (0, "for the first")
    assert second.result() == "for the second"


def test_a_loser_that_has_not_run_yet_is_passed_over():
    """The select was served by a, but still stands in b's queue when b is sent to."""
    a, b = Chan(), Chan()
    g = parked(select, a.recv, b.recv)
    a.send(1)
    assert b.try_send(2) is False
    assert g.result() == (0, 1)
    h = parked(select, (a.send, 3), (b.send, 4))
    assert a.recv() == 3
    assert b.try_recv() == (None, False)
    assert h.result() == (0, None)


def test_an_interrupted_select_takes_no_value_with_it():
    a, b = Chan(), Chan()
    g = parked(select, a.recv, (b.send, "withdrawn"))
    end(g)
    assert a.try_send("kept") is False
    assert b.try_recv() == (None, False)


# -- the same channel twice ----------------------------------------------------------------------


def test_a_channel_may_be_named_twice():
    """runtime/chan_test.go, TestSelectDuplicateChannel."""
    c, d, e = Chan(), Chan(), Chan()
    g = parked(select, c.recv, c.recv, e.recv)
    behind = parked(c.recv)
    e.send(None)
    assert g.result() == (2, None)
    c.send("behind")
    assert behind.result() == "behind"
    g = parked(select, d.recv, d.recv)
    d.send(7)
    index, value = g.result()
    assert index in {0, 1}
    assert value == 7
    assert d._receivers.first is None


@pytest.mark.parametrize("cap", [0, 10])
def test_a_select_never_talks_to_itself(cap):
    """runtime/chan_test.go, TestSelfSelect: two goroutines that both offer and ask."""
    ch = Chan(cap)
    rounds = 200

    def both(mine):
        for i in range(rounds):
            if i % 2:
                index, value = select((ch.send, mine), ch.recv)
                received = index == 1
            else:
                index, value = select(ch.recv, (ch.send, mine))
                received = index == 0
            if received and cap == 0:
                assert value != mine

    goroutines = [go(both, who) for who in range(2)]
    for g in goroutines:
        g.result()
    assert ch._receivers.first is ch._senders.first is None


def test_alone_a_select_in_both_directions_waits():
    ch = Chan()
    g = parked(select, ch.recv, (ch.send, 1))
    end(g)
    assert ch._receivers.first is ch._senders.first is None


# -- operands ------------------------------------------------------------------------------------


def test_operands_are_evaluated_once_and_in_order():
    """test/chan/select.go and test/chan/select5.go."""
    seen = []

    def note(what, value):
        seen.append(what)
        return value

    ch = Chan(1)
    answer = select(
        note("a", nil_chan).recv,
        (note("b", ch).send, note("c", 42)),
        (note("d", nil_chan).send, note("e", 1)),
        note("f", default),
    )
    assert answer == (1, None)
    assert seen == list("abcdef")
    assert ch.recv() == 42


def test_switching_a_case_off_with_the_nil_channel():
    """test/chan/select.go: two channels are used alternately, the other one being nil."""
    sink = Chan()
    g = go(lambda: list(sink))
    odd, even = sink, nil_chan
    for i in range(10):
        index, _ = select((even.send, ("even", i)), (odd.send, ("odd", i)))
        assert index == (1 if odd is sink else 0)
        odd, even = even, odd
    sink.close()
    assert g.result() == [("even" if i % 2 else "odd", i) for i in range(10)]


@pytest.mark.parametrize("second", [0, 1])
def test_what_a_select_waits_with_it_also_receives(second):
    """test/chan/select4.go and select7.go: the value arrives however the select was entered."""
    for receive in (
        lambda ch: ch.recv(),
        lambda ch: select(ch.recv)[1],
        lambda ch: select(ch.recv_ok)[1][0],
        lambda ch: select(ch.recv, nil_chan.recv)[1],
        lambda ch: select(nil_chan.recv, ch.recv_ok)[1][0],
    ):
        for send in (
            lambda ch, v: ch.send(v),
            lambda ch, v: select((ch.send, v)),
            lambda ch, v: select((nil_chan.send, 0), (ch.send, v)),
            lambda ch, v: select((ch.send, v), nil_chan.recv),
        ):
            ch = Chan()
            first, later = (lambda: receive(ch)), (lambda: send(ch, 8))  # noqa: B023
            g = parked(later if second == 0 else first)
            h = go(first if second == 0 else later)
            assert 8 in {g.result(), h.result()}


# -- refusals ------------------------------------------------------------------------------------


class Impostor:
    def recv(self):
        return 1


@pytest.mark.parametrize(
    "case",
    [
        None,
        1,
        print,
        Chan(),
        Chan().send,
        Chan().close,
        Chan().try_recv,
        (Chan().recv, 1),
        (Chan().send,),
        (Chan().send, 1, 2),
        [Chan().send, 1],
        (Chan().try_send, 1),
        Impostor().recv,
        Chan.recv,
        (default, 1),
    ],
    ids=repr,
)
def test_what_is_no_case(case):
    other = Chan(1)
    with pytest.raises(TypeError, match=r"^case 1 of select\(\) is .* a case is ch.recv"):
        select((other.send, 1), case, default)
    assert len(other) == 0  # nothing is done before all cases are understood


def test_two_defaults():
    with pytest.raises(TypeError, match="two defaults"):
        select(default, default)


def test_default_shows_itself():
    assert repr(default) == "default"


def test_a_select_keeps_neither_values_nor_channels():
    """test/chan/select2.go: no memory grows with the number of selects."""

    class Thing:
        pass

    a, b = Chan(), Chan()
    thing = Thing()
    refs = weakref.ref(thing), weakref.ref(b)
    g = parked(select, a.recv, (b.send, thing))
    a.send(1)
    g.join()
    del thing, b, g
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_a_ready_select_takes_the_yield_before_the_operation():
    a = Chan(1)
    a.send("taken by the other")
    other = go(lambda: [a.recv(), a.send("left")])
    gopoll.current().sched.operations = 0
    assert select(a.recv, default) == (0, "left")
    other.join()


def test_a_select_waiting_under_a_deadline_of_its_joiner_goes_on():
    a = Chan()
    with testing.fake_clock() as clock:
        g = parked(select, a.recv, nil_chan.recv)
        joiner = parked(outcome, g.join, 1)
        clock.advance(1)
        assert isinstance(joiner.result(), TimeoutError)
    a.send(5)
    assert g.result() == (0, 5)
