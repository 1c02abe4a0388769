"""A worker for gunicorn: each connection is a goroutine, in a process that is patched.

    gunicorn -k gopoll.integrations.gunicorn.Worker app:app

gunicorn's settings mean what they mean for its other workers that serve many connections at once.
The process is patched when gunicorn loads this class: before the application is imported, also
with ``preload_app``, and so in the master, too.

    =========  ==============================  ============================  ====================
    state      listeners                       connections                   ends by
    =========  ==============================  ============================  ====================
    serving    accept, as long as there are    wait for a request for        `alive` is False:
               less than `worker_connections`  `keepalive` seconds           SIGTERM, max_requests,
                                                                             the master is gone
    draining   closed                          finish what they do; who      the last one is gone,
                                               waits for a request has       or `graceful_timeout`
                                               `_LINGER` seconds for it
    ending     closed                          end as by ``goexit()``        all did, or `_GRACE`
    =========  ==============================  ============================  ====================

SIGINT and SIGQUIT end it at once, from any state.

**The heartbeat.** gunicorn kills a worker of which it has not heard for `timeout` seconds. The main
goroutine beats; while another one computes, so that main cannot, a timer does that runs only as
long as the process uses its processor. So a request may take its time, but a call that blocks the
whole process is found out. No thread is needed for it.
"""

import os
import signal
import socket
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from gunicorn import sock as gunicorn_sock
from gunicorn.http import wsgi
from gunicorn.workers.base_async import AsyncWorker

from gopoll import monkey
from gopoll._original import errno, monotonic
from gopoll.chan import Chan
from gopoll.errors import ClosedError, GoExit
from gopoll.integrations._gunicorn import Answer, Awaiting, Listener
from gopoll.runtime.goroutine import Goroutine
from gopoll.runtime.proc import go, gosched, sleep
from gopoll.runtime.sched import this
from gopoll.runtime.scope import timeout
from gopoll.sync.semaphore import Semaphore

__all__ = ["Worker"]

