"""What came too early, or in the wrong order, for the patches of gevent and eventlet."""

from tests.support.scars import cases, check

CONTEXT = """
import ssl
def use(context):
    context.options |= ssl.OP_NO_TICKET
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    return context
class Derived(ssl.SSLContext):
    @property
    def minimum_version(self): return super().minimum_version
    @minimum_version.setter
    def minimum_version(self, value):
        super(ssl.SSLContext, ssl.SSLContext).minimum_version.__set__(self, value)
"""

SSL = {
    # A context is made and used after a patch that came after the import of ssl.
    "gevent-903": CONTEXT + "from gopoll import monkey; monkey.patch_all()\n"
    "use(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)); print('fine')",
    "gevent-941": CONTEXT + "from gopoll import monkey; monkey.patch_all()\n"
    "use(ssl.create_default_context()); print('fine')",
    # The same by a module that had imported the class by its name.
    "gevent-1016": CONTEXT + "from ssl import SSLContext\n"
    "from gopoll import monkey; monkey.patch_all()\n"
    "assert SSLContext is ssl.SSLContext\n"
    "use(SSLContext(ssl.PROTOCOL_TLS_CLIENT)); print('fine')",
    # A context that was made before the patch is used after it.
    "gevent-1777": CONTEXT + "context = use(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))\n"
    "from gopoll import monkey; monkey.patch_all()\n"
    "use(context); print('fine')",
    # The setters of the class are called as functions, as truststore does.
    "gevent-2178": CONTEXT + "from gopoll import monkey; monkey.patch_all()\n"
    "context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
    "ssl.SSLContext.verify_mode.__set__(context, ssl.CERT_REQUIRED)\n"
    "super(ssl.SSLContext, ssl.SSLContext).verify_mode.__set__(context, ssl.CERT_REQUIRED)\n"
    "print('fine')",
    # The minimum version, which httpx sets, also on a class of its own.
    "eventlet-726": "from gopoll import monkey; monkey.patch_all()\n" + CONTEXT + "use(ssl."
    "SSLContext(ssl.PROTOCOL_TLS_CLIENT)); use(Derived(ssl.PROTOCOL_TLS_CLIENT)); print('fine')",
}


@cases(SSL)
def test_no_endless_recursion_in_ssl(program):
    check(program)


LOCKS = {
    # A recursive lock that exists before the patch excludes other goroutines after it.
    "gevent-1354": """
        import threading
        lock = threading.RLock()
        from gopoll import monkey; monkey.patch_all()
        import gopoll
        order = []
        def actor(name):
            while not lock.acquire(blocking=False): gopoll.gosched()
            order.append(name); gopoll.gosched(); order.append(name)
            lock.release()
        def main():
            for one in [gopoll.go(actor, name) for name in "ab"]: one.join()
        gopoll.run(main)
        assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"]), order
        print("fine")
    """,
    "gevent-798": """
        import logging, threading
        handler = logging.StreamHandler()
        from gopoll import monkey; monkey.patch_all()
        def hold():
            with handler.lock: entered.set(); go_on.wait()
        entered, go_on = threading.Event(), threading.Event()
        thread = threading.Thread(target=hold)
        thread.start(); entered.wait()
        threading.Timer(0.01, go_on.set).start()
        with handler.lock: pass
        thread.join()
        print("fine")
    """,
    # Two goroutines want the lock of logging's configuration.
    "eventlet-309": """
        import logging, threading
        from gopoll import monkey; monkey.patch_all()
        def configure():
            with logging._lock: entered.set(); go_on.wait()
        entered, go_on = threading.Event(), threading.Event()
        thread = threading.Thread(target=configure)
        thread.start(); entered.wait()
        threading.Timer(0.01, go_on.set).start()
        logging.getLogger("another").addHandler(logging.NullHandler())
        thread.join()
        print("fine")
    """,
    "eventlet-546": """
        import threading
        lock = threading.RLock()
        native = type(lock)
        from gopoll import monkey; monkey.patch_all()
        assert type(lock) is not native
        print("fine")
    """,
    # A collection that strikes while the lock is released, and whose callback wants it.
    "eventlet-742": """
        from gopoll import monkey; monkey.patch_all()
        import gc, logging, sys, weakref
        class Cycle: pass
        def callback(ref):
            logging._lock.acquire(); logging._lock.release()
        kept = []
        def litter():
            one = Cycle(); one.me = one
            kept.append(weakref.ref(one, callback))
        gc.set_threshold(1)
        for _ in range(2000):
            litter()
            logging.getLogger("some")
            logging._lock.acquire(); logging._lock.release()
        print("fine")
    """,
    "eventlet-754": """
        import logging
        handlers = [logging.StreamHandler() for _ in range(3)]
        native = type(handlers[0].lock), type(logging._lock)
        from gopoll import monkey; monkey.patch_all()
        assert not isinstance(logging._lock, native)
        assert not any(isinstance(handler.lock, native) for handler in handlers)
        print("fine")
    """,
    # A lock that is an attribute of a class, which no garbage may be put in the place of.
    "eventlet-864": """
        import gc, unittest.mock
        from gopoll import monkey; monkey.patch_all()
        gc.collect()
        with unittest.mock.NonCallableMock._lock: pass
        assert unittest.mock.Mock()() is not None
        gc.collect()
        print("fine")
    """,
    # Modules that the patch itself imports make locks as well.
    "eventlet-969": """
        import threading
        native = type(threading.RLock())
        from gopoll import monkey; monkey.patch_all()
        import gc, logging
        left = [o for o in gc.get_referrers(native) if type(o) is native]
        owners = [owner for lock in left for owner in gc.get_referrers(lock) if owner is not left]
        foreign = {type(owner).__module__ for owner in owners if hasattr(owner, "__slots__")}
        assert all(name.startswith("gopoll") for name in foreign), foreign
        assert not isinstance(logging._lock, native)
        print("fine")
    """,
}


