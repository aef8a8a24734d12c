"""What a command costs, seen from outside it."""

import contextlib
import os
import platform
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

LOOK_EVERY_S = 0.1
MIB = 1 << 20


class Failed(Exception):
    """A command that did not do its work, and what it said."""


def tree(root):
    """Processes below and including `root`."""
    children = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            # The parent is the second field after the command, which is in parentheses and may hold anything.
            stat = Path(f"/proc/{int(entry)}/stat").read_text()
            children.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += children.get(process, [])
    return found


def proportional_set_size(process):
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def watch(root, ended, peak):
    """Keeps the largest memory of a process tree in `peak`, until it has ended."""
    while not ended.is_set():
        peak[0] = max(peak[0], sum(map(proportional_set_size, tree(root))))
        ended.wait(LOOK_EVERY_S)


def measure(command):
    """Runs `command`; its output, and what it cost."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+", errors="replace") as complaints:
        began = time.monotonic()
        try:
            child = subprocess.Popen(command, stdout=output, stderr=complaints, stdin=subprocess.DEVNULL)
        except OSError as why:
            raise Failed(f"{command[0]}: {why.strerror}") from why
        ended, peak = threading.Event(), [0]
        watcher = threading.Thread(target=watch, args=(child.pid, ended, peak))
        watcher.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        ended.set()
        watcher.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        complaints.seek(0)
        if child.returncode:
            raise Failed(f"{Path(command[0]).name} ended with {child.returncode}: {complaints.read()[-600:].strip()}")
        return output.read(), {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": peak[0]}


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) >> 20
    return f"{len(os.sched_getaffinity(0))} cores of {model}, {memory} GiB, Linux {platform.release().split('-')[0]}"
