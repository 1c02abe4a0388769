"""``threading.local`` under the patch: attributes for each goroutine."""

from tests.support.threaded import run


def test_each_goroutine_has_its_own_attributes():
    assert run("""
        local, seen = threading.local(), []
        local.x = "main"
        def work(n):
            assert not hasattr(local, "x")
            local.x = n
            time.sleep(0)
            seen.append(local.x)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
        gopoll.go(work, 3).join()
        print(seen, local.x, local.__dict__)
    """) == ["[0, 1, 2, 3] main {'x': 'main'}"]


def test_they_go_with_the_thread():
    assert run("""
        import weakref
        class Value: pass
        local, dead = threading.local(), []
        def work():
            local.value = Value()
            weakref.finalize(local.value, lambda: dead.append(threading.get_ident()))
            time.sleep(0)
        t = threading.Thread(target=work); t.start(); t.join()
        print(dead == [t.ident])      # and before it ends
        g = gopoll.go(work); g.join()
        print(len(dead), len(local._local__dicts))
    """) == ["True", "2 1"]


def test_they_go_with_the_local():
    assert run("""
        import gc, weakref
        class Value: pass
        local, dead, go_on = threading.local(), [], threading.Event()
        def work():
            local.value = Value()
            weakref.finalize(local.value, dead.append, 1)
            go_on.wait()
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        del local
        print(dead)
        go_on.set()
        for t in threads: t.join()
    """) == ["[1, 1, 1]"]


def test_they_go_with_an_os_thread():
    assert run("""
        import weakref
        from gopoll import native
        class Value: pass
        local, dead = threading.local(), []
        def work():
            local.value = Value()
            weakref.finalize(local.value, dead.append, 1)
        t = native.Thread(target=work); t.start(); t.join()
        t = native.threading.Thread(target=work); t.start(); gopoll.offload(t.join)
        print(dead)
    """) == ["[1, 1]"]


def test_a_subclass_begins_anew_in_each_goroutine():
    assert run("""
        class Local(threading.local):
            shared = []
            __slots__ = ("slot", "__dict__")
            def __init__(self, start, *, step=1): self.n, self.step = start, step
            @property
            def twice(self): return 2 * self.n
            @twice.setter
            def twice(self, value): self.n = value // 2
            def count(self): self.n += self.step; return self.n
            def __getattr__(self, name): return f"no {name}"
        local = Local(10, step=5)
        local.slot = "of all"
        print(local.count(), local.count())
        def work():
            print(local.count(), local.twice, local.slot, local.nothing, local.shared)
            local.twice = 8
            print(local.n, vars(local), "n" in dir(local))
        t = threading.Thread(target=work); t.start(); t.join()
        print(local.n)
    """) == [
        "15 20",
        "15 30 of all no nothing []",
        "4 {'n': 4, 'step': 5} True",
        "20",
    ]


def test_what_the_class_wants_to_be_asked_about_comes_first():
    assert run("""
        class Local(threading.local):
            @property
            def one(self): return "property"
            two = "class"
        local = Local()
        vars(local).update(one="own", two="own")
        print(local.one, local.two)
        del local.two
        print(local.two, local.__class__ is Local)
        for wrong in (lambda: local.three, lambda: delattr(local, "three"),
                      lambda: setattr(local, "one", 1), lambda: setattr(local, "__dict__", {})):
            try: wrong()
            except AttributeError as exc: print(str(exc).count("three") + str(exc).count("one"))
    """)[:2] == ["property own", "class True"]


def test_arguments_need_an_init():
    assert run("""
        import pickle
        try: threading.local(1)
        except TypeError as exc: print(exc)
        try: pickle.dumps(threading.local())
        except TypeError as exc: print(exc)
        print(threading.local)
    """) == [
        "Initialization arguments are not supported",
        "cannot pickle '_thread._local' object",
        "<class '_thread._local'>",
    ]


def test_a_failing_init_is_tried_again():
    assert run("""
        class Local(threading.local):
            def __init__(self):
                if threading.current_thread() is not threading.main_thread() and not ready:
                    raise OSError("not yet")
                self.x = 1
        ready, local = [], Local()
        def work():
            try: local.x
            except OSError as exc: print(exc)
            ready.append(1)
            print(local.x)
        t = threading.Thread(target=work); t.start(); t.join()
    """) == ["not yet", "1"]


def test_a_value_that_uses_the_local_while_it_dies():
    assert run("""
        local = threading.local()
        class Value:
            def __del__(self):
                local.last = "words"
                print(local.last)
        def work(): local.value = Value()
        t = threading.Thread(target=work); t.start(); t.join()
        print(len(local._local__dicts))      # that of main
    """) == ["words", "1"]


def test_the_pure_python_one_follows():
    assert run("""
        import _threading_local
        local = _threading_local.local()
        local.x = 1
        def work(): print(hasattr(local, "x"))
        t = threading.Thread(target=work); t.start(); t.join()
    """) == ["False"]
