"""Watchers: what their users may rely on, whatever happens to the files."""

import gc
import os
import threading
import weakref

import pytest

import gopoll
from gopoll import Chan, net, select, testing
from gopoll.os.watch import Event, Op, Watcher
from tests.support.pairs import open_descriptors, wait_until
from tests.support.parking import end, in_thread, outcome, parked
from tests.support.script import run_script
from tests.support.watching import is_kqueue, touch, witness

pytestmark = pytest.mark.network


def receive(watcher):
    with gopoll.timeout(20):
        return watcher.events.recv()


def test_events_have_a_path_and_an_op(tmp_path):
    with Watcher() as watcher:
        watcher.add(tmp_path)
        touch(tmp_path / "file")
        event = receive(watcher)
    assert event == Event(f"{tmp_path}/file", Op.CREATE)
    assert (event.path, event.op, event.error) == (f"{tmp_path}/file", Op.CREATE, None)
    assert str(event) == f"CREATE {tmp_path}/file"
    assert event.op in Op.CREATE | Op.WRITE
    assert event.op not in Op.REMOVE | Op.WRITE
    with pytest.raises(AttributeError):
        event.path = "elsewhere"


@pytest.mark.parametrize(
    ("given", "path"),
    [("dir", "dir/file"), ("./dir/", "dir/file"), ("dir/../dir", "dir/file"), (".", "./new")],
)
def test_paths_begin_as_they_were_given(tmp_path, monkeypatch, given, path):
    (tmp_path / "dir").mkdir()
    monkeypatch.chdir(tmp_path)
    with Watcher() as watcher:
        watcher.add(given)
        touch(tmp_path / path)
        assert receive(watcher).path == path
        assert watcher.watched() == [os.path.normpath(given)]


def test_names_need_not_be_text(tmp_path):
    with Watcher() as watcher:
        watcher.add(tmp_path)
        touch(os.fsencode(tmp_path) + b"/\xff\xfe")
        event = receive(watcher)
    assert os.fsencode(event.path) == os.fsencode(tmp_path) + b"/\xff\xfe"


def test_watched_lists_what_was_added(tmp_path):
    """TestWatchList, and "not reading events" of TestAdd."""
    (tmp_path / "dir").mkdir()
    touch(tmp_path / "file")
    with Watcher() as watcher:
        assert watcher.watched() == []
        for path in (tmp_path, tmp_path / "file", tmp_path / "dir"):
            watcher.add(path)
        assert watcher.watched() == [str(tmp_path), f"{tmp_path}/file", f"{tmp_path}/dir"]
        watcher.remove(tmp_path / "file")
        assert watcher.watched() == [str(tmp_path), f"{tmp_path}/dir"]
    assert watcher.watched() == []


def test_after_remove_nothing_more_is_told(tmp_path):
    """TestRemove: "works"."""
    root = tmp_path / "root"
    root.mkdir()
    with witness(root) as w:
        w.add(root)
        w.watcher.remove(root)
        touch(root / "file")
        assert w.told() == []


