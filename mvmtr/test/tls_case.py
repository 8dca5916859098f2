"""A server with TLS in the process of the tests."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from mvmtr.assemble import Assembly, Sources
from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.server import ReceiverFactory
from mvmtr.test.certificates import Authority
from mvmtr.test.documentation import watch
from mvmtr.test.stand_ins import Takes
from mvmtr.test.support import CLIENT, LoopbackServer, control_folder, folder


class TlsTestCase(TestCase):
    """A server in this process on a real port, with a certificate."""

    def serve(self, *checks, **overrides):
        """Start it; the port."""
        self.home = folder(self)
        self.authority = Authority(self.home)
        control_folder(
            self.home, {"servercert.pem": self.authority.text("mx.example"), "rcpthosts": "x.y"}
        )
        self.queue = Takes()
        self.read(*checks, **overrides)
        self.records = watch(self)
        self.factory = ReceiverFactory(
            lambda connection: self.assembly.for_connection(connection),
            anonymous_portal(),
            lambda _raw: CLIENT,
            lambda: self.assembly.configuration.settings,
        )
        self.server = LoopbackServer(self.factory)
        self.addCleanup(self.server.stop)
        self.tls = self.authority.client()
        return self.server.port

    def read(self, *checks, **overrides):
        """Read the configuration, as a program does when it starts."""
        overrides.setdefault("smtp_server_rcpt_domains", "mvmtr.example")
        overrides.setdefault("usehostname", "mx.example")
        control = str(self.home / "control")
        sources = Sources(control, queue="discard:", overrides=overrides, checks=checks)
        self.assembly = Assembly(sources, reactor)
        self.assembly.configuration = replace(self.assembly.configuration, queue=self.queue)

    async def until(self, condition):
        """Wait until something holds."""
        for _try in range(3000):
            if condition():
                return
            pause = Deferred()
            reactor.callLater(0.01, pause.callback, None)
            await pause
        self.fail("it never came true")

    def logged(self, event):
        return [record for record in self.records if record["event"] == event]

    async def ended(self, count=1):
        """The lines about sessions that are over."""
        await self.until(lambda: len(self.logged("connection")) >= count)
        return self.logged("connection")