@cases(LOCKS)
def test_locks_that_exist_before_the_patch(program):
    check(program)


CONTEXTS = {
    # Every thread has variables of its own, and a new one does not see those of its creator.
    "gevent-1407": """
        import contextvars, threading, time
        var = contextvars.ContextVar("var", default=0)
        seen = []
        def work(n):
            var.set(n); time.sleep(0.001); seen.append(var.get() == n)
        var.set(-1)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert seen == [True] * 5 and var.get() == -1
        print("fine")
    """,
    # Each task of asyncio keeps its own value from one turn of the loop to the next.
    "gevent-1656": """
        import asyncio, contextvars
        var = contextvars.ContextVar("var")
        async def printer(n):
            var.set(n)
            for _ in range(3):
                await asyncio.sleep(0.001)
                assert var.get() == n
        async def main(): await asyncio.gather(*(printer(n) for n in range(4)))
        asyncio.run(main())
        print("fine")
    """,
    "gevent-1512": """
        import contextvars, gopoll
        var = contextvars.ContextVar("var")
        def child():
            assert var.get() == "parent's"
            var.set("child's"); gopoll.gosched()
            assert var.get() == "child's"
        def main():
            var.set("parent's")
            one = gopoll.go(child)
            gopoll.gosched()
            assert var.get() == "parent's"
            one.result()
        gopoll.run(main)
        print("fine")
    """,
    # A timeout fires while a generator has set a variable, which it gives back when it is closed.
    "gevent-1930": """
        import contextvars, gopoll, time
        var = contextvars.ContextVar("var")
        def scope():
            token = var.set(1)
            try: yield
            finally: var.reset(token)
        def waiter():
            inside = scope(); next(inside)
            try:
                with gopoll.timeout(0.01): time.sleep(1000)
            except TimeoutError: pass
            finally: inside.close()
        gopoll.run(lambda: gopoll.go(waiter).result())
        print("fine")
    """,
}


@cases(CONTEXTS)
def test_context_variables(program):
    check(program)


EARLY = {
    # By an environment variable, before anything: see test_patch_environment.py.
    "eventlet-1004": """
        import os, sys
        os.environ["GOPOLL_PATCH"] = "1"
        from gopoll.integrations import startup
        startup.patch()
        from gopoll import monkey
        assert monkey.patched() == list(monkey.MODULES)
        print("fine")  # no patch_all here
    """,
    # After pytest, and whatever its plugins have imported: see test_pytest_patch.py.
    "gevent-1481": """
        import _pytest.config, ssl
        context = ssl.create_default_context()
        from gopoll import monkey; monkey.patch_all()
        context.options |= ssl.OP_NO_TICKET
        print("fine")
    """,
}


@cases(EARLY)
def test_early_and_late(program):
    check(program, PYTHONWARNINGS="ignore")
