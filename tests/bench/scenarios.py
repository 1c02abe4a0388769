"""What is measured, against whom, and what gopoll is to reach: data.

A contestant is called by a label whose first word is a peer's name, and that begins with the
library: "gopoll-poll 9000 idle" is gopoll on its poll poller.
"""

import re
from dataclasses import dataclass, field

__all__ = ["SCENARIOS", "Goal", "Scenario", "library", "peer"]


@dataclass(frozen=True)
class Goal:
    """A bound for a figure of `of`: for its ratio to that of `beside`, or for itself without one.

    It is the most that the figure may be; with `at_least`, the least.
    """

    bound: float
    beside: str = ""
    of: str = "gopoll"
    figure: str = ""  # the scenario's own, if empty
    at_least: bool = False


@dataclass(frozen=True)
class Scenario:
    """An operation, and who does it.

    `contestants` maps labels to commands: a module of this package or a source to compile, with
    arguments, and variables of the environment before it. For imports it is what is imported.
    """

    name: str
    title: str
    contestants: dict[str, str]
    way: str = "served"  # or inside, parked, import
    figure: str = "cost"  # the one that is compared
    unit: str = "us of CPU"  # of that figure
    mode: str = "echo"  # what the load generator does; "tls" is the other generator's echo
    connections: int = 0
    size: int = 64
    idle: dict[str, int] = field(default_factory=dict)  # silent connections, by label
    pinned: bool = True  # the server to one core
    needs: tuple[str, ...] = ()  # packages
    goals: tuple[Goal, ...] = ()

    def compared(self, label: str) -> tuple[str, str]:
        """Of which two the ratio in a label's row is; `ratio` says it in words."""
        first = next(iter(self.contestants))
        if self.idle:
            return label, f"{peer(label)} 0 idle"
        return (label, first) if self.figure == "rate" else (first, label)

    @property
    def ratio(self) -> str:
        """The head of the column of ratios."""
        if self.idle:
            return "it/0 idle"
        return "it/1 worker" if self.figure == "rate" else "gopoll/it"


def peer(label: str) -> str:
    return label.split(maxsplit=1)[0]


def library(label: str) -> str:
    return re.split("[- ]", label)[0]


ECHO = {
    "gopoll": "servers.gopoll echo",
    "gevent": "servers.gevent echo",
    "eventlet": "servers.eventlet echo",
    "asyncio-streams": "servers.asyncio streams",
    "asyncio-protocol": "servers.asyncio protocol",
    "uvloop-streams": "servers.asyncio streams uvloop",
    "uvloop-protocol": "servers.asyncio protocol uvloop",
    "trio": "servers.trio echo",
    "threads": "servers.threads echo",
    "go": "servers/echo.go echo",
    "c": "servers/echo.c echo",
}
UDP = {
    "gopoll": "servers.gopoll udp",
    "gevent": "servers.gevent udp",
    "eventlet": "servers.eventlet udp",
    "asyncio": "servers.asyncio udp",
    "uvloop": "servers.asyncio udp uvloop",
    "trio": "servers.trio udp",
    "threads": "servers.threads udp",
    "go": "servers/echo.go udp",
    "c": "servers/echo.c udp",
}


def patched(kind: str) -> dict[str, str]:
    names = ("gopoll", "gevent", "eventlet", "threads")
    return {name: f"servers.stdlib {name} {kind}" for name in names}


TLS = {
    **patched("tls"),
    "asyncio-streams": "servers.asyncio tls",
    "uvloop-streams": "servers.asyncio tls uvloop",
}

POLLERS = {
    "gopoll": ("servers.gopoll echo", (0, 1000, 9000)),
    "gopoll-poll": ("GOPOLL_POLLER=poll servers.gopoll echo", (0, 1000, 9000)),
    "gopoll-select": ("GOPOLL_POLLER=select servers.gopoll echo", (0, 900)),  # and no further
    "gevent": ("servers.gevent echo", (0, 1000, 9000)),
    "threads": ("servers.threads echo", (0, 1000, 9000)),
}
IDLE = {f"{name} {n} idle": n for name, (_, levels) in POLLERS.items() for n in levels}

LIBRARIES = ("gopoll", "gevent", "eventlet", "asyncio", "uvloop", "trio", "go")


def inside(*names: str) -> dict[str, str]:
    known = {name: f"primitives.{name}" for name in names}
    known |= {"uvloop": "primitives.asyncio uvloop", "gevent-loop": "primitives.gevent loop"}
    known |= {"go": "primitives/go.go"}
    return {name: known[name] for name in names}


def echo(size: int, connections: int, *goals: Goal) -> Scenario:
    bytes_ = f"{size} B" if size < 1024 else f"{size // 1024} KiB"
    name = f"echo-{bytes_.replace(' ', '').lower()}-{connections}"
    many = f"{connections:,} connection{'s' * (connections > 1)}"
    return Scenario(
        name, f"echo of {bytes_}, {many}", ECHO, connections=connections, size=size, goals=goals
    )