def test_what_is_added_by_itself_outlives_its_directory(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    touch(root / "file")
    with witness(root) as w:
        for path in (root / "sub", root, root / "file"):
            w.add(path)
        w.watcher.remove(root)
        touch(root / "other")
        touch(root / "sub" / "new")
        (root / "file").chmod(0o600)
        assert sorted(w.told()) == ["CHMOD /file", "CREATE /sub/new"]


def test_removing_leaves_nothing_in_the_tables(tmp_path):
    """TestRemoveState."""
    file = tmp_path / "dir" / "file"
    file.parent.mkdir()
    touch(file)
    before = open_descriptors()
    with Watcher() as watcher:
        own = open_descriptors()
        watcher.add(tmp_path, recursive=True)
        watcher.add(file)
        with pytest.raises(FileNotFoundError):
            watcher.add(tmp_path / "nowhere")
        watcher.remove(file)
        watcher.remove(tmp_path)
        assert open_descriptors() == own
        tree = watcher._feed.tree
        tables = (tree._entries, tree._known) if is_kqueue() else (tree._watches, tree._moving)
        assert [len(table) for table in (tree.asked, *tables)] == [0, 0, 0]
    testing.wait_idle()
    wait_until(lambda: open_descriptors() == before)


def test_closing_wakes_who_receives():
    """TestClose."""
    watcher = Watcher()
    receiver = parked(watcher.events.recv_ok)
    watcher.close()
    assert receiver.result(5) == (None, False)
    assert watcher.closed
    assert list(watcher.events) == []
    assert repr(watcher) == "<Watcher closed>"


def test_what_is_buffered_survives_closing(tmp_path):
    watcher = Watcher()
    watcher.add(tmp_path)
    touch(tmp_path / "file")
    wait_until(lambda: len(watcher.events))
    watcher.close()
    assert [event.op for event in watcher.events] == [Op.CREATE]


def test_closing_while_nobody_receives(tmp_path):
    """TestClose: "events not read"."""
    with Watcher(buffer=0) as watcher:
        watcher.add(tmp_path)
        touch(tmp_path / "file")
        (tmp_path / "file").chmod(0o600)
        testing.wait_idle()
    assert watcher.events.recv_ok() == (None, False)


def test_use_after_close(tmp_path):
    """TestClose: "error after closed"."""
    with Watcher() as watcher:
        watcher.add(tmp_path)
    for use in (watcher.add, watcher.remove):
        with pytest.raises(net.ClosedError, match="use of closed watcher"):
            use(tmp_path)
    with pytest.raises(net.ClosedError, match="use of closed watcher"):
        watcher.close()
    assert watcher.watched() == []


def test_closing_while_files_vanish(tmp_path):
    """TestClose: "close while removing files"."""
    paths = [tmp_path / f"file-{n}" for n in range(30)]
    for path in paths:
        touch(path)
    with Watcher() as watcher:
        watcher.add(tmp_path)
        reader = gopoll.go(list, watcher.events)
        for n, path in enumerate(paths):
            path.unlink()
            if n % 10 == 0:
                gopoll.gosched()
    assert all(event.op is Op.REMOVE for event in reader.result(5))


def test_many_close_at_once():
    """TestClose: "double close"."""
    for buffer in (0, 4096):
        watcher = Watcher(buffer)
        closers = [gopoll.go(outcome, watcher.close) for _ in range(3)]
        outcomes = [closer.result(5) for closer in closers]
        assert sum(o is None for o in outcomes) == 1
        assert sum(isinstance(o, net.ClosedError) for o in outcomes) == 2


def test_the_channel_may_be_closed_by_its_user(tmp_path):
    watcher = Watcher()
    watcher.add(tmp_path)
    watcher.events.close()
    touch(tmp_path / "file")
    wait_until(lambda: watcher.closed)
    assert watcher.watched() == []


def test_one_that_is_forgotten_is_closed(tmp_path):
    watcher = Watcher()
    watcher.add(tmp_path)
    events, gone = watcher.events, weakref.ref(watcher)
    testing.wait_idle()
    held = [watcher]
    del watcher
    with pytest.warns(ResourceWarning, match="unclosed <Watcher of 1 paths>"):
        held.clear()
    gc.collect()
    assert gone() is None
    assert events.recv_ok() == (None, False)


def test_waiting_for_events_is_no_deadlock(tmp_path):
    with Watcher() as watcher:
        watcher.add(tmp_path)
        receiver = parked(watcher.events.recv)
        with pytest.raises(TimeoutError), gopoll.timeout(0):
            watcher.events.recv()
        touch(tmp_path / "file")
        assert receiver.result(5).op is Op.CREATE


def test_events_in_a_select(tmp_path):
    other = Chan()
    with Watcher() as watcher:
        watcher.add(tmp_path)
        choice = parked(select, other.recv, watcher.events.recv)
        touch(tmp_path / "file")
        assert choice.result(5) == (1, Event(f"{tmp_path}/file", Op.CREATE))


def test_several_watchers_of_one_directory(tmp_path):
    with Watcher() as one, Watcher() as other:
        one.add(tmp_path)
        other.add(tmp_path)
        one.remove(tmp_path)
        touch(tmp_path / "file")
        assert receive(other).op is Op.CREATE
        assert one.events.try_recv() == (None, False)


def test_other_threads_may_use_it(tmp_path):
    """TestRemove: "no race", and the race of TestWatchList, between threads."""
    with Watcher() as watcher:
        reader = gopoll.go(list, watcher.events)

        def work(name):
            path = tmp_path / name
            path.mkdir()
            for _ in range(20):
                watcher.add(path)
                touch(path / "file")
                watcher.watched()
                (path / "file").unlink()
                watcher.remove(path)
            return True

        assert in_thread(work, "one")
        assert in_thread(work, "two")
        assert watcher.watched() == []
    assert all(event.op in Op.CREATE | Op.REMOVE for event in reader.result(5))


def test_one_of_another_thread_ends_with_it(tmp_path):
    def make():
        watcher = Watcher()
        watcher.add(tmp_path)
        touch(tmp_path / "file")
        assert receive(watcher).op is Op.CREATE
        return watcher

    watcher = in_thread(make)
    assert watcher.closed
    assert watcher.events.recv_ok() == (None, False)


def test_adding_and_removing_while_it_comes_and_goes(tmp_path):
    """TestRace: "add and remove watches", "remove self"."""
    path = tmp_path / "dir"
    allowed = (type(None), FileNotFoundError, FileExistsError, ValueError)

    def often(deed):
        for _ in range(30):
            assert isinstance(outcome(deed, path), allowed)
            gopoll.gosched()

    with Watcher() as watcher:
        watcher.add(tmp_path)
        reader = gopoll.go(list, watcher.events)
        deeds = [type(path).mkdir, type(path).rmdir, watcher.add, watcher.remove]
        with testing.seeded(7):
            for g in [gopoll.go(often, deed) for deed in deeds for _ in range(5)]:
                g.result(20)
    assert {event.path for event in reader.result(5)} == {str(path)}


def test_a_forked_child_leaves_it_alone(tmp_path):
    done = run_script(
        f"""
        import os, sys, warnings
        import gopoll
        from gopoll.os.watch import Watcher
        warnings.simplefilter("ignore", DeprecationWarning)
        with Watcher() as watcher:
            watcher.add({str(tmp_path)!r})
            gopoll.gosched()
            if os.fork() == 0:
                try:
                    watcher.remove({str(tmp_path)!r})
                except OSError as exc:
                    print(exc, flush=True)
                watcher.close()
                os._exit(0)
            os.wait()
            os.mkdir({str(tmp_path / "dir")!r})
            with gopoll.timeout(20):
                print(watcher.events.recv().op)
        """
    )
    assert done.stdout.splitlines() == [
        "[Errno 9] use of a watcher of the parent process",
        "Op.CREATE",
    ]
    assert done.stderr == ""


def test_it_closes_from_a_finalizer_in_another_thread(tmp_path):
    watcher = Watcher()
    watcher.add(tmp_path)
    testing.wait_idle()
    receiver = parked(watcher.events.recv_ok)
    thread = threading.Thread(target=watcher.close)
    thread.start()
    gopoll.offload(thread.join)
    assert receiver.result(5) == (None, False)
    end(receiver)
