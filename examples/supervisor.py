"""A supervisor: it restarts programs that end, after growing pauses, and stops all on SIGTERM.

    python examples/supervisor.py "sleep 2" "sh -c 'echo at work; sleep 5; exit 1'"

Each program has a goroutine. SIGTERM or Ctrl-C ends the context that they share, and that ends the
programs: by SIGTERM, and by SIGKILL those who are still there when their time is up.
"""

import argparse
import shlex
from signal import SIGINT, SIGTERM

import gopoll
from gopoll import select, time
from gopoll.context import Canceled, Context, background
from gopoll.os.process import DEVNULL, Process
from gopoll.os.signal import notify_context
from gopoll.sync import WaitGroup

LONG = 10.0  # who ran for so many seconds is started again as if nothing had happened


def supervise(ctx: Context, command: str, options: argparse.Namespace) -> None:
    pause = options.pause
    while ctx.err() is None:
        began = time.now()
        try:
            # In a group of its own: Ctrl-C is for us to hear, and what it starts ends with it.
            args, how = shlex.split(command), {"stdin": DEVNULL, "process_group": 0}
            with Process(args, ctx=ctx, grace=options.grace, **how) as child:
                print(f"{command}: started as {child.pid}", flush=True)
                print(f"{command}: ended with {child.wait()}", flush=True)
        except Canceled:  # an instant ago
            return
        except (OSError, ValueError) as error:
            print(f"{command}: {error}", flush=True)
        pause = options.pause if time.now() - began > LONG else min(pause, options.longest)
        select(ctx.done().recv, time.after(pause).recv)
        pause *= 2


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep programs running.")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds, at first (%(default)s)")
    parser.add_argument("--longest", type=float, default=30, help="pause (%(default)s)")
    parser.add_argument("--grace", type=float, default=5, help="seconds to end (%(default)s)")
    parser.add_argument("commands", nargs="+", metavar="COMMAND")
    options = parser.parse_args()

    with notify_context(background(), SIGTERM, SIGINT) as ctx:
        everybody = WaitGroup()
        for command in options.commands:
            everybody.go(supervise, ctx, command, options)
        everybody.wait()
    print("All have ended.", flush=True)


if __name__ == "__main__":
    gopoll.run(main)
