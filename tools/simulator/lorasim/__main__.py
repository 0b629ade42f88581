"""``python -m lorasim SCENARIO``: run a scenario against a network server. ``python -m lorasim COMMAND``: the other tools."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "run": "lorasim.run_command",
    "conformance": "lorasim.conformance.command",
    "check": "lorasim.check_command",
    "report": "lorasim.report.command",
    "sink": "lorasim.sink.command",
    "pcap": "lorasim.captures.command",
    "keys": "lorasim.keys",
    "registry": "lorasim.registry",
}
"""The module whose ``main(arguments)`` does it; ``run`` may be left out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: done and all is well, 1: an assertion or an invariant is broken, 2: wrong use."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words.pop(0) if words and words[0] in COMMANDS else "run"
    try:
        code = int(importlib.import_module(COMMANDS[name]).main(words))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads, such as less, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it once more
        return 1
    return code


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
