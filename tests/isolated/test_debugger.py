"""A debugger stops the world: nobody else runs until the program goes on."""

import os
import pty
import subprocess
import sys
import textwrap

import pytest

from tests.support.plain import plain_env
from tests.support.script import run_script

# Somebody else counts, as fast as possible; whoever sleeps at the prompt would let it go on.
PROGRAM = """
from gopoll import monkey
monkey.patch_all()
import pdb, sys, threading, time
n = 0
def count():
    global n
    while True:
        n += 1
        time.sleep(0)
threading.Thread(target=count, daemon=True).start()
while not n: time.sleep(0)
def frozen():
    before = n
    time.sleep(0.01)
    return n == before
"""

IS_FROZEN = "p ('frozen', frozen())\n"


def debug(code, commands, **env):
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROGRAM + textwrap.dedent(code)],
        env=plain_env(**env),
        input=commands,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_nobody_else_runs_at_the_prompt():
    out = debug("breakpoint()\nprint('went on', not frozen())", IS_FROZEN + IS_FROZEN + "c\n")
    assert out.count("('frozen', True)") == 2
    assert out.endswith("went on True\n")


@pytest.mark.parametrize("call", ["pdb.set_trace()", "pdb.Pdb().set_trace()", "breakpoint()"])
def test_every_way_to_stop(call):
    out = debug(f"{call}\nprint('went on', not frozen())", IS_FROZEN + "c\n")
    assert "('frozen', True)" in out
    assert out.endswith("went on True\n")


@pytest.mark.parametrize("call", ["pdb.post_mortem(error.__traceback__)", "pdb.pm()"])
def test_after_the_failure(call):
    code = f"""
    def fail():
        wanted = "it is here"
        1 / 0
    try:
        fail()
    except ZeroDivisionError as error:
        sys.last_exc = sys.last_value = error
        sys.last_traceback = error.__traceback__
        {call}
    print('went on', not frozen())
    """
    out = debug(code, "p wanted\n" + IS_FROZEN + "q\n")
    assert "'it is here'" in out
    assert "('frozen', True)" in out
    assert out.endswith("went on True\n")


def test_the_others_run_while_a_step_waits():
    code = """
    def wait():
        breakpoint()
        before = n
        time.sleep(0.01)
        moved = n > before
        return moved
    print('moved', wait())
    """
    out = debug(code, "n\n" * 3 + "p ('others ran', n > before)\nc\n")
    assert "('others ran', True)" in out
    assert out.endswith("moved True\n")


def test_a_step_stays_in_its_goroutine_and_out_of_gopoll():
    code = """
    def wait():
        breakpoint()
        time.sleep(0.01)
        return "done"
    wait()
    print("end")
    """
    out = debug(code, "s\n" * 3 + "c\n")
    stops = [line for line in out.splitlines() if line.lstrip("(Pdb) ").startswith("> ")]
    assert 3 <= len(stops) <= 4
    assert all("<string>" in stop for stop in stops)
    assert not any("count" in stop for stop in stops)
    assert out.endswith("end\n")


def test_a_breakpoint_stops_whoever_comes_there(tmp_path):
    (tmp_path / "worker.py").write_text("def work(name):\n    found = name\n    return found\n")
    code = f"""
    sys.path.insert(0, {str(tmp_path)!r})
    import worker
    debugger = pdb.Pdb()
    debugger.set_break(worker.__file__, 3)
    debugger.set_trace()
    thread = threading.Thread(target=worker.work, args=("another one",))
    thread.start()
    thread.join()
    print('end', not frozen())
    """
    out = debug(code, "c\np found\nimport __main__\np ('frozen', __main__.frozen())\nc\n")
    assert "'another one'" in out
    assert "('frozen', True)" in out
    assert out.endswith("end True\n")


