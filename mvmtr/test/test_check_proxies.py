"""What C{mvmtr check} says about proxies."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import environment, folder


class CheckTests(SynchronousTestCase):
    """The program, as it is run."""

    def check(self, *arguments):
        """The lines that it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "mvmtr", "check", "--no-qmail", "--queue=discard:",
             *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
            check=True, cwd=folder(self),
        )  # fmt: skip
        return done.stdout.splitlines()

    def warnings(self, *arguments):
        lines = self.check("--set=smtp_server_rcpt_domains=x.example", *arguments)
        return [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]

    def test_the_networks_are_shown_as_they_are_written(self):
        lines = self.check("--set=smtp_server_proxy_networks=192.0.2.1,2001:db8::/32")
        (row,) = [line.split() for line in lines if "smtp_server_proxy_networks" in line]
        self.assertEqual(row[1:3], ["192.0.2.1/32", "2001:db8::/32"])

    def test_everybody_is_no_proxy(self):
        for name in ("smtp_server_proxy_networks", "smtp_server_xclient_networks"):
            for network in ("0.0.0.0/0", "::/0"):
                (warning,) = self.warnings("--set", f"{name}=192.0.2.1,{network}")
                wanted = f"{name}: with {network} everybody can say that he is somebody else"
                self.assertEqual(warning, wanted)

    def test_a_proxy_that_may_relay_is_a_warning(self):
        rules = folder(self) / "rules.cdb"
        subprocess.run(
            ["tcprules", rules, f"{rules}.tmp"],
            input=b'192.0.2.1:allow,RELAYCLIENT=""\n:allow\n', check=True,
        )  # fmt: skip
        warnings = self.warnings(
            f"--tcp-rules={rules}", "--set=smtp_server_proxy_networks=192.0.2.1 192.0.2.2"
        )
        self.assertEqual(
            warnings,
            ["the rules let the proxy 192.0.2.1/32 relay, and with it whom it does not name"],
        )
