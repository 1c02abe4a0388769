"""What gopoll costs beside its peers: ``python -m tests.bench``.

The figure is the CPU time, user and system, that a server uses for each operation, by the account
of the kernel; beside it stand throughput and latency, which say as much about the machine and the
client. Everything is a ratio in the end: all contestants of a scenario are alive at once and are
driven in turns, round after round, each round in another order, so that a busy or a throttled
machine slows all of them alike. What is printed is the median of the ratios of each round, and
between which they were.

    scenarios     which operations there are, who takes part, and what gopoll is to reach: data
    contest       one contestant: the processes that it needs, and a round of it
    machine       processor time, memory, cores, and what machine this is
    build         compiles the C and Go sources of this room, once
    servers/      what is driven from outside, by
    load.c        the load generator, or load_tls, the one that speaks TLS
    primitives/   what is measured from inside
    record        the rounds of a run: medians, ratios, goals; kept as JSON
    report        a record as text for a terminal, and for the documentation
    plots         a record as pictures

The server has one core and the load generator the others. Where there is only one core they share
it, which costs throughput, while the figure stays right. Linux only: elsewhere the kernel does not
give this account.
"""
