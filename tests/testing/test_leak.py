"""no_leaks(): it fails on what was left behind, and on nothing else."""

import os
import threading

import pytest

import gopoll
from gopoll import Chan, go, testing
from gopoll.testing import leak
from tests.support.parking import end, in_thread

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(leak, "_PATIENCE", 3)


def forgotten(ch):
    ch.recv()


def test_a_goroutine_left_waiting():
    with pytest.raises(AssertionError) as caught, testing.no_leaks():
        g = go(forgotten, Chan())
    end(g)
    text = str(caught.value)
    assert text.startswith("1 goroutines were left behind:\n\n")
    assert f'goroutine {g.id} "forgotten" [chan receive]:' in text
    assert "forgotten(...)" in text
    assert "created by test_a_goroutine_left_waiting" in text


def test_a_goroutine_left_asleep():
    with pytest.raises(AssertionError, match=r"\[sleep\]"), testing.no_leaks():
        g = go(gopoll.sleep, 1000)
    end(g)


def test_a_goroutine_left_in_another_thread():
    gate = Chan()
    with pytest.raises(AssertionError, match='"forgotten"'), testing.no_leaks():
        thread = threading.Thread(target=lambda: go(forgotten, gate).join())
        thread.start()
        while not gate._receivers.first:
            gopoll.gosched()
    gate.send(None)
    gopoll.offload(thread.join)


@pytest.mark.parametrize("make", [os.pipe, lambda: [os.open(os.devnull, os.O_RDONLY)]])
def test_a_descriptor_left_open(make):
    with pytest.raises(AssertionError) as caught, testing.no_leaks():
        fds = make()
    for fd in fds:
        os.close(fd)
    assert str(caught.value).startswith(f"{len(fds)} descriptors were left open:\n")
    for fd in fds:
        assert f"  {fd}: " in str(caught.value)


def test_a_number_that_names_another_file_now():
    """Closed one and opened one: the count is the same, and still something was left open."""
    fd = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(AssertionError, match=rf"left open:\n  {fd}: "), testing.no_leaks():
        os.close(fd)
        again = os.open(__file__, os.O_RDONLY)
        assert again == fd
    os.close(again)


def test_a_thread_left_running():
    gate = threading.Semaphore(0)
    with pytest.raises(AssertionError, match="1 threads were left running"), testing.no_leaks():
        thread = threading.Thread(target=gate.acquire)
        thread.start()
    gate.release()
    thread.join()


def test_everything_at_once():
    with pytest.raises(AssertionError) as caught, testing.no_leaks():
        g = go(forgotten, Chan())
        fd = os.open(os.devnull, os.O_RDONLY)
    end(g)
    os.close(fd)
    assert "goroutines were left" in str(caught.value)
    assert "descriptors were left" in str(caught.value)


def test_a_failure_inside_is_not_hidden():
    with pytest.raises(KeyError), testing.no_leaks():
        g = go(forgotten, Chan())
        raise KeyError
    testing.wait_idle()
    end(g)


def test_what_was_there_before_does_not_count():
    ch = Chan()
    g = go(forgotten, ch)
    fd = os.open(os.devnull, os.O_RDONLY)
    with testing.no_leaks():
        os.close(fd)  # less than before is no leak
        ch.send(None)
        g.join()
    assert g.done


def test_goroutines_on_their_way_out_are_given_the_chance():
    with testing.no_leaks():
        g = go(lambda: [gopoll.gosched() for _ in range(100)])
    assert g.done


def test_workers_kept_for_reuse_do_not_count():
    with testing.no_leaks():
        gates = [threading.Semaphore(0) for _ in range(3)]
        goroutines = [go(gopoll.offload, gate.acquire) for gate in gates]
        testing.wait_idle()
        for gate in gates:
            gate.release()
        for g in goroutines:
            assert g.result() is True


def test_the_poller_of_a_first_use_does_not_count():
    def body():
        with testing.no_leaks():
            r, w = os.pipe()
            os.write(w, b"x")
            gopoll.wait_read(r)
            os.close(r)
            os.close(w)
        return "clean"

    assert in_thread(body) == "clean"