def test_what_the_debugger_itself_starts_does_run():
    """Some draw their prompt in a thread, and wait for it."""
    code = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(1) as pool:
        breakpoint()
        print('went on', not frozen())
    """
    ask = "p pool.submit(lambda: (time.sleep(0.01), 'the helper ran')[1]).result()\n"
    out = debug(code, ask + IS_FROZEN + "c\n")
    assert "'the helper ran'" in out
    assert "('frozen', True)" in out
    assert out.endswith("went on True\n")


def test_in_a_thread():
    code = """
    def work():
        mine = "a local"
        breakpoint()
        return mine
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    print('went on', not frozen())
    """
    out = debug(code, "p mine\n" + IS_FROZEN + "c\n")
    assert "'a local'" in out
    assert "('frozen', True)" in out
    assert out.endswith("went on True\n")


def test_the_program_itself_under_the_debugger(tmp_path):
    (tmp_path / "app.py").write_text("import time\nx = 1\ntime.sleep(0.01)\nprint('end', x)\n")
    done = subprocess.run(
        [sys.executable, "-m", "gopoll", "-m", "pdb", "app.py"],
        cwd=tmp_path,
        env=plain_env(),
        input="n\nn\np ('x is', x)\nc\nq\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert "('x is', 1)" in done.stdout
    assert "end 1" in done.stdout


def test_on_a_terminal():
    """Where `input` has `readline`, edits the line, and nobody else runs either."""
    parent, child = pty.openpty()
    code = PROGRAM + "import readline\nbreakpoint()\nprint('went on', not frozen())"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=child,
        stdout=child,
        stderr=child,
        env=plain_env(TERM="dumb"),
        start_new_session=True,
    )
    os.close(child)
    try:
        os.write(parent, (IS_FROZEN + "c\n").encode())
        seen = b""
        while b"went on True" not in seen and b"went on False" not in seen:
            seen += os.read(parent, 1000)
        assert b"('frozen', True)" in seen
        assert b"went on True" in seen
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(parent)


# -- the world, without a debugger -----------------------------------------------------------------


def run(code):
    done = run_script(textwrap.dedent(code))
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_a_stopped_world_goes_on_where_it_was():
    assert run("""
    import gopoll
    from gopoll.debug import stop_world
    ran = []
    def other(name):
        for i in range(3):
            ran.append((name, i))
            gopoll.gosched()
    def main():
        others = [gopoll.go(other, name) for name in "ab"]
        gopoll.gosched()
        with stop_world():
            with stop_world():
                gopoll.sleep(0.01)
                gopoll.gosched()
            before = list(ran)
            gopoll.sleep(0.01)
            print(ran == before, ran)
        for one in others: one.join()
        print(ran)
    gopoll.run(main)
    """) == [
        "True [('a', 0), ('b', 0)]",
        "[('a', 0), ('b', 0), ('a', 1), ('b', 1), ('a', 2), ('b', 2)]",
    ]


def test_what_becomes_ready_meanwhile_is_held_and_not_lost():
    assert run("""
    import gopoll, os, threading
    from gopoll.debug import stop_world
    r, w = os.pipe()
    log, ch = [], gopoll.Chan()
    def by_time(): gopoll.sleep(0.001); log.append("time")
    def by_descriptor(): gopoll.wait_read(r); log.append("descriptor")
    def by_thread(): ch.recv(); log.append("thread")
    def main():
        others = [gopoll.go(fn) for fn in (by_time, by_descriptor, by_thread)]
        gopoll.gosched()
        with stop_world():
            os.write(w, b"x")
            thread = threading.Thread(target=ch.send, args=(1,))
            thread.start()
            thread.join()
            gopoll.sleep(0.02)
            print(log)
        for one in others: one.join()
        print(sorted(log))
    gopoll.run(main)
    """) == ["[]", "['descriptor', 'thread', 'time']"]


def test_an_exception_leaves_the_world_running():
    assert run("""
    import gopoll
    from gopoll.debug import stop_world
    def main():
        other = gopoll.go(lambda: 7)
        try:
            with stop_world():
                gopoll.gosched()
                1 / 0
        except ZeroDivisionError:
            print(other.result())
    gopoll.run(main)
    """) == ["7"]


def test_ctrl_c_ends_a_wait_in_a_stopped_world():
    assert run("""
    import gopoll, os, signal, threading
    from gopoll.debug import stop_world
    from gopoll.runtime.sched import this
    def main():
        gopoll.go(gopoll.sleep, 1000)
        gopoll.gosched()
        sched, ident = this.sched, threading.get_ident()
        def ring():
            while not sched.sleeping: os.sched_yield()
            signal.pthread_kill(ident, signal.SIGINT)
        with stop_world():
            threading.Thread(target=ring).start()
            try: gopoll.Chan().recv()
            except KeyboardInterrupt: print("interrupted")
            gopoll.sleep(0.001)
        gopoll.sleep(0.001)
        print("goes on")
    gopoll.run(main)
    """) == ["interrupted", "goes on"]


def test_a_handler_that_raises_in_a_stopped_world():
    assert run("""
    import gopoll, os, signal, threading
    from gopoll.debug import stop_world
    from gopoll.runtime.sched import this
    def handler(signum, frame): raise LookupError("by a handler")
    signal.signal(signal.SIGUSR1, handler)
    def main():
        sched, ident = this.sched, threading.get_ident()
        def ring():
            while not sched.sleeping: os.sched_yield()
            signal.pthread_kill(ident, signal.SIGUSR1)
        with stop_world():
            threading.Thread(target=ring).start()
            try: gopoll.sleep(1000)
            except LookupError as error: print(error)
            gopoll.sleep(0.001)
        print("goes on")
    gopoll.run(main)
    """) == ["by a handler", "goes on"]
