"""Tests for L{mvmtr.live}: edits act on the next connection."""

from __future__ import annotations

import os
import shutil
import signal
import smtplib
import subprocess
import time

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from mvmtr import live
from mvmtr.assemble import ConfigurationError, Sources
from mvmtr.live import LiveConfiguration
from mvmtr.session import Connection
from mvmtr.stamps import is_settled
from mvmtr.test.support import (
    control_folder,
    environment,
    folder,
    free_port,
    twistd,
    wait_for_port,
)


class LiveConfigurationTests(SynchronousTestCase):
    """Reading again, and not."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "one.example\n", "rcpthosts": "a.example"})
        self.live = LiveConfiguration(
            Sources(control_dir=str(self.control), queue="discard:"), Clock()
        )
        self.events = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    @property
    def errors(self):
        return [e["complaint"] for e in self.events if "complaint" in e]

    def name(self):
        self.live.refresh()
        return self.live.for_connection(Connection()).settings.usehostname

    def settle(self):
        """Let the files look as if they had been edited long ago."""
        for path in self.control.iterdir():
            os.utime(path, (1e9, 1e9))
        self.live.refresh()

    def test_an_edit_acts_on_the_next_connection(self):
        self.settle()
        self.assertEqual(self.name(), b"one.example")
        (self.control / "me").write_text("two.example\n")
        self.assertEqual(self.name(), b"two.example")

    def test_a_second_edit_at_the_same_moment_and_of_the_same_size_acts_as_well(self):
        self.settle()
        (self.control / "me").write_text("two.example\n")
        self.assertEqual(self.name(), b"two.example")
        status = (self.control / "me").stat()
        (self.control / "me").write_text("six.example\n")
        os.utime(self.control / "me", ns=(status.st_atime_ns, status.st_mtime_ns))
        self.assertEqual(self.name(), b"six.example")

    def test_an_edit_while_the_files_are_read_acts_on_the_connection_after(self):
        self.settle()
        real = live.Assembly

        def slow(*arguments):
            read = real(*arguments)
            (self.control / "me").write_text("late.example\n")
            return read

        self.patch(live, "Assembly", slow)
        (self.control / "databytes").write_text("5\n")
        self.assertEqual(self.name(), b"one.example")
        self.patch(live, "Assembly", real)
        self.assertEqual(self.name(), b"late.example")

    def test_a_time_in_the_future_is_no_reason_to_read_for_ever(self):
        self.patch(live, "SETTLED", -60)
        os.utime(self.control / "me", (4e9, 4e9))
        self.live.refresh()
        self.assert_nothing_is_read()

    def test_a_cdb_that_is_replaced_by_a_damaged_one_is_not_used(self):
        self.settle()
        (self.control / "morercpthosts.cdb").write_bytes(b"\1" * 2048)
        self.live.refresh()
        self.assertIn("morercpthosts.cdb: damaged", self.errors[0])

    def test_a_file_that_comes_and_goes_acts(self):
        self.settle()
        (self.control / "databytes").write_text("1000")
        self.live.refresh()
        settings = self.live.for_connection(Connection()).settings
        self.assertEqual(settings.smtp_server_msgsize_max, 1000)
        (self.control / "databytes").unlink()
        self.live.refresh()
        settings = self.live.for_connection(Connection()).settings
        self.assertEqual(settings.smtp_server_msgsize_max, 0)

    def test_without_an_edit_nothing_is_read(self):
        self.patch(live, "SETTLED", -60)
        self.settle()
        self.assert_nothing_is_read()

    def assert_nothing_is_read(self):
        read = []
        self.patch(live, "Assembly", lambda *arguments: read.append(arguments))
        for _connection in range(3):
            self.live.refresh()
        self.assertEqual(read, [])

    def test_a_broken_edit_keeps_the_last_good_settings_and_is_logged_once(self):
        self.settle()
        (self.control / "badmailfrom").mkdir()
        for _connection in range(3):
            self.assertEqual(self.name(), b"one.example")
        self.assertEqual(len(self.errors), 1)
        self.assertIn(f"{self.control}/badmailfrom: Is a directory", self.errors[0])
        (self.control / "badmailfrom").rmdir()
        (self.control / "me").write_text("two.example\n")
        self.assertEqual(self.name(), b"two.example")

    def test_rcpthosts_that_vanishes_does_not_open_the_relay(self):
        self.settle()
        (self.control / "rcpthosts").unlink()
        self.live.refresh()
        self.assertFalse(self.live.assembly.open_relay)
        self.assertIn("open the relay", self.errors[0])
        self.live.refresh(force=True)
        self.assertTrue(self.live.assembly.open_relay)
        self.assertIn("OPEN RELAY", self.errors[1])

    def test_a_session_keeps_the_configuration_it_started_with(self):
        before = self.live.for_connection(Connection())
        (self.control / "me").write_text("two.example\n")
        self.live.refresh()
        self.assertEqual(before.settings.usehostname, b"one.example")

    def test_what_can_not_be_read_at_first_is_an_error(self):
        (self.control / "me").unlink()
        (self.control / "me").mkdir()
        sources = Sources(control_dir=str(self.control), queue="discard:")
        self.assertRaises(ConfigurationError, LiveConfiguration, sources, Clock())


class RunningListenerTests(SynchronousTestCase):
    """The same with a server that runs."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example\n", "rcpthosts": "a.example\n"})
        self.port = free_port()
        self.log = self.home / "log"
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(
                twistd(
                    "-n", "--pidfile=", "mvmtr", f"--control-dir={self.control}",
                    "--queue=discard:", f"--listen=tcp:{self.port}:interface=127.0.0.1",
                ),
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=environment(),
            )  # fmt: skip
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.terminate)
        wait_for_port(self.port, self.server)

    def rcpt(self, recipient):
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            client.ehlo("c.example")
            client.mail("s@remote.example")
            return client.rcpt(recipient)[0]

    def make_cdb(self, *keys):
        """Replace morercpthosts.cdb by rename, as qmail-newmrh does."""
        data = b"".join(b"+%d,0:%s->\n" % (len(key), key) for key in keys) + b"\n"
        temporary = self.control / "morercpthosts.tmp"
        subprocess.run(["cdbmake", str(temporary), str(temporary) + "2"], input=data, check=True)
        os.rename(temporary, self.control / "morercpthosts.cdb")

    def test_rcpthosts_and_its_cdb_can_be_edited_without_a_signal(self):
        self.assertEqual(self.rcpt("r@b.example"), 553)
        (self.control / "rcpthosts").write_text("a.example\nb.example\n")
        self.assertEqual(self.rcpt("r@b.example"), 250)
        self.assertEqual(self.rcpt("r@c.example"), 553)
        self.make_cdb(b"c.example")
        self.assertEqual(self.rcpt("r@c.example"), 250)
        self.make_cdb(b"d.example")
        self.assertEqual(self.rcpt("r@c.example"), 553)
        self.assertEqual(self.rcpt("r@d.example"), 250)

    def test_a_broken_edit_is_logged_and_the_server_goes_on(self):
        shutil.copy(self.control / "rcpthosts", self.home)
        (self.control / "rcpthosts").unlink()
        (self.control / "rcpthosts").mkdir()
        self.assertEqual(self.rcpt("r@a.example"), 250)
        self.assertEqual(self.rcpt("r@b.example"), 553)
        self.assertIn(f"{self.control}/rcpthosts: Is a directory", self.log.read_text())

    def test_sighup_forces_a_reading(self):
        self.assertEqual(self.log.read_text().count("read again"), 0)
        self.server.send_signal(signal.SIGHUP)
        end = time.monotonic() + 20
        while "read again" not in self.log.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        self.assertIn("the configuration was read again", self.log.read_text())
        self.assertEqual(self.rcpt("r@a.example"), 250)


class StampTests(SynchronousTestCase):
    """When an edit must show in the times of a file."""

    def settled(self, nanoseconds, seconds_later):
        time = 10**18 + nanoseconds
        return is_settled(((1, 1, time, time),), 10**9 + seconds_later)

    def test_where_parts_of_a_second_are_known_that_is_soon(self):
        self.assertFalse(self.settled(5000, 0.01))
        self.assertTrue(self.settled(5000, 0.1))

    def test_elsewhere_it_takes_a_second(self):
        self.assertFalse(self.settled(0, 0.9))
        self.assertTrue(self.settled(0, 1.1))
