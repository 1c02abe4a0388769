"""psycopg2 on goroutines: a wait callback, so that a query parks only the goroutine that made it.

    from gopoll.integrations import psycopg2
    psycopg2.install()

psycopg2 is written in C and blocks the whole thread unless it has such a callback. With one it has
limits of its own, which is why the patch does not install it: ``COPY`` and large objects are
refused, and two threads cannot use one connection at the same time. psycopg 3 needs none of this.

If the wait is interrupted psycopg2 closes the connection, since it cannot know what state it is in.
"""

from typing import Any

from psycopg2 import OperationalError, extensions

from gopoll.runtime.netpoll import wait_read, wait_write

__all__ = ["install", "uninstall"]


def install() -> None:
    """Have each wait of psycopg2, in the whole process, park the goroutine that waits."""
    extensions.set_wait_callback(_wait)


def uninstall() -> None:
    """Let psycopg2 block the thread again."""
    extensions.set_wait_callback(None)


def _wait(connection: Any) -> None:
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        if state == extensions.POLL_READ:
            wait_read(connection.fileno())
        elif state == extensions.POLL_WRITE:
            wait_write(connection.fileno())
        else:
            msg = f"unexpected answer of poll(): {state}"
            raise OperationalError(msg)
