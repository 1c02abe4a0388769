"""Ten thousand signals while channels come and go: none is lost, and nothing is left over."""

import textwrap

import pytest

from tests.support.program import must_succeed

pytestmark = pytest.mark.network

_STORM = """
import gc, tracemalloc
from gopoll import context
from gopoll.os import _handlers
from gopoll.os.signal import ignore, notify, notify_context, reset, stop

def footprint():
    gc.collect()
    return tracemalloc.get_traced_memory()[0], len(os.listdir('/dev/fd')), threading.active_count()

def come_and_go(over):
    while not over.closed:
        fresh = Chan(1)
        notify(fresh, signal.SIGUSR1, signal.SIGURG)
        gopoll.gosched()
        stop(fresh)
        seen = len(fresh)
        with notify_context(context.background(), signal.SIGUSR1, signal.SIGWINCH):
            gopoll.gosched()
        assert len(fresh) == seen

def rain(n):
    'Each of n signals arrives at a channel that stays, while others come and go.'
    steady, over = Chan(1), Chan()
    notify(steady, signal.SIGUSR1)
    others = [go(come_and_go, over) for _ in range(5)]
    for _ in range(n):
        os.kill(os.getpid(), signal.SIGUSR1)
        steady.recv()
    over.close()
    for g in others:
        g.result()
    stop(steady)

def pour(n):
    'Another thread sends; what it sends last arrives, as the last.'
    steady, over = Chan(1), Chan()
    notify(steady, signal.SIGUSR1)
    others = [go(come_and_go, over) for _ in range(5)]
    def shoot():
        for _ in range(n):
            os.kill(os.getpid(), signal.SIGUSR1)
        poured.set()
    poured = threading.Event()
    thread = threading.Thread(target=shoot)
    thread.start()
    while not poured.is_set():
        steady.try_recv()
        gopoll.gosched()
    steady.try_recv()
    thread.join()
    os.kill(os.getpid(), signal.SIGUSR1)
    steady.recv()
    over.close()
    for g in others:
        g.result()
    stop(steady)
"""


@pytest.mark.parametrize("storm", ["rain", "pour"])
def test_a_storm_of_signals_leaves_nothing(storm: str):
    code = """
    storm = {'rain': rain, 'pour': pour}[sys.argv[1]]
    tracemalloc.start()
    storm(1000)
    before = footprint()
    storm(10000)
    after = footprint()
    assert after[1:] == before[1:], (before, after)
    assert after[0] - before[0] < 20_000, (before, after)
    assert not _handlers._listeners and not _handlers._heard and not _handlers._before
    assert sched.external == 0 and gopoll.num_goroutine() == 1
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    print('flat')
    """
    must_succeed(_STORM + textwrap.dedent(code), storm, says="flat", timeout=55)
