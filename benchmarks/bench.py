"""
Measure how fast mail is received: a real C{twistd mvmtr}, and the servers that are found here, on
loopback.

README.rst beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import report
from load import Unexpected
from measure import Figures, measure, medians
from peers import HandOff, Mvmtr, Peer, Postfix, QmailSmtpd, SmtpSink, Stock
from shapes import SHAPES
from soak import idle


def peers_of(options: argparse.Namespace) -> list[Peer]:
    """The servers that are there and wanted."""
    peers: list[Peer] = [Mvmtr(more=options.mvmtr_option)]
    peers += [Mvmtr(folder.resolve().name, folder.resolve()) for folder in options.compare]
    if options.handoff:
        peers.append(HandOff(options.handoff.resolve()))
    if options.qmail_smtpd:
        peers.append(QmailSmtpd(options.qmail_smtpd.resolve(), options.qmail_home.resolve()))
    peers += [Stock("twisted"), Stock("aiosmtpd"), Postfix(), SmtpSink()]
    found = [peer for peer in peers if peer.found()]
    if options.only is None:
        return found
    missing = set(options.only) - {peer.name for peer in found}
    if missing:
        raise SystemExit(f"not here: {', '.join(sorted(missing))}")
    return [peer for peer in found if peer.name in options.only]


def run(options: argparse.Namespace, peers: list[Peer]) -> report.Results:
    """Measure every shape, round by round, all servers by turns."""
    results: report.Results = {
        "machine": report.machine(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "load": os.getloadavg()[0],
        "shapes": {},
    }
    for name in options.shapes:
        if name == "idle":
            few = [peer for peer in peers if not peer.many and peer.name != "smtp-sink"]
            results["shapes"]["idle"] = {peer.name: idle(peer, options.idle) for peer in few}
            continue
        shape = SHAPES[name]
        rounds: dict[str, list[Figures]] = {}
        for turn in range(options.rounds):
            for peer in peers:
                if not peer.takes(shape):
                    continue
                try:
                    figures = measure(peer, shape, options.seconds)
                except Unexpected as error:
                    print(f"{name}: {peer.name}: {error}", file=sys.stderr)
                    continue
                rounds.setdefault(peer.name, []).append(figures)
                rate = f"{figures.rate:.0f}/s"
                print(f"{name}, round {turn + 1}: {peer.name} {rate}", file=sys.stderr)
        results["shapes"][name] = {
            peer: {
                "median": medians(figures)._asdict(),
                "rounds": [one._asdict() for one in figures],
            }
            for peer, figures in rounds.items()
        }
    return results


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure how fast mail is received.")
    add = parser.add_argument
    shapes = [*SHAPES, "idle"]
    add("--shapes", nargs="+", choices=shapes, default=shapes, metavar="SHAPE", help=str(shapes))
    add("--only", nargs="+", metavar="NAME", help="these servers only, by the names of the tables")
    add("--rounds", type=_positive(int), help="of all servers by turns [3]")
    add("--seconds", type=_positive(float), help="of each server in each round [2]")
    add("--idle", type=_positive(int), help="idle connections [10000]")
    add("--quick", action="store_true", help="one round of 0.7 seconds, 1000 idle connections")
    add("--mvmtr-option", action="append", default=[], metavar="OPTION", help="one more for mvmtr")
    add("--compare", type=Path, action="append", default=[], metavar="FOLDER",
        help="another checkout of mvmtr as a further server")  # fmt: skip
    add("--handoff", type=Path, metavar="PROGRAM", help="a launcher: tcpserver with it is measured")
    add("--qmail-smtpd", type=Path, metavar="PROGRAM", help="tcpserver with it is measured")
    add("--qmail-home", type=Path, metavar="FOLDER",
        help="what it was compiled for; it must have no control folder")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    for name, quick, normal in (("rounds", 1, 3), ("seconds", 0.7, 2.0), ("idle", 1000, 10000)):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else normal)
    if (options.qmail_smtpd is None) != (options.qmail_home is None):
        parser.error("--qmail-smtpd and --qmail-home go together")
    for program in filter(None, (options.qmail_smtpd, options.handoff)):
        if not os.access(program, os.X_OK):
            parser.error(f"{program}: not a program")
    return options


def _positive(kind: type) -> object:
    """A type of a number above zero, for the command line."""

    def number(text: str) -> float:
        value: float = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"not above zero: {text}")
        return value

    return number


def main() -> None:
    """Run all rounds and print what came of them."""
    options = parse_options()
    results = run(options, peers_of(options))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    report.show(results)


if __name__ == "__main__":
    main()
