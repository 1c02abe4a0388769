"""Whole programs on channels, with answers that are known."""

from collections import Counter
from fractions import Fraction
from random import Random

import pytest

import gopoll
from gopoll import Chan, default, go, select, testing
from tests.support.parking import end, parked


def chain_link(left, right):
    left.send(1 + right.recv())


@pytest.mark.scale
def test_a_chain_of_ten_thousand_goroutines():
    """test/chan/goroutines.go."""
    leftmost = left = Chan()
    for _ in range(10_000):
        right = Chan()
        go(chain_link, left, right)
        left = right
    go(left.send, 0)
    assert leftmost.recv() == 10_000


def test_the_prime_sieve():
    """test/chan/sieve1.go: a filter for each prime, chained by channels."""
    numbers = Chan()
    running = []

    def generate(ch):
        number = 2
        while True:
            ch.send(number)
            number += 1

    def keep_others(source, sink, prime):
        while True:
            number = source.recv()
            if number % prime:
                sink.send(number)

    running.append(go(generate, numbers))
    primes = []
    for _ in range(25):
        prime = numbers.recv()
        primes.append(prime)
        filtered = Chan()
        running.append(go(keep_others, numbers, filtered, prime))
        numbers = filtered
    testing.wait_idle()
    end(*running)
    # fmt: off
    assert primes == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71,
                      73, 79, 83, 89, 97]
    # fmt: on


class Series:
    """test/chan/powser1.go: a power series is a goroutine that sends its coefficients."""

    def __init__(self):
        self.running = []

    def start(self, coefficients):
        ch = Chan()

        def send():
            for value in coefficients:
                ch.send(value)
            ch.close()

        self.running.append(go(send))
        return ch

    def split(self, source):
        """Two channels with the same values; neither reader may be far ahead of the other."""
        copies = Chan(20), Chan(20)

        def copy():
            for value in source:
                for ch in copies:
                    ch.send(value)

        self.running.append(go(copy))
        return copies

    def add(self, f, g):
        def values():
            while True:
                a, more_a = f.recv_ok()
                b, more_b = g.recv_ok()
                if not (more_a or more_b):
                    return
                yield (a or 0) + (b or 0)

        return self.start(values())

    def multiply(self, f, g):
        def values():
            left, right = [], []
            while True:
                left.append(f.recv() or 0)
                right.append(g.recv() or 0)
                yield sum(a * b for a, b in zip(left, reversed(right), strict=True))

        return self.start(values())

    def integrate(self, f, constant):
        def values():
            yield constant
            n = 1
            while True:
                yield Fraction(f.recv()) / n
                n += 1

        return self.start(values())

    def differentiate(self, f):
        def values():
            f.recv()
            n = 1
            while True:
                yield n * f.recv()
                n += 1

        return self.start(values())


def take(ch, n):
    return [ch.recv() for _ in range(n)]


def test_power_series():
    """test/chan/powser1.go: sums, products, derivatives and the exponential series."""
    series = Series()

    def repeat(value):
        while True:
            yield value

    ones = series.start(repeat(Fraction(1)))
    twos = series.add(ones, series.start(repeat(Fraction(1))))
    assert take(twos, 8) == [2] * 8

    squares = series.multiply(series.start(repeat(1)), series.start(repeat(1)))
    assert take(squares, 8) == [1, 2, 3, 4, 5, 6, 7, 8]

    assert take(series.differentiate(series.start(repeat(1))), 5) == [1, 2, 3, 4, 5]

    # exp is the integral of itself: a loop of goroutines that feed each other.
    loop = Chan(1)
    exp, back = series.split(series.integrate(loop, Fraction(1)))

    def feed():
        while True:
            loop.send(back.recv())

    series.running.append(go(feed))
    factors = [Fraction(1), Fraction(1), Fraction(1, 2), Fraction(1, 6), Fraction(1, 24)]
    assert take(exp, 5) == factors
    testing.wait_idle()
    end(*series.running)


@pytest.mark.parametrize("cap", [0, 1, 10])
def test_many_senders_and_receivers_lose_and_double_nothing(cap):
    """runtime/chan_test.go, TestChan: 10 senders, 10 receivers, nothing sent twice or lost."""
    ch = Chan(cap)
    everybody, rounds = 10, 100

    def send():
        for i in range(rounds):
            ch.send(i)

    def receive():
        return [ch.recv() for _ in range(rounds)]

    for _ in range(everybody):
        go(send)
    receivers = [go(receive) for _ in range(everybody)]
    seen = Counter(value for g in receivers for value in g.result())
    assert seen == dict.fromkeys(range(rounds), everybody)
    assert ch._senders.first is None
    assert ch._receivers.first is None
    assert len(ch) == 0


@pytest.mark.parametrize("cap", [0, 3])
def test_several_consumers_share_the_work(cap):
    """runtime/chan_test.go, TestMultiConsumer: workers with and without a stop in between."""
    primes = [2, 3, 7, 11, 13, 17, 19, 23, 27, 31]
    dice = Random(7)
    work, results = Chan(cap), Chan(cap)

    def consume():
        for value in work:
            if not dice.randrange(len(primes)):
                gopoll.gosched()
            results.send(value)

    workers = [go(consume) for _ in range(5)]

    def feed():
        for i in range(500):
            work.send(primes[i % len(primes)])
        work.close()
        for g in workers:
            g.join()
        results.close()

    go(feed)
    assert Counter(results) == dict.fromkeys(primes, 50)


def test_a_try_never_misses_a_value_that_was_sent_before():
    """runtime/chan_test.go, TestNonblockRecvRace: what is there or closed is never overlooked."""
    for _ in range(200):
        ch = Chan(1)
        ch.send(1)

        def look(ch=ch):
            index, _ = select(ch.recv_ok, default)
            return index

        g = go(look)
        ch.close()
        ch.recv_ok()
        assert g.result() == 0


@pytest.mark.parametrize("closes", [False, True])
def test_a_select_with_default_sees_one_of_two_ready_channels(closes):
    """runtime/chan_test.go, TestNonblockSelectRace and TestNonblockSelectRace2."""
    for _ in range(200):
        first, second = Chan(1), Chan(1)
        first.send(1)

        def look(first=first, second=second):
            return select(first.recv_ok, second.recv_ok, default)[0]

        g = go(look)
        if closes:
            second.close()
        else:
            second.send(1)
        first.try_recv()
        assert g.result() in {0, 1}


def test_taking_one_of_many_waiters_out_does_not_search_them():
    """test/chanlinear.go: leaving a queue of n waiters n times is linear in n.

    Each select leaves the long queue from its end; counting the links that are followed shows it.
    """
    long, short = Chan(), Chan()
    waiting = [go(long.recv) for _ in range(300)]
    testing.wait_idle()
    queue = long._receivers
    last = queue.last
    for i in range(50):
        g = parked(select, long.recv, short.recv)
        assert queue.last.prev is last
        short.send(i)
        assert g.result() == (1, i)
        assert queue.last is last
    for i in range(300):
        long.send(i)
    # The waiters stood in the order in which their goroutines ran, whatever that was.
    assert sorted(g.result() for g in waiting) == list(range(300))
