"""The benchmark command works, so that it is there when somebody asks what a change costs.

How fast anything is, is not tested: the machine may be busy.
"""

import json
import os
import shutil
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from tests.bench import record, report
from tests.bench.build import ROOT, Unavailable, c_compiler
from tests.bench.contest import enter
from tests.bench.scenarios import SCENARIOS, Goal, Scenario, library, peer

SVG = "{http://www.w3.org/2000/svg}"
linux = pytest.mark.skipif(sys.platform != "linux", reason="the account of CPU time is Linux's")


def bench(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command with gopoll alone, for as short as it may be."""
    short = ("--peers", "gopoll", "--rounds", "2", "--seconds", "0.02")
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *args, *short],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=50,
    )


def kept(folder):
    return json.loads((folder / "record.json").read_text("utf-8"))


@linux
def test_servers_are_driven_and_the_record_is_kept(tmp_path):
    try:
        c_compiler()
    except Unavailable as reason:
        pytest.skip(str(reason))
    done = bench("echo-64b-100", "accept", "bulk", "udp", "--save", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "echo of 64 B, 100 connections" in done.stdout
    found = kept(tmp_path)
    assert found["options"] == {"rounds": 2, "seconds": 0.02}
    assert found["left_out"] == {}
    assert "Linux" in found["machine"]["kernel"]
    assert list(found["scenarios"]) == ["echo-64b-100", "accept", "bulk", "udp"]
    for entry in found["scenarios"].values():
        (figures,) = entry["rounds"].values()
        assert len(figures["cost"]) == 2
        assert all(1 < cost < 1e5 for cost in figures["cost"])
        assert all(rate > 0 for rate in figures["rate"])
        assert entry["goals"] == []  # they are about peers, of which there was none
    assert (tmp_path / "tables.txt").read_text("utf-8") == report.for_documentation(found)


@linux
def test_primitives_measure_themselves(tmp_path):
    done = bench("spawn", "select-16", "parked", "--save", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    scenarios = kept(tmp_path)["scenarios"]
    assert list(scenarios) == ["spawn", "select-16", "parked"]
    assert scenarios["spawn"]["goals"][0]["text"] == "gopoll: at most 2.5"
    assert 1000 < scenarios["parked"]["rounds"]["gopoll"]["bytes"][0] < 100_000


BARE_MACHINE = """
import sys
from pathlib import Path
from tests.bench import __main__ as command
from tests.bench import build
build.PROGRAMS = Path(sys.argv.pop(1))
build.find_spec = lambda name: None
command.main()
"""


@linux
def test_without_a_compiler_the_rest_is_measured(tmp_path):
    short = ("--peers", "gopoll", "--rounds", "1", "--seconds", "0.01")
    done = subprocess.run(
        [sys.executable, "-c", BARE_MACHINE, str(tmp_path), "echo-64b-1", "mutex", *short],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), "CC": ""},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert "left out: gopoll in echo-64b-1: no C compiler" in done.stderr
    assert "mutex: lock and unlock" in done.stdout
    assert "echo" not in done.stdout


def test_what_does_not_exist_is_refused():
    done = bench("ecco")
    assert done.returncode == 2
    assert "no such scenario: ecco" in done.stderr
    assert "echo-64b-100" in done.stderr


def test_the_list_names_every_scenario():
    done = bench("--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[::2]] == list(SCENARIOS)


@linux
@pytest.mark.parametrize(
    ("label", "command", "reason"),
    [
        ("nosuchlibrary", "servers.gopoll echo", "not installed: nosuchlibrary"),
        ("gopoll", "servers.gopoll ecco", "KeyError: 'ecco'"),
    ],
)
def test_who_cannot_take_part_is_left_out_with_a_reason(label, command, reason):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    with pytest.raises(Unavailable, match=reason):
        enter(Scenario("some", "title", {label: command}), label, 0.01)


def test_goals_are_judged_by_the_median_of_the_ratios():
    scenario = Scenario(
        "some",
        "title",
        {"gopoll": "", "go": "", "c": ""},
        goals=(
            Goal(0.5, "go"),
            Goal(0.4, "go"),
            Goal(3.0),
            Goal(1.8, "go", figure="rate", at_least=True),
            Goal(1.0, "c"),
        ),
    )
    rounds = {
        "gopoll": {"cost": [1.0, 2.0, 9.0], "rate": [2.0]},
        "go": {"cost": [2.0, 4.0, 10.0], "rate": [1.0]},
    }
    assert [
        (goal["text"], goal["measured"], goal["holds"])
        for goal in record.outcome(scenario, rounds)["goals"]
    ] == [
        ("gopoll: at most 0.5 x go", 0.5, True),
        ("gopoll: at most 0.4 x go", 0.5, False),
        ("gopoll: at most 3", 2.0, True),
        ("gopoll, throughput: at least 1.8 x go", 2.0, True),
    ]


def test_goals_are_about_contestants():
    for scenario in SCENARIOS.values():
        for goal in scenario.goals:
            assert {goal.of, goal.beside} - {""} <= set(scenario.contestants), scenario.name
        assert set(scenario.idle) <= set(scenario.contestants)


def made_up():
    """A record in which everybody took part in everything."""
    scenarios = {}
    for name, scenario in SCENARIOS.items():
        rounds = {
            label: {scenario.figure: [i + 1.0, i + 2.0], "cost": [i + 1.0, i + 1.5]}
            for i, label in enumerate(scenario.contestants)
        }
        for label, idle in scenario.idle.items():
            rounds[label] |= {"idle": [7000.0, 7000.0]} if idle else {}
        scenarios[name] = record.outcome(scenario, rounds)
    machine = {"date": "2026-01-01 00:00 UTC", "kernel": "Linux"}
    options = {"rounds": 2, "seconds": 0.3}
    return {"machine": machine, "options": options, "left_out": {}, "scenarios": scenarios}


def test_every_scenario_has_its_table():
    text = report.for_documentation(made_up())
    for name, scenario in SCENARIOS.items():
        table = text.partition(f"\n### {name}\n")[2].partition("\n###")[0]
        assert all(f"\n| {label} | " in table for label in scenario.contestants), name


def test_plots_are_well_formed_and_the_same_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    once, again = tmp_path / "once", tmp_path / "again"
    for folder in (once, again):
        record.save(made_up(), folder)
        done = bench("--redraw", "--folder", str(folder))
        assert done.returncode == 0, done.stderr
        assert (folder / "tables.txt").read_text("utf-8") == report.for_documentation(made_up())
    pictures = sorted(once.glob("*.svg"))
    names = ["echo", "idle", "memory", "network", "patched", "primitives"]
    assert [path.stem for path in pictures] == names
    for path in pictures:
        root = ET.fromstring(path.read_text("utf-8"))
        assert root.tag == f"{SVG}svg"
        words = {"".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")}
        assert any(word.startswith("gopoll") for word in words), path.name
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_the_documentation_shows_the_record():
    home = ROOT / "docs" / "bench"
    found = record.load(home)
    assert set(found["scenarios"]) <= set(SCENARIOS)
    assert (home / "tables.txt").read_text("utf-8") == report.for_documentation(found)
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for path in home.glob("*.svg"):
        ET.parse(path)
        assert f"(bench/{path.name})" in page
    assert {peer(label) for s in SCENARIOS.values() for label in s.contestants} >= {"gopoll", "c"}
    assert library("uvloop-streams") == "uvloop"
