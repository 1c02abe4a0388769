"""The program, counting its own bytecodes: ``python -m tests.costs.bytecodes [NAME...]``.

Prints what was counted at each mark. Counting begins before gopoll is imported: what it makes then,
the greenlet of the scheduler for one, is under the eyes of the tracer from its first step on.
"""

import json
import sys
import threading
from types import CodeType, FrameType
from typing import Any

__all__ = ["Counter"]


class Counter:
    """Counts the bytecodes of the calling thread."""

    def __init__(self) -> None:
        self.count = 0

    def start(self) -> None:
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            monitoring.use_tool_id(monitoring.PROFILER_ID, "bytecodes")
            event = monitoring.events.INSTRUCTION
            monitoring.register_callback(monitoring.PROFILER_ID, event, self.step)
            monitoring.set_events(monitoring.PROFILER_ID, event)
        else:
            sys.settrace(self.trace)
            threading.settrace(self.trace)

    def step(self, code: CodeType, offset: int) -> None:
        self.count += 1

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "call":
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode":
            self.count += 1
        return self.trace


if __name__ == "__main__":
    counter = Counter()
    counter.start()
    from tests.costs import program

    counts: list[int] = []
    program.main(sys.argv[1:], lambda: counts.append(counter.count))
    print(json.dumps(counts))
