"""What outside of a scheduler could still wake somebody: other threads and signal handlers.

Asked only when every goroutine sleeps and nothing inside can wake one: is it a deadlock?
"""

from gopoll._original import default_int_handler, getsignal, thread_count, valid_signals

__all__ = ["own_threads", "signal_handlers"]

own_threads = [0]  # how many OS threads gopoll itself runs; they wake nobody by themselves


def other_threads() -> bool:
    """Whether a thread is alive that is neither the main thread nor one of gopoll's workers."""
    return thread_count() > own_threads[0]


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
