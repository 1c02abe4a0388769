"""The registry of the patch: what it saves, rebinds and gives back, and what it answers."""

import pytest

from tests.support.script import run_script


def run(code, **env):
    done = run_script(code, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


# A room for a module of our own, which stands beside the others.
ROOM = """
import sys, types
from gopoll import monkey
from gopoll.monkey import registry
from gopoll.monkey.registry import Room
def module(name, **names):
    made = sys.modules[name] = types.ModuleType(name)
    made.__dict__.update(names)
    return made
def room(name, replaces, **options):
    module(f"gopoll.monkey.{name}", ROOM=Room(name, replaces, **options))
class Class:
    def method(self): return "old"
def plain(): return "old"
ours = module("ours", function=plain, Class=Class, constant=1)
"""


def test_places_are_rebound_and_given_back():
    assert run(
        ROOM
        + """
room("ours", {"ours:function": print, "ours:Class.method": lambda self: "new", "ours:fresh": 7})
old = vars(Class)["method"]
registry.enter("ours", "ours")
print(ours.function is print, Class().method(), ours.fresh)
print(registry.original("ours", "function") is plain)
print(registry.original("ours", "Class.method") is old)
try: registry.original("ours", "fresh")
except AttributeError as error: print(error)
registry.leave("ours")
print(ours.function is plain, vars(Class)["method"] is old, hasattr(ours, "fresh"))
print(registry.original("ours", "constant"), registry.saved)
"""
    ) == [
        "True new 7",
        "True",
        "True",
        "ours.fresh exists only by the patch",
        "True True False",
        "1 {}",
    ]


def test_what_this_python_does_not_have_is_optional():
    assert run(
        ROOM
        + """
room("ours", {"ours:function": print, "ours:absent": 1}, optional=frozenset({"ours:absent"}))
registry.enter("ours", "ours")
print(hasattr(ours, "absent"), sorted(registry.saved))
registry.leave("ours")
print(hasattr(ours, "absent"))
"""
    ) == ["False ['ours:function']", "False"]


def test_callbacks_see_the_places_rebound():
    assert run(
        ROOM
        + """
room("ours", {"ours:function": print},
     on_patch=lambda: print("patched", ours.function is print),
     on_restore=lambda: print("about to restore", ours.function is print))
registry.enter("ours", "ours")
registry.enter("ours", "ours")
registry.leave("ours")
registry.leave("ours")
"""
    ) == ["patched True", "about to restore True"]


def test_a_room_waits_for_its_module(tmp_path):
    (tmp_path / "later.py").write_text("def function(): return 'old'\nseen = function()\n")
    (tmp_path / "user.py").write_text("from later import function, seen\n")
    assert run(
        ROOM
        + f"""
sys.path.insert(0, {str(tmp_path)!r})
room("later", {{"later:function": lambda: "new"}})
registry.enter("later", "later")
print(registry.is_in("later"), registry.is_waiting("later"))
import user
print(user.seen, user.function(), registry.is_in("later"), registry.is_waiting("later"))
"""
    ) == ["False True", "old new True False"]


def test_a_room_that_waits_can_be_left():
    assert run(
        ROOM
        + """
monkey.patch_all()
print(monkey.is_patched("ssl"))
monkey.restore()
import ssl
print(monkey.is_patched("ssl"), monkey.patched(), "gopoll.monkey.ssl" in sys.modules)
"""
    ) == ["True", "False [] False"]


def test_a_name_that_stood_in_several_places_follows_by_its_name():
    """Two names of one original, with replacements that differ: only the name can tell."""
    assert run(
        ROOM
        + """
ours.first = ours.second = original = lambda: "old"
user = module("user", first=original, second=original, third=original)
room("ours", {"ours:first": lambda: 1, "ours:second": lambda: 2})
registry.enter("ours", "ours")
registry.settle()
print(user.first(), user.second(), user.third())
registry.leave("ours")
print(user.first is user.second is user.third is original)
"""
    ) == ["1 2 old", "True"]


def test_a_method_that_is_held_by_name_follows():
    assert run(
        ROOM
        + """
user = module("user", method=Class.method)
class Other:
    method = Class.method
Other.__module__ = "user"
user.Other = Other
room("ours", {"ours:Class.method": lambda self: "new"})
registry.enter("ours", "ours")
registry.settle()
print(user.method(Class()), Other().method())
"""
    ) == ["new new"]


def test_numbers_and_flags_never_follow():
    """What is equal, or the same small integer, is not the same thing."""
    assert run(
        ROOM
        + """
ours.flag, ours.number = True, 1
user = module("user", flag=True, number=1, constant=1)
room("ours", {"ours:flag": False, "ours:number": 2, "ours:constant": 3})
registry.enter("ours", "ours")
registry.settle()
print(user.flag, user.number, user.constant)
"""
    ) == ["True 1 1"]


def test_what_was_changed_since_is_not_given_back():
    assert run(
        ROOM
        + """
user = module("user", function=plain)
room("ours", {"ours:function": print})
registry.enter("ours", "ours")
registry.settle()
print(user.function is print)
user.function = max
registry.leave("ours")
print(user.function is max)
"""
    ) == ["True", "True"]


@pytest.mark.parametrize("keeper", ["gevent.core", "debugpy.server", "pydevd", "coverage.x"])
def test_who_needs_the_originals_keeps_them(keeper):
    assert run(
        ROOM
        + f"""
import time
keeper = module({keeper!r}, sleep=time.sleep)
user = module("user", sleep=time.sleep, original_sleep=time.sleep, _real_sleep=time.sleep)
monkey.patch_time()
print(keeper.sleep is time.sleep, user.sleep is time.sleep)
print(user.original_sleep is keeper.sleep is user._real_sleep)
"""
    ) == ["False True", "True"]


def test_modules_written_in_c_keep_their_names():
    assert run("""
import os, posix, io, _io
real_read, real_open = posix.read, _io.open
from gopoll import monkey
monkey.patch_all()
print(posix.read is real_read, os.read is real_read)
print(_io.open is real_open, io.open is real_open)
""") == ["True False", "True False"]


def test_after_import_calls_back_once():
    assert run("""
import sys
from gopoll.monkey import registry
registry.after_import("sys", lambda: print("now"))
registry.after_import("colorsys", lambda: print("later", "colorsys" in sys.modules))
print("before")
import colorsys
del sys.modules["colorsys"]
import colorsys
""") == ["now", "before", "later True"]


def test_a_module_that_is_imported_anew_is_patched_anew():
    assert run("""
import sys
from gopoll import monkey
monkey.patch_all()
import ssl
first = ssl.SSLSocket
del sys.modules["ssl"]
import ssl
print(ssl.SSLSocket is first, vars(ssl.SSLSocket)["read"] is vars(first)["read"])
""") == ["False True"]
