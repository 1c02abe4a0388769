"""`monkey.report`: what is patched, what is left and why, and who came too early."""

import importlib
import re

import pytest

from gopoll import monkey
from tests.support.patched import PAGE, rooms
from tests.support.script import run_script


def run(code, **env):
    done = run_script(code, **env)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_it_is_printed_and_returned():
    out = run("""
import io, sys
from gopoll import monkey
monkey.patch_all(ssl=False)
import socket
report = monkey.report()
file = io.StringIO()
print(repr(report), repr(monkey.report(file)) == repr(report), len(file.getvalue()) > 1000)
""")
    assert out[0] == "gopoll.monkey"
    assert out[-1] == "<Report: 14 modules patched, 0 names stale> True True"
    states = dict(re.findall(r"^  (\w+) +(.+)$", "\n".join(out[: out.index("")]), re.MULTILINE))
    assert states["ssl"] == "not patched"
    assert states["asyncio"] == "as soon as it is imported"
    assert re.fullmatch(r"\d+ names?", states["socket"])


def test_each_place_and_each_reason_is_in_it():
    out = "\n".join(
        run("""
from gopoll import monkey
monkey.patch_all()
import asyncio, multiprocessing, pdb, queue, selectors, ssl, subprocess
monkey.report()
""")
    )
    for name in monkey.MODULES:
        room = importlib.import_module(f"gopoll.monkey.{name}").ROOM
        for place in room.replaces:
            assert place.replace(":", ".") in out, place
        for place, why in room.leaves.items():
            assert re.search(rf"{re.escape(place.replace(':', '.'))} +{re.escape(why)}", out), place


def test_who_imported_a_module_first():
    assert run("""
import io, sys, types
for name in ("first", "second"):
    module = sys.modules[name] = types.ModuleType(name)
    exec("import socket\\nfrom time import sleep\\nheld = (sleep,)", module.__dict__)
from gopoll import monkey
import warnings
warnings.simplefilter("ignore")
monkey.patch_all()
report = monkey.report(io.StringIO())
rooms = {room.name: room for room in report.rooms}
print(rooms["socket"].imported_by, rooms["time"].imported_by, repr(rooms["ssl"].imported_by))
print([(name.name, name.place) for name in report.rebound if name.place == "time:sleep"])
print([name.name for name in report.stale])
print(str(report).splitlines()[-1])
""") == [
        "first first ''",
        "[('first.sleep', 'time:sleep'), ('second.sleep', 'time:sleep')]",
        "['first.held', 'second.held']",
        "  first was the first to import time.sleep; patch before it is imported",
    ]


def test_an_early_patch_has_nothing_stale():
    assert run("""
from gopoll import monkey
monkey.patch_all()
import asyncio, concurrent.futures.process, http.server, logging.handlers, multiprocessing.pool
import queue, smtplib, socketserver, ssl, subprocess, tempfile, urllib.request, xmlrpc.server
import io
print(monkey.report(io.StringIO()).stale)
""") == ["()"]


def test_without_a_patch():
    out = run("from gopoll import monkey; print(repr(monkey.report()))")
    assert out[-1] == "<Report: 0 modules patched, 0 names stale>"
    assert len([line for line in out if line.endswith("not patched")]) == len(monkey.MODULES)


def test_is_patched_answers_by_the_names_of_modules():
    assert run("""
from gopoll import monkey
print(monkey.is_patched("threading"), monkey.patched())
monkey.patch_all()
print(all(map(monkey.is_patched, [*monkey.MODULES, "threading", "_thread", "builtins", "bdb"])))
print(monkey.patched() == list(monkey.MODULES))
""") == ["False []", "True", "True"]


@pytest.mark.parametrize("name", monkey.MODULES)
def test_each_room_says_what_is_left_and_why(name):
    room = importlib.import_module(f"gopoll.monkey.{name}").ROOM
    assert room.name == name
    for place, why in room.leaves.items():
        assert re.fullmatch(r"[\w.]+:[\w.]+", place), place
        assert why
        assert not why.endswith("."), (place, why)
        assert place not in room.replaces, place


def test_the_page_of_names_is_complete():
    """``python -m tests.support.patched PYTHON...`` writes it."""
    text = PAGE.read_text("utf-8")
    for name, (replaces, leaves) in rooms().items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert not [place for place in replaces if f"`{place}`" not in section], name
        assert not [
            place for place, why in leaves.items() if f"| `{place}` | {why} |" not in section
        ]
