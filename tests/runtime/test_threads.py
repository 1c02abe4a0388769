"""OS threads: a scheduler each, waking across, and what becomes of the goroutines of a thread."""

import os
import threading
from pathlib import Path

import pytest

import gopoll
from gopoll import Chan, go, gosched, num_goroutine, testing
from gopoll.runtime.sched import schedulers, this
from tests.support.parking import end, in_thread, parked
from tests.support.script import run_script


def test_each_thread_has_a_scheduler_and_a_main_goroutine_of_its_own():
    mine = this.sched
    seen = in_thread(lambda: (this.sched, gopoll.current(), go(lambda: this.sched).result()))
    assert seen[0] is not mine
    assert seen[1] is seen[0].main
    assert seen[2] is seen[0]
    assert mine.main is not seen[1]


def test_a_goroutine_stays_in_the_thread_that_started_it():
    threads = []

    def body():
        for _ in range(5):
            threads.append(threading.get_ident())
            gosched()

    def start():
        go(body).join()
        return threading.get_ident()

    home = in_thread(start)
    assert threads == [home] * 5


def test_run_in_a_thread():
    def main():
        g = go(Chan().recv)
        gosched()
        return g

    g = in_thread(gopoll.run, main)
    assert g.done


def test_a_thread_that_only_waits_needs_no_descriptors():
    there, back = Chan(), Chan()

    def body():
        back.send(there.recv())
        return this.sched.poller

    g = go(in_thread, body)
    there.send("x")
    assert back.recv() == "x"
    assert g.result() is None


def test_the_goroutines_of_a_thread_that_ends_run_their_finally_blocks():
    ch = Chan()
    ran = []

    def wait(who):
        try:
            ch.recv()
        finally:
            ran.append(who)

    def body():
        for who in range(3):
            go(wait, who)
        go(ran.append, "never started")
        gosched()
        go(ran.append, "too late")

    in_thread(body)
    assert sorted(map(str, ran)) == ["0", "1", "2", "never started"]


def test_nothing_is_handed_to_the_goroutines_of_a_thread_that_ended():
    ch = Chan()

    def body():
        for _ in range(3):
            go(ch.recv)
        gosched()

    in_thread(body)
    assert ch._receivers.first is None
    assert ch.try_send("kept") is False
    g = parked(ch.recv)
    ch.send("kept")
    assert g.result() == "kept"


def test_a_handle_from_a_thread_that_ended_is_done():
    waiting, unborn = in_thread(lambda: (parked(Chan().recv), go(int)))
    assert (waiting.done, unborn.done) == (True, True)
    assert (waiting.result(), unborn.result()) == (None, None)


def test_whoever_joins_a_goroutine_of_a_thread_that_ends_is_woken():
    asked, started = threading.Semaphore(0), Chan(1)

    def body():
        started.send(go(Chan().recv))
        asked.acquire()
        gosched()

    thread = go(in_thread, body)
    g = started.recv()
    joiner = parked(g.join)
    asked.release()
    joiner.result()
    thread.result()
    assert g.done


def descriptors():
    return {path.name for path in Path("/dev/fd").iterdir()}


@pytest.mark.network
def test_the_descriptors_of_a_thread_are_closed_with_it():
    def body():
        r, w = os.pipe()
        g = go(gopoll.wait_read, r)
        gosched()
        os.write(w, b"x")
        g.result()
        os.close(r)
        os.close(w)
        go(Chan().recv)
        gosched()
        return this.sched

    before = descriptors()
    sched = in_thread(body)
    assert descriptors() == before
    assert sched.poller is None
    assert sched not in schedulers.values()


def test_num_goroutine_forgets_a_thread_that_ended():
    before = num_goroutine()
    in_thread(lambda: [go(Chan().recv) for _ in range(3)])
    assert num_goroutine() == before


def test_many_threads_come_and_go():
    before = len(schedulers)
    ch = Chan()

    def body(i):
        go(ch.send, i).join()

    threads = [threading.Thread(target=body, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    assert sorted(ch.recv() for _ in threads) == list(range(20))
    for thread in threads:
        gopoll.offload(thread.join)
    assert len(schedulers) == before


def test_wake_ups_from_threads_are_not_lost():
    """Each value is sent at whatever moment: while main runs, is about to sleep, or sleeps."""
    ch = Chan()
    go_ahead = threading.Semaphore(0)
    rounds = 500

    def body():
        for i in range(rounds):
            go_ahead.acquire()
            ch.send(i)

    g = go(in_thread, body)
    for i in range(rounds):
        go_ahead.release()
        assert ch.recv() == i
    g.result()


def test_goroutines_that_refuse_to_end_are_reported_and_nothing_hangs():
    done = run_script(
        """
        import threading
        import gopoll
        from gopoll.runtime import lifetime

        lifetime._GRACE = 0.01

        def stubborn():
            while True:
                try:
                    gopoll.Chan().recv()
                except BaseException:
                    pass

        def body():
            gopoll.go(stubborn)
            gopoll.gosched()

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        print("main goes on")
        """
    )
    assert done.returncode == 0
    assert done.stdout == "main goes on\n"
    assert done.stderr.startswith("gopoll: 1 goroutines refused to end:\n\ngoroutine ")
    assert '"stubborn" [chan receive]' in done.stderr


def test_a_program_ends_well_while_a_daemon_thread_wakes_up():
    """The interpreter goes down just when a goroutine of another thread has become runnable."""
    for _ in range(3):
        done = run_script(
            """
            import threading
            import gopoll

            def main():
                there, back = gopoll.Chan(), gopoll.Chan()

                def body():
                    for value in there:
                        back.send(value)

                threading.Thread(target=body, daemon=True).start()
                for i in range(20):
                    there.send(i)
                    assert back.recv() == i
                there.close()

            gopoll.run(main)
            """
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_offloaded_calls_may_use_channels():
    """A worker thread that used gopoll is still gopoll's own thread, and no leak."""
    ch = Chan(1)
    before = num_goroutine()
    with testing.no_leaks():
        gopoll.offload(ch.send, 1)
        assert ch.recv() == 1
    assert num_goroutine() == before


def test_ending_a_thread_does_not_disturb_its_siblings():
    gate = Chan()
    g = parked(gate.recv)
    in_thread(lambda: end(parked(gate.recv)))
    gate.send("here")
    assert g.result() == "here"
