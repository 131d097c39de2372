#!/usr/bin/env python3
"""Somebody at a terminal: an interactive shell on a pty, and what is typed.

usage: terminal.py STEP... [-- CMD...]
  send:TEXT     types TEXT and return
  key:X         types control-X
  size:RxC      the terminal has R rows and C columns from now on
  hangup        closes the terminal: the last step
  expect:REGEX  waits until that comes, in what has come since the last match
  absent:REGEX  that has not come since the last match
  wait:SECONDS

With CMD, that is there instead of a shell. Prints all that came. Status 1 when what was expected did not come within 15
seconds; else CMD's, 128+N when signal N ended it.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

LIMIT = 15


def read_some(fd, seconds):
    if not select.select([fd], [], [], seconds)[0]:
        return ""
    try:
        return os.read(fd, 65536).decode(errors="replace")
    except OSError:  # nobody has the other end any more
        return ""


def wait_for(fd, seen, pattern):
    end = time.monotonic() + LIMIT
    while True:
        match = re.search(pattern, seen)
        if match:
            return seen[match.end():]
        if time.monotonic() > end:
            print(f"\nterminal.py: did not come: {pattern}")
            return None
        more = read_some(fd, 0.1)
        sys.stdout.write(more)
        seen += more


def read_for(fd, seconds):
    end = time.monotonic() + seconds
    seen = ""
    while time.monotonic() < end:
        more = read_some(fd, 0.05)
        sys.stdout.write(more)
        seen += more
    return seen


def take_steps(fd, steps):
    """Returns the terminal, -1 when it is closed; None when something was not as it should be."""
    seen = ""
    for step in steps:
        what, _, value = step.partition(":")
        if what == "send":
            os.write(fd, value.encode() + b"\n")
        elif what == "key":
            os.write(fd, bytes([ord(value) & 31]))
        elif what == "size":
            rows, columns = map(int, value.split("x"))
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        elif what == "hangup":
            os.close(fd)
            return -1
        elif what == "wait":
            seen += read_for(fd, float(value))
        elif what == "absent":
            if re.search(value, seen):
                print(f"\nterminal.py: came: {value}")
                return None
        elif what == "expect":
            seen = wait_for(fd, seen, value)
            if seen is None:
                return None
    return fd


def read_to_end(fd):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            more = read_some(fd, 0)
            if not more:
                return
            sys.stdout.write(more)


def wait_for_process(pid):
    end = time.monotonic() + 5
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def main():
    steps, command = sys.argv[1:], ["bash", "--norc", "--noprofile", "--noediting", "-i"]
    alone = "--" in steps
    if alone:
        at = steps.index("--")
        steps, command = steps[:at], steps[at + 1:]
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "$ "
        os.execvp(command[0], command)
    end = take_steps(fd, steps)
    if alone and end is not None:
        read_to_end(fd)
    if end != -1:
        os.close(fd)
    status = os.waitstatus_to_exitcode(wait_for_process(pid))
    if end is None:
        sys.exit(1)
    sys.exit((status if status >= 0 else 128 - status) if alone else 0)


main()
