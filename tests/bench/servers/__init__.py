"""What is driven from outside: ``python -m tests.bench.servers.LIBRARY KIND``.

Each prints the port of 127.0.0.1 on which it listens, and serves until it is ended; or says "skip"
and why it does not. Each is what somebody who knows the library would write first: a receive of up
to 64 KiB, a send of all of it, and no tuning.
"""