def primitive(name: str, title: str, *goals: Goal, who: tuple[str, ...] = LIBRARIES) -> Scenario:
    return Scenario(name, title, inside(*who), way="inside", goals=goals)


BEYOND_GEVENT_AND_GO = (Goal(0.6, "gevent"), Goal(1.1, "go"))
TIMERS = ("gopoll", "gevent", "gevent-loop", "asyncio", "uvloop", "go")
TIMER_GOALS = (Goal(0.5, "gevent"), Goal(1.0, "asyncio"))

_ALL = [
    echo(64, 1),
    echo(
        64,
        100,
        Goal(0.40, "gevent"),
        Goal(0.50, "asyncio-streams"),
        Goal(1.0, "go"),
        Goal(1.1, "uvloop-protocol"),
        Goal(1.4, "c"),
    ),
    echo(64, 1000),
    echo(16384, 1),
    echo(16384, 100, *BEYOND_GEVENT_AND_GO),
    echo(16384, 1000),
    Scenario(
        "bulk",
        "a stream through one connection and back, for each 64 KiB",
        ECHO,
        mode="stream",
        connections=1,
        size=65536,
        goals=BEYOND_GEVENT_AND_GO,
    ),
    Scenario(
        "accept",
        "accept, echo of 64 B, close; 50 at a time",
        ECHO,
        mode="churn",
        connections=50,
        goals=BEYOND_GEVENT_AND_GO,
    ),
    Scenario(
        "idle",
        "echo of 64 B on 100 connections, beside silent ones (select: up to 1,024 in all)",
        {label: POLLERS[peer(label)][0] for label in IDLE},
        connections=100,
        idle=IDLE,
        goals=(
            Goal(1.25, "gopoll 0 idle", "gopoll 9000 idle"),
            Goal(0.85, "gevent 9000 idle", "gopoll 9000 idle", "idle"),
            Goal(6500, "", "gopoll 9000 idle", "idle"),
        ),
    ),
    Scenario("udp", "echo of 64 B by UDP, 100 clients", UDP, mode="udp", connections=100),
    Scenario("tls", "echo of 64 B by TLS, 100 connections", TLS, mode="tls", connections=100),
    primitive("spawn", "spawn, run and finish", Goal(2.5), Goal(0.12, "gevent")),
    primitive("yield", "yield to another one", Goal(0.35, "gevent")),
    primitive("channel", "round trip over unbuffered channels", Goal(0.30, "gevent")),
    primitive("buffered", "a value through a channel with room for 100"),
    primitive("select-2", "select of 2 channels", who=("gopoll", "go")),
    primitive("select-16", "select of 16 channels", who=("gopoll", "go")),
    primitive("mutex", "lock and unlock a free mutex"),
    primitive("timers-cancel", "arm and cancel one of 100,000 timers", *TIMER_GOALS, who=TIMERS),
    primitive("timers-fire", "one of 100,000 timers armed and fired", *TIMER_GOALS, who=TIMERS),
    Scenario(
        "parked",
        "memory of one of 20,000 that are parked",
        inside(*LIBRARIES),
        way="parked",
        figure="bytes",
        unit="bytes",
    ),
    Scenario(
        "socketserver",
        "the patched socketserver: echo of 64 B, 100 connections",
        patched("socketserver"),
        connections=100,
        goals=(Goal(0.6, "gevent"),),
    ),
    Scenario(
        "http",
        "the patched http.server: GET, 20 connections",
        patched("http"),
        mode="http",
        connections=20,
    ),
    Scenario(
        "flask",
        "gunicorn with a Flask application: GET, 20 connections",
        {name: f"servers.flask {name}" for name in ("gopoll", "gevent", "threads")},
        mode="http",
        connections=20,
        needs=("gunicorn", "flask"),
        goals=(Goal(0.95, "gevent"),),
    ),
    Scenario(
        "redis",
        "a patched client of redis: a command in a pipeline, 10 threads",
        {n: f"primitives.stdlib {n}" for n in ("gopoll", "gevent", "eventlet", "threads")},
        way="inside",
        needs=("redis",),
    ),
    Scenario(
        "import",
        "import, beyond the start of the interpreter",
        {
            "gopoll": "gopoll",
            "gopoll net": "gopoll.net",
            "gevent": "gevent",
            "gevent socket": "gevent.socket",
            "eventlet": "eventlet",
            "asyncio": "asyncio",
            "trio": "trio",
        },
        way="import",
        figure="import",
        unit="ms of CPU",
    ),
    Scenario(
        "workers",
        "net.serve with a handler that computes, one worker and two",
        {
            "gopoll 1 worker": "servers.gopoll workers 1",
            "gopoll 2 workers": "servers.gopoll workers 2",
        },
        figure="rate",
        unit="operations per second",
        connections=20,
        pinned=False,
        goals=(Goal(1.8, "gopoll 1 worker", "gopoll 2 workers", at_least=True),),
    ),
]
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
