"""Processes that have imported train.py already, which takes seconds: forked from one that has.

python3 -m tests.helpers.forked reads orders, a line of JSON each, and answers with a number:
{"words": of two_ranks.main, "stderr": file, "env": {...}, "method": how it starts processes}
    starts one; the answer is its id
{"wait": id}
    waits for its end; the answer is its exit status, or minus the signal that ended it
"""

import json
import os
import subprocess
import sys

import psutil

from tests.helpers.paths import ROOT


class Server:
    """Starts such processes; leave it with `close`."""

    def __init__(self):
        command = [sys.executable, "-m", "tests.helpers.forked"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=ROOT, bufsize=0, **pipes)

    def ask(self, **order) -> int:
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Process:
    """One of them. words: what two_ranks.main does. method: how it starts processes of its own."""

    def __init__(self, server, stderr, words, env=None, method="fork"):
        self.server, self.stderr = server, stderr
        stderr.write_text("")
        words = list(map(str, words))
        order = {"words": words, "stderr": str(stderr), "env": env or {}, "method": method}
        self.pid = server.ask(**order)

    def alive(self) -> bool:
        return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE

    def wait(self) -> int:
        return self.server.ask(wait=self.pid)


def start(order: dict) -> int:
    if child := os.fork():
        return child
    try:
        os.setpgid(0, 0)
        torch.multiprocessing.set_start_method(order["method"], force=True)
        os.dup2(os.open(order["stderr"], os.O_WRONLY | os.O_APPEND), sys.stderr.fileno())
        os.environ.update(order["env"])
        two_ranks.main(order["words"])
    except SystemExit as end:
        os._exit(end.code or 0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    import traceback

    import torch

    from tests.helpers import two_ranks

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        else:
            print(start(order), flush=True)
    os._exit(0)  # without taking torch apart
