"""Who may hand over a connection, and what is taken over."""

from __future__ import annotations

import os

from mvmtr.test.launchers import (
    SORRY,
    Handed,
    until,
    with_each_launcher,
)
from mvmtr.test.test_stdio import codes

NOBODY = 65534


class GuardTests(Handed):
    """Who may hand over, and what."""

    def refused(self, why, *options, **keywords):
        said, status, _complaint = self.session(b"", *options, **keywords)
        self.assertEqual((said, status), (SORRY, 1))
        line = f"a connection is not taken over: {why}\n"
        until(lambda: line in self.server.logged, line)

    def stranger(self, *options):
        os.chmod(self.home, 0o755)
        self.program_for_all()
        self.resident(*options, endpoint=":mode=666")

    def program_for_all(self):
        """A launcher that another user can run."""
        program = self.home / "launcher"
        program.write_bytes(self.launcher.read_bytes())
        program.chmod(0o755)
        self.launcher = program

    def test_another_user_is_refused(self):
        self.stranger()
        self.refused(f"the user {NOBODY} may not hand over connections", user=NOBODY)
        self.assertEqual(codes(self.session(b"QUIT\r\n")[0]), [220, 221])

    def test_another_user_that_is_named_is_not(self):
        for named in ("nobody", str(NOBODY)):
            self.stranger(f"--set=smtp_server_handoff_users={named}")
            said, status, _complaint = self.session(b"QUIT\r\n", user=NOBODY)
            self.assertEqual((codes(said), status), ([220, 221], 0))
            self.server.end()

    def test_another_user_can_not_even_connect_by_default(self):
        os.chmod(self.home, 0o755)
        self.program_for_all()
        self.resident()
        said, status, complaint = self.session(b"", user=NOBODY)
        self.assertEqual((said, status), (SORRY, 1))
        self.assertIn("Permission denied", complaint)

    if os.geteuid():
        for test in (
            test_another_user_is_refused,
            test_another_user_that_is_named_is_not,
            test_another_user_can_not_even_connect_by_default,
        ):
            test.skip = "only root can become another user"

    def test_what_is_no_socket_is_refused(self):
        self.resident()
        with open(os.devnull, "r+b") as null:
            process = self.launch(null)
        self.assertEqual(process.wait(60), 1)
        why = "not taken over: descriptor 0 of the launcher is no stream socket"
        until(lambda: why in self.server.logged, why)

    def test_what_a_parent_does_tls_for_is_refused(self):
        self.resident()
        for name in ("UCSPITLS", "SSL_PROTOCOL"):
            why = "its parent does TLS for it (UCSPITLS, SSL_PROTOCOL)"
            self.refused(why, **{name: "x"})

    def test_tls_from_the_first_byte_wants_a_certificate(self):
        self.resident()
        self.assertEqual(self.session(b"", SMTPS="")[:2], (b"", 1))
        why = "not taken over: SMTPS is set, but there is no certificate"
        until(lambda: why in self.server.logged, why)


globals().update(with_each_launcher(GuardTests))
del GuardTests
