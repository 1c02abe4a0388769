"""What pytest says about the tests that it ran."""

import re

__all__ = ["failures"]


def failures(result):
    """The text of each failure, by the name of its test."""
    # The summary repeats the messages: one line of each, or all of it where the variable CI is set.
    text = re.split(r"^=+ short test summary info =+$", result.stdout.str(), flags=re.MULTILINE)[0]
    parts = re.split(r"^_{3,} (?:ERROR at \w+ of )?(\S+) _{3,}$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
