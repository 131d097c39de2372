#!/usr/bin/env python3
"""Somebody at a terminal: an interactive shell on a pty, and what is typed.

usage: terminal.py STEP...
  send:TEXT     types TEXT and return
  key:X         types control-X
  size:RxC      the terminal has R rows and C columns from now on
  hangup        closes the terminal: the last step
  expect:REGEX  waits until that comes, in what has come since the last match
  absent:REGEX  that has not come since the last match
  wait:SECONDS

Prints all that came. Status 1 when what was expected did not come within 15 seconds.
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


def main():
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "$ "
        os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
    seen, failed = "", False
    for step in sys.argv[1:]:
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
            fd = -1
        elif what == "wait":
            end = time.monotonic() + float(value)
            while time.monotonic() < end:
                more = read_some(fd, 0.05)
                sys.stdout.write(more)
                seen += more
        elif what == "absent":
            if re.search(value, seen):
                print(f"\nterminal.py: came: {value}")
                failed = True
        elif what == "expect":
            seen = wait_for(fd, seen, value)
            failed = seen is None
        if failed:
            break
    if fd >= 0:
        os.close(fd)
    end = time.monotonic() + 5
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    sys.exit(failed)


main()
