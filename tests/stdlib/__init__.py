"""CPython's own tests under `gopoll.monkey`, beside the same tests without it.

    python -m tests.stdlib                           every module: takes a long time
    python -m tests.stdlib --quick                   less than two minutes
    python -m tests.stdlib --baseline FILE           remember what passes unpatched
    python -m tests.stdlib test_select test_queue    only these

Each module runs unpatched and patched, in child processes of its own, from the tests that belong to
this Python. The table says how many of the cases that pass unpatched pass patched. The exit status
is 1 when a case is lost that `known.toml` does not list, when a listed one is not lost any more, or
when anything hangs.

From the command to the table:

    __main__.py   the command
    modules.py    which modules
    store.py      the unpatched outcomes, kept in a file
    run.py        one module: children until each case has an outcome
    processes.py  one child: its environment, its end and that of all it started
    child.py      in the child: runs the cases, notes each step
    report.py     what is lost; known.toml: why that is all right
"""
