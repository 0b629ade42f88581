"""The process that runs scripts: one request after the other over its standard input and output.

It is started as a file of its own and imports nothing of ours. Before the first request it gives up what it does not need:
new descriptors (so files and sockets), other processes, file sizes, and memory beyond what it has and the script may take.
Every call has a context of its own, so that no call sees what another left.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from typing import Any

import quickjs  # type: ignore[import-untyped]

HEAD = struct.Struct(">I")
NO_DESCRIPTORS = 3
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
PAGE = os.sysconf("SC_PAGE_SIZE")
ERROR_LENGTH = 400
STACK_BYTES = 512 * 1024
KIT = "({ parse: JSON.parse, stringify: JSON.stringify, Date: Date, list: Array.from.bind(Array) })"
"""What calling a script needs, taken before the script can replace it."""


def give_up(memory_bytes: int) -> None:
    """Limits that nothing in this process can lift again."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with open("/proc/self/statm") as statm:
        own = int(statm.read().split()[0]) * PAGE
    limits = {
        resource.RLIMIT_AS: own + memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: NO_DESCRIPTORS,
    }
    for which, limit in limits.items():
        resource.setrlimit(which, (limit, limit))


def read(length: int) -> bytes:
    """Exactly so many bytes of the input; ends the process when it is closed."""
    data = b""
    while len(data) < length:
        part = os.read(0, length - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


def write(data: bytes) -> None:
    """All bytes to the output."""
    data = HEAD.pack(len(data)) + data
    while data:
        data = data[os.write(1, data) :]


def run(prelude: str, call: str, request: dict[str, Any], settings: dict[str, Any]) -> bytes:
    """The JSON that a call gives: ``{"result": …}``, ``{"missing": …}`` or ``{"error": …}``."""
    context = quickjs.Context()
    context.set_memory_limit(settings["script_bytes"])
    context.set_max_stack_size(STACK_BYTES)
    context.set_time_limit(settings["cpu_s"])
    try:
        context.eval(prelude)
        kit = context.eval(KIT)
        context.eval(request["script"])
        text = context.eval(call)(kit, json.dumps(request["input"]))
        if not isinstance(text, str):
            return error("the script gave nothing that is JSON")
        answer = text.encode()
    except quickjs.JSException as failure:
        return error(str(failure))
    except (MemoryError, UnicodeError, ValueError, RecursionError) as failure:
        return error(f"{type(failure).__name__}: {failure}")
    if len(answer) > settings["output_bytes"]:
        return error(f"the script gave {len(answer)} bytes, at most {settings['output_bytes']} are taken")
    return answer


def error(text: str) -> bytes:
    """An answer that says what went wrong."""
    first = text.replace("\n", " ").strip()[:ERROR_LENGTH]
    return json.dumps({"error": first}).encode("utf-8", "backslashreplace")


def main() -> None:
    settings = json.loads(sys.argv[1])
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "prelude.js"), encoding="utf-8") as file:
        prelude = file.read()
    with open(os.path.join(here, "call.js"), encoding="utf-8") as file:
        call = file.read()
    run(prelude, call, {"script": "function decodeUplink() { return {}; }", "input": {"bytes": []}}, settings)
    give_up(settings["memory_bytes"])
    write(b"{}")
    while True:
        request = json.loads(read(HEAD.unpack(read(HEAD.size))[0]))
        try:
            answer = run(prelude, call, request, settings)
        except BaseException as failure:  # whatever it is, the next request must not meet it
            answer = error(f"{type(failure).__name__}: {failure}")
        write(answer)


if __name__ == "__main__":
    main()
