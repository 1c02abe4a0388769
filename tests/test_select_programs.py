"""Select under load: fairness, exclusion, order of locks, memory."""

import tracemalloc
from collections import Counter

import pytest

from gopoll import Chan, default, go, select, testing
from tests.support.parking import end, parked


def test_each_ready_case_has_the_same_chance():
    """runtime/chan_test.go, TestSelectFairness: both channels are always ready."""
    a, b = Chan(), Chan()
    for ch in (a, b):
        ch.close()
    with testing.seeded(1):
        counts = Counter(select(a.recv, b.recv, Chan().recv)[0] for _ in range(4000))
    assert set(counts) == {0, 1}
    assert min(counts.values()) > 1800  # 2000 expected, 32 the standard deviation


@pytest.mark.parametrize("cases", [2, 3, 7])
def test_the_choice_is_uniform_whatever_the_number_of_cases(cases):
    channels = [Chan() for _ in range(cases)]
    for ch in channels:
        ch.close()
    with testing.seeded(cases):
        counts = Counter(select(*(ch.recv for ch in channels))[0] for _ in range(1000 * cases))
    assert len(counts) == cases
    assert all(850 < count < 1150 for count in counts.values())


def test_random_sends_fill_with_both_values():
    """runtime/chan_test.go, TestPseudoRandomSend."""
    for cap in (0, 100):
        ch = Chan(cap)
        got = []

        def receive(ch=ch, got=got):
            got.extend(ch.recv() for _ in range(100))

        g = go(receive)
        for _ in range(100):
            select((ch.send, 0), (ch.send, 1))
        g.join()
        assert 10 < sum(got) < 90


def test_the_choice_is_as_random_for_a_select_that_waited():
    """runtime/select.go: cases on one channel are queued in random order, too."""
    ch = Chan()
    chosen = Counter()
    for _ in range(100):
        g = parked(select, (ch.send, 0), (ch.send, 1))
        chosen[ch.recv()] += 1
        g.join()
        g = parked(select, ch.recv, ch.recv)
        ch.send(None)
        chosen["recv", g.result()[0]] += 1
    assert set(chosen) == {0, 1, ("recv", 0), ("recv", 1)}


def test_two_cases_of_one_select_never_both_run():
    """test/chan/doubleselect.go: each number arrives once, by whichever channel."""
    total = 2000
    channels = [Chan() for _ in range(4)]
    funnel = Chan()

    def send():
        for i in range(total):
            select(*((ch.send, i) for ch in channels))
        for ch in channels:
            ch.close()

    def pass_on(ch):
        for value in ch:
            funnel.send(value)

    go(send)
    carriers = [go(pass_on, ch) for ch in channels]

    def finish():
        for g in carriers:
            g.join()
        funnel.close()

    go(finish)
    assert Counter(funnel) == dict.fromkeys(range(total), 1)


def test_a_receiving_select_takes_one_value_at_a_time():
    a, b = Chan(), Chan()
    senders = [go(lambda ch=ch: [ch.send(i) for i in range(500)]) for ch in (a, b)]
    got = Counter(select(a.recv, b.recv)[0] for _ in range(1000))
    assert got == {0: 500, 1: 500}
    for g in senders:
        g.result()


def test_every_shape_of_sender_and_receiver_at_once():
    """runtime/chan_test.go, TestSelectStress: four channels, two of them buffered."""
    rounds = 400
    channels = [Chan(), Chan(), Chan(2), Chan(3)]
    senders = [go(lambda ch=ch: [ch.send(0) for _ in range(rounds)]) for ch in channels]
    receivers = [go(lambda ch=ch: [ch.recv() for _ in range(rounds)]) for ch in channels]

    def selecting_sender():
        left = [rounds] * 4
        live = list(channels)
        while any(left):
            cases = [(ch.send, 0) for ch in live if ch is not None]
            index, _ = select(*cases)
            ch = cases[index][0].__self__
            where = channels.index(ch)
            left[where] -= 1
            if not left[where]:
                live[where] = None

    def selecting_receiver():
        left = [rounds] * 4
        live = list(channels)
        while any(left):
            cases = [ch.recv for ch in live if ch is not None]
            index, _ = select(*cases)
            where = channels.index(cases[index].__self__)
            left[where] -= 1
            if not left[where]:
                live[where] = None

    everybody = [*senders, *receivers, go(selecting_sender), go(selecting_receiver)]
    for g in everybody:
        g.result()
    for ch in channels:
        assert (ch._senders.first, ch._receivers.first, len(ch)) == (None, None, 0)


def test_selects_do_not_grow_memory():
    """test/chan/select2.go: a hundred thousand selects on a channel that is never used."""
    used, unused = Chan(), Chan()

    def send(rounds):
        for i in range(rounds):
            select((used.send, i), unused.recv)

    def receive(rounds):
        for _ in range(rounds):
            select(unused.recv, used.recv)

    def both(rounds):
        sender = go(send, rounds)
        receive(rounds)
        sender.result()

    both(200)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        both(5_000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 50_000  # ten bytes for each would be as much


def test_polling_with_default_between_two_goroutines():
    """test/chan/nonblock.go, select with default on both sides, until they meet."""
    ch, done = Chan(), Chan(1)

    def poll():
        looks = 0
        while select(ch.recv, default)[0] == 1:
            looks += 1
            select(done.recv, default)  # a select that never parks gives way by itself
        return looks

    g = go(poll)
    while not ch.try_send(1):
        if select((ch.send, 1))[0] == 0:
            break
    assert g.result() >= 0
    assert not len(done)


def test_many_selects_wait_on_one_channel_and_each_is_served_once():
    work, stop = Chan(), Chan()
    waiting = [parked(select, work.recv, stop.recv_ok) for _ in range(20)]
    for i in range(10):
        work.send(i)
    testing.wait_idle()
    served = [g for g in waiting if g.done]
    assert [g.result() for g in served] == [(0, i) for i in range(10)]
    assert served == waiting[:10]  # in the order of their coming
    stop.close()
    for g in waiting[10:]:
        assert g.result() == (1, (None, False))
    assert work._receivers.first is None


def test_a_goroutine_that_selects_for_ever_can_be_ended():
    a, b = Chan(), Chan()

    def body():
        try:
            while True:
                select(a.recv, (b.send, 1))
        finally:
            a.close()

    g = parked(body)
    a.send(1)
    assert b.recv() == 1
    testing.wait_idle()
    end(g)
    assert a.recv_ok() == (None, False)
