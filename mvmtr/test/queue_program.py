"""
A stand-in for qmail-queue that checks and records what it gets.

It is copied with an interpreter line in front, and reads in C{plan}, in the folder that the
environment variable RECORD_DIR names, what to do in each of its runs, in words: an exit code;
C{early:N} to exit with that code before reading anything; C{signal:N} to be killed; or
C{text:CODE:TEXT} to exit with that code after writing TEXT to the descriptor that ERROR_FD
names. The last word holds for all further runs.

A run whose envelope is not well-formed is recorded as such and exits 91, as qmail-queue does.
"""

import os
import re


def read_all(descriptor):
    pieces = []
    while piece := os.read(descriptor, 65536):
        pieces.append(piece)
    return b"".join(pieces)


def main():
    folder = os.environb[b"RECORD_DIR"]
    run = 0
    while True:
        try:
            os.mkdir(folder + b"/run%d" % run)
            break
        except FileExistsError:
            run += 1

    def save(name, data):
        with open(folder + b"/run%d/" % run + name, "wb") as file:
            file.write(data)

    with open(folder + b"/plan") as file:
        plan = file.read().split("\n")
    what, _colon, rest = plan[min(run, len(plan) - 1)].partition(":")
    save(b"pid", b"%d" % os.getpid())
    save(b"cwd", os.getcwdb())
    save(b"environment", b"\0".join(name + b"=" + v for name, v in os.environb.items()))
    if what == "early":
        os._exit(int(rest))
    save(b"message", read_all(0))
    envelope = read_all(1)
    save(b"envelope", envelope)
    if what == "signal":
        os.kill(os.getpid(), int(rest))
    if what == "text":
        code, _colon, text = rest.partition(":")
        os.write(int(os.environ["ERROR_FD"]), text.encode())
        os._exit(int(code))
    if not re.fullmatch(rb"F[^\0]*\0(T[^\0]*\0)+\0", envelope):
        os._exit(91)
    os._exit(int(what))


main()
