"""Goroutines and readiness: the scheduler and the poller; this floor knows no socket.

From the ground up: ``clock`` and ``timers`` say when, ``poller`` says which descriptor, ``guard``
and ``waitq`` say who waits, ``goroutine`` is who, ``sched`` decides who runs; ``interrupt`` and
``fork`` keep that true under signals and in children; ``netpoll`` lets a goroutine wait for a
descriptor, ``offload`` for a thread.
"""

__all__: list[str] = []