_BEAT: Final = 1.0  # seconds between two looks at the master, and two heartbeats
_LINGER: Final = 2.0  # as gunicorn's own: a client may be sending its next request already
_GRACE: Final = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 1.0
_TEMPORARY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Worker(AsyncWorker):
    """Serves each connection in a goroutine."""

    @classmethod
    def setup(cls) -> None:
        """Patch; gunicorn calls this in the master, when it has loaded the class."""
        monkey.patch_all()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._stop = Chan[None]()
        self._alive = True
        self._clients: set[Goroutine[None]] = set()
        self._idle: set[Awaiting] = set()
        super().__init__(*args, **kwargs)
        self._slots = Semaphore(self.worker_connections)

    @property
    def alive(self) -> bool:
        """Whether it takes connections; whoever sets it to False begins its end."""
        return self._alive

    @alive.setter
    def alive(self, value: bool) -> None:
        was, self._alive = self._alive, value
        if was and not value:
            self._stop.close()

    # -- what gunicorn calls -----------------------------------------------------------------

    def init_process(self) -> None:
        """Become a worker process."""
        monkey.patch_all()  # for a subclass whose setup() does something else
        super().init_process()

    def init_signals(self) -> None:
        """Take over the signals."""
        super().init_signals()
        signal.set_wakeup_fd(-1)  # nobody reads that pipe, and what wakes us is not a pipe

    def handle_usr1(self, sig: int, frame: Any) -> None:
        """Open the log files anew."""
        go(super().handle_usr1, sig, frame)  # it may have to wait for whoever writes into them

    def timeout_ctx(self) -> Awaiting:
        """Return what waits for a request."""
        seconds = self.cfg.keepalive
        return Awaiting(self._idle, seconds if self._alive else min(seconds, _LINGER))

    def run(self) -> None:
        """Serve until `alive` is False; then see to it that everybody has gone."""
        self._settle()
        context = gunicorn_sock.ssl_context(self.cfg) if self.cfg.is_ssl else None
        listeners = [Listener(sock) for sock in self.sockets]
        beat = min(_BEAT, self.timeout / 2) if self.timeout else _BEAT
        try:
            if self.timeout:
                self._beat_while_others_compute(beat / 2)
            for listener in listeners:
                go(self._accept, listener, context)
            while self.alive:
                self.notify()
                if self.ppid != os.getppid():
                    self.log.info("Parent changed, shutting down: %s", self)
                    break
                with suppress(TimeoutError), timeout(beat):
                    self._stop.recv()
            self.alive = False
        finally:
            for listener in listeners:
                listener.close()
        self._drain(beat)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _settle(self) -> None:
        """Let each setting be an attribute, since none changes any more.

        gunicorn looks at twenty of them for each request, and each look costs two calls.
        """
        settings = self.cfg.settings.items()
        self.cfg.__dict__.update((name, setting.get()) for name, setting in settings)

    # -- a connection ------------------------------------------------------------------------

    def _accept(self, listener: Listener, context: Any) -> None:
        pause = _FIRST_PAUSE
        while True:
            with self._slots:
                pass  # there is room, so what is accepted now is served at once
            try:
                client, peer = listener.accept()
            except ClosedError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as exc:
                if exc.errno not in _TEMPORARY:
                    self.log.exception("Cannot accept any more from %s", listener)
                    self.alive = False
                    return
                self.log.warning("Cannot accept for now: %s", exc)
                sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            self._clients.add(go(self._serve, listener, client, peer, context))
            gosched()  # let it begin; who comes next may find a worker that has less to do

    def _serve(self, listener: Listener, client: socket.socket, peer: Any, context: Any) -> None:
        try:
            with self._slots:
                client.setblocking(True)
                if context is not None:
                    client = self._secured(client, context)
                self.handle(listener, client, peer)
        except GoExit:  # the time is up, while it shook hands
            return
        except OSError as exc:  # the peer is gone, or speaks no TLS
            self.log.debug("Closing connection. %s", exc)
        finally:
            client.close()
            current = this.sched.current
            assert current is not None
            self._clients.discard(current)

    def _secured(self, client: socket.socket, context: Any) -> socket.socket:
        with timeout(self.cfg.timeout or None):
            wrapped: socket.socket = context.wrap_socket(
                client,
                server_side=True,
                suppress_ragged_eofs=self.cfg.suppress_ragged_eofs,
            )
        return wrapped

    # -- a request ---------------------------------------------------------------------------

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        """Answer one request, as gunicorn's own workers do, but by one call where that is enough.

        Raises:
            StopIteration: The connection is to be closed.
        """
        begun = datetime.now()  # noqa: DTZ005 - it is gunicorn who looks at the difference
        environ: dict[str, Any] = {}
        resp: Any = None
        try:
            self.cfg.pre_request(self, req)
            resp, environ = wsgi.create(req, sock, addr, listener_name, self.cfg)
            environ["wsgi.multithread"] = True
            self.nr += 1
            if self.nr >= self.max_requests and self._alive:
                self.log.info("Autorestarting worker after current request.")
                self.alive = False
            if not self._alive or not self.cfg.keepalive:
                resp.force_close()
            body = self.wsgi(environ, resp.start_response)
            if self.is_already_handled(body):
                return False
            try:
                _send(resp, body, environ["wsgi.file_wrapper"])
            finally:
                took = datetime.now() - begun  # noqa: DTZ005
                self.log.access(resp, req, environ, took)
                if hasattr(body, "close"):
                    body.close()
            if resp.should_close():
                raise StopIteration
        except (StopIteration, OSError):
            raise
        except GoExit:  # the application has heard it, and its ``finally`` blocks have run
            raise StopIteration from None
        except (Exception, SystemExit) as exc:
            if resp is None or not resp.headers_sent:  # there can be a proper answer
                if isinstance(exc, SystemExit):
                    msg = f"the application wants to exit: {exc.code}"
                    raise RuntimeError(msg) from exc
                raise
            self.log.exception("Error handling request")
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            raise StopIteration from None
        finally:
            try:
                self.cfg.post_request(self, req, environ, resp)
            except Exception:
                self.log.exception("Exception in post_request hook")
        return True

    # -- the end -----------------------------------------------------------------------------

    def _drain(self, beat: float) -> None:
        now = monotonic()
        patience = now + self.cfg.graceful_timeout
        self._join(min(now + _LINGER, patience), beat)
        for awaiting in tuple(self._idle):
            awaiting.shoot()
        self._join(patience, beat)
        if self._clients:
            self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
            for g in self._clients:
                g.sched.interrupt(g, GoExit())
            self._join(monotonic() + _GRACE, beat)

    def _join(self, until: float, beat: float) -> None:
        """Wait until all clients are gone, or the time has come."""
        while self._clients and (left := until - monotonic()) > 0:
            self.notify()
            with suppress(TimeoutError):
                next(iter(self._clients)).join(min(left, beat))

    def _beat_while_others_compute(self, interval: float) -> None:
        def beat(_signum: int, _frame: Any) -> None:
            self.notify()

        signal.signal(signal.SIGVTALRM, beat)
        signal.siginterrupt(signal.SIGVTALRM, False)
        signal.setitimer(signal.ITIMER_VIRTUAL, interval, interval)


def _send(resp: Any, body: Any, file_wrapper: type) -> None:
    """Send the answer; what the application has ready goes out at once, with the head."""
    if isinstance(body, file_wrapper):
        resp.write_file(body)
        resp.close()
        return
    sock = resp.sock
    answer = Answer(sock)
    at_once = isinstance(body, (list, tuple))
    try:
        for piece in body:
            resp.sock = answer
            resp.write(piece)
            if not at_once:
                resp.sock = sock
                answer.flush()
        resp.close()
    finally:
        resp.sock = sock
        answer.flush()
