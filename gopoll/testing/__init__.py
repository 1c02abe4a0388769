"""What honest tests of concurrent code need: a clock that waits, idleness, order by seed, no leaks.

None of it sleeps. In a `bubble` time moves by itself once everybody waits; under `fake_clock` it
moves by hand. `wait_idle` returns when every other goroutine waits, `seeded` makes one order out of
many repeatable, `no_leaks` fails on what was left behind.
"""

from gopoll.testing.bubble import Bubble, bubble
from gopoll.testing.clock import FakeClock, fake_clock
from gopoll.testing.idle import wait_idle
from gopoll.testing.leak import no_leaks
from gopoll.testing.seed import seeded

__all__ = ["Bubble", "FakeClock", "bubble", "fake_clock", "no_leaks", "seeded", "wait_idle"]
