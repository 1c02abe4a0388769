"""What outside of a scheduler could still wake somebody: other threads and signal handlers.

Asked only when every goroutine sleeps and nothing inside can wake one: is it a deadlock?
"""

from os import scandir

from gopoll._original import default_int_handler, getsignal, thread_count, valid_signals

__all__ = ["other_threads", "own_threads", "signal_handlers", "unborn"]

_TASKS = "/proc/self/task"  # a directory for each thread that the kernel knows
_BIRTH = 1.0  # on a busy machine
_UNTOLD = 0.1

own_threads = [0]  # how many OS threads gopoll itself runs; they wake nobody by themselves


def other_threads() -> bool:
    """Whether a thread is alive that is neither the main thread nor one of gopoll's workers."""
    return thread_count() > own_threads[0]


def unborn() -> float:
    """How long to wait for a thread that was started and does not run Python yet: 0.0 if none was.

    The kernel knows it from the first moment. It also knows those of libraries, which never run
    Python; and where it does not tell, there may always be one.
    """
    try:
        with scandir(_TASKS) as tasks:
            known = sum(1 for _ in tasks)
    except OSError:
        return _UNTOLD
    return _BIRTH if known > thread_count() + 1 else 0.0


def signal_handlers() -> bool:
    """Whether the program has a signal handler of its own, which might wake somebody."""
    for signum in valid_signals():
        handler = getsignal(signum)
        if (
            callable(handler)
            and handler is not default_int_handler
            and not getattr(handler, "__module__", "").startswith("gopoll.")
        ):
            return True
    return False
