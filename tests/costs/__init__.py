"""What an operation costs, counted: a guard that does not depend on the machine's mood.

    python -m tests.costs                       count, and compare with what is recorded
    python -m tests.costs echo switch           only these
    python -m tests.costs --record              record what this interpreter counts
    python -m tests.costs --record PYTHON ...   record what each of these counts

Times vary by a third on a machine that others use, too. Three things do not vary, and each is
counted for one echo, one switch and so on: a long run of the scenario less a short one, divided by
how many operations it is longer. So what a run costs by itself drops out.

    ============  ===============  ==================  ==========================================
    counted       by               depends besides on  compared with what is recorded
    ============  ===============  ==================  ==========================================
    bytecodes     the interpreter  release (3.11 ...)  wrong if they differ by more than 0.5 %
    instructions  valgrind         build of Python     wrong if they differ by more than 5 %
    system calls  strace           nothing             wrong if they differ at all
    ============  ===============  ==================  ==========================================

Bytecodes tell what gopoll's own code does, on any machine, and see a single call that was added.
Instructions see besides what happens in C: an exception raised, memory asked for, a bytecode that
is specialized no more; where things come to lie in memory moves them by less than 1 %, those of a
switch by 4 %. Another build of the same release executes up to 7 % more or less, and a loop counted
beside it does not tell how many, since some operations are mostly bytecodes and others mostly C. So
on a build that `recorded.json` does not have they are not compared, and the other two hold the
line. What came out cheaper than recorded is wrong as well: it wants to be recorded, or could be
lost again unnoticed.

From the program to the verdict:

    scenarios.py   what is measured
    program.py     runs scenarios in a process of its own, with a mark before and after each run
    bytecodes.py   the same, counting bytecodes itself
    count.py       starts it, under valgrind or strace, and makes figures of what lies between marks
    record.py      recorded.json, and what differs from it
    __main__.py    the command
"""
