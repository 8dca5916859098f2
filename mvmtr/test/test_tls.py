"""Tests for L{mvmtr.protocol.tls} and L{mvmtr.protocol.certificates}."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import certificates
from mvmtr.protocol.certificates import Contexts, names_in, read_pair
from mvmtr.protocol.tls import (
    CertificateError,
    Certificates,
    Files,
    Newest,
    failure_text,
    files_of,
    successor,
    watched,
)
from mvmtr.settings import Settings
from mvmtr.test.certificates import Authority
from mvmtr.test.support import folder

OLD = (1e9, 1e9)


def settings(**values):
    return Settings().with_(values, {})


class FilesTests(SynchronousTestCase):
    """Which files are read."""

    def setUp(self):
        self.home = str(folder(self))
        self.default = f"{self.home}/servercert.pem"

    def touch(self, *names):
        for name in names:
            open(f"{self.home}/{name}", "w").close()

    def test_without_a_certificate_there_is_nothing_to_read(self):
        self.assertIsNone(files_of(Settings(), self.home))
        self.assertIsNone(files_of(Settings(), None))

    def test_the_control_folder_has_the_default(self):
        self.touch("servercert.pem")
        self.assertEqual(files_of(Settings(), self.home), Files(((self.default, self.default),)))

    def test_settings_name_files_in_the_control_folder_or_anywhere(self):
        self.touch("servercert.pem")
        found = files_of(
            settings(smtp_server_tls_cert=("a.pem", "/b.pem"), smtp_server_tls_key=("k", "/l")),
            self.home,
        )
        self.assertEqual(found.pairs, ((f"{self.home}/a.pem", f"{self.home}/k"), ("/b.pem", "/l")))
        found = files_of(settings(smtp_server_tls_cert=("/a.pem",)), None)
        self.assertEqual(found.pairs, (("/a.pem", "/a.pem"),))

    def test_a_key_alone_is_for_the_default(self):
        self.touch("servercert.pem")
        found = files_of(settings(smtp_server_tls_key=("/key.pem",)), self.home)
        self.assertEqual(found.pairs, ((self.default, "/key.pem"),))

    def test_keys_that_are_more_or_fewer_than_certificates_are_an_error(self):
        for keys in (("a",), ("a", "b", "c")):
            self.assertRaises(
                CertificateError,
                files_of,
                settings(smtp_server_tls_cert=("a", "b"), smtp_server_tls_key=keys),
                self.home,
            )

    def test_client_certificates_matter_only_where_some_are_listed(self):
        self.touch("servercert.pem", "clientca.pem", "clientcrl.pem")
        self.assertEqual(files_of(Settings(), self.home).client_ca, "")
        found = files_of(settings(smtp_server_tls_clients=(b"Joe@x",)), self.home)
        self.assertEqual(found.client_ca, f"{self.home}/clientca.pem")
        self.assertEqual(found.client_crl, f"{self.home}/clientcrl.pem")
        self.assertEqual(found.clients, (b"joe@x",))
        found = files_of(
            settings(smtp_server_tls_clients=(b"x",), smtp_server_tls_clientca="/ca"), self.home
        )
        self.assertEqual(found.client_ca, "/ca")

    def test_files_that_may_come_are_watched(self):
        names = {path.rpartition("/")[2] for path in watched(Settings(), self.home)}
        self.assertEqual(names, {"servercert.pem", "clientca.pem", "clientcrl.pem"})
        found = watched(
            settings(smtp_server_tls_cert=("/a",), smtp_server_tls_key=("/k",)), self.home
        )
        self.assertEqual(found[3:], ("/a", "/k"))
        self.assertEqual(watched(Settings(), None), ())
        self.assertEqual(len(watched(settings(smtp_server_tls_key=("/k", "/l")), self.home)), 3)


class ReadingTests(SynchronousTestCase):
    """What can be read, and what is said about the rest."""

    def setUp(self):
        self.home = folder(self)
        self.authority = Authority(self.home)

    def problem(self, certificate, key=None):
        error = self.assertRaises(
            CertificateError, read_pair, str(certificate), str(key or certificate)
        )
        self.assertNotIn("\n", str(error))
        return str(error).replace(f"{self.home}/", "")

    def test_certificate_chain_and_key_in_one_file_or_two(self):
        both = self.authority.write("both.pem", "a.example")
        pair = read_pair(str(both), str(both))
        self.assertEqual((pair.names, pair.chain), (("a.example",), ()))
        key, begin, certificate = both.read_text().partition("-----BEGIN CERT")
        (self.home / "key").write_text(key)
        (self.home / "cert").write_text(begin + certificate + self.authority.path.read_text())
        pair = read_pair(f"{self.home}/cert", f"{self.home}/key")
        self.assertEqual(len(pair.chain), 1)

    def test_each_problem_is_told_with_its_file(self):
        good = self.authority.write("good.pem", "a.example")
        other = self.authority.write("other.pem", "a.example")
        key, begin, certificate = good.read_text().partition("-----BEGIN CERT")
        (self.home / "cert").write_text(begin + certificate)
        (self.home / "text").write_text("hello")
        (self.home / "bad").write_text(begin + "IFICATE-----\nabc\n-----END CERTIFICATE-----\n")
        (self.home / "badkey").write_text(key.replace("M", "*"))
        secret = ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
        (self.home / "secret").write_bytes(secret)
        for certificate, key, problem in (
            ("none", None, "none: No such file or directory"),
            (".", None, "Is a directory"),
            ("text", None, "text: there is no certificate in it"),
            ("bad", None, "bad: there is no certificate in it"),
            ("cert", None, "cert: there is no private key in it"),
            ("cert", "none", "none: No such file or directory"),
            ("cert", "badkey", "badkey: the private key can't be read"),
            ("cert", "secret", "secret: the private key has a password"),
            ("cert", other, "cert: the key in other.pem does not belong to the first certificate"),
        ):
            self.assertIn(problem, self.problem(self.home / certificate, key and self.home / key))

    def test_authorities_and_revocations_must_be_readable(self):
        good = str(self.authority.write("good.pem", "a.example"))
        (self.home / "text").write_text("hello")
        text = f"{self.home}/text"
        for ca, crl, problem in (
            (text, "", "there is no certificate in it"),
            (f"{self.home}/none", "", "No such file"),
            (str(self.authority.path), text, "there is no revocation list in it"),
        ):
            files = Files(((good, good),), ca, crl, (b"joe@x",))
            error = self.assertRaises(CertificateError, Contexts, files)
            self.assertIn(problem, str(error))

    def test_without_alternative_names_the_common_name_counts(self):
        path = self.authority.write("x.pem", "A.example", "*.B.example", common="common.example")
        pair = read_pair(str(path), str(path))
        self.assertEqual(names_in(pair.certificate), ("a.example", "*.b.example"))
        nameless = self.authority.write("y.pem", "192.0.2.1", common="common.example")
        pair = read_pair(str(nameless), str(nameless))
        self.assertEqual(names_in(pair.certificate), ())
        self.assertEqual(
            names_in(self.authority.self_signed("Common.Example")), ("common.example",)
        )

    def test_it_tells_when_it_ends(self):
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
        path = str(self.authority.write("x.pem", "a.example", not_after=end))
        self.assertEqual(read_pair(path, path).expires, end)


class ChoiceTests(SynchronousTestCase):
    """Of several certificates the one for the name that the client asks for."""

    def setUp(self):
        self.home = folder(self)
        authority = Authority(self.home)
        paths = [
            str(authority.write(f"{number}.pem", *names))
            for number, names in enumerate(
                (["mx.example"], ["mail.other.example", "*.wild.example"], ["a.wild.example"])
            )
        ]
        self.contexts = Contexts(Files(tuple((path, path) for path in paths)))

    def number(self, name):
        """Which certificate is chosen."""
        by_name = self.contexts.context_for
        marks = [by_name("mx.example"), by_name("mail.other.example"), by_name("a.wild.example")]
        return marks.index(by_name(name))

    def test_exact_names_come_before_wildcards_and_the_first_one_is_the_default(self):
        for name, number in (
            ("mx.example", 0),
            ("mail.other.example", 1),
            ("b.wild.example", 1),
            ("a.wild.example", 2),
            ("wild.example", 0),
            ("x.y.wild.example", 0),
            ("*.wild.example", 1),
            ("unknown.example", 0),
            ("", 0),
        ):
            self.assertEqual(self.number(name), number, name)


class SuccessorTests(SynchronousTestCase):
    """Good certificates are kept."""

    def setUp(self):
        self.home = folder(self)
        self.authority = Authority(self.home)
        self.path = self.authority.write("cert.pem", "a.example")
        os.utime(self.path, OLD)
        self.files = Files(((str(self.path), str(self.path)),))

    def loaded(self):
        certificates = Certificates(self.files)
        certificates.load()
        return certificates

    def test_the_same_files_are_not_read_again(self):
        self.patch(time, "time", lambda: datetime.now(UTC).timestamp() + 60)
        old = self.loaded()
        # It may be that they can't be read any more, after giving up the rights of root.
        self.patch(certificates, "read_pair", lambda *_paths: self.fail("it was read"))
        self.assertEqual(successor(Certificates(self.files), old), (old, ""))

    def test_edited_files_are_read(self):
        old = self.loaded()
        self.authority.write("cert.pem", "b.example")
        new, complaint = successor(Certificates(self.files), old)
        self.assertEqual((new.load().pairs[0].names, complaint), (("b.example",), ""))

    def test_other_files_are_read(self):
        old = self.loaded()
        other = str(self.authority.write("other.pem", "b.example"))
        new, _complaint = successor(Certificates(Files(((other, other),))), old)
        self.assertEqual(new.load().pairs[0].names, ("b.example",))

    def test_broken_ones_are_not_used(self):
        old = self.loaded()
        self.path.write_text("broken")
        kept, complaint = successor(Certificates(self.files), old)
        self.assertIs(kept, old)
        self.assertIn("there is no certificate in it; the certificates that were read", complaint)
        self.assertRaises(CertificateError, successor, Certificates(self.files), None)

    def test_ones_that_are_gone_are_kept_unless_that_is_meant(self):
        old = self.loaded()
        kept, complaint = successor(None, old)
        self.assertIs(kept, old)
        self.assertIn("cert.pem is gone; ", complaint)
        self.assertEqual(successor(None, old, force=True), (None, ""))
        self.assertEqual(successor(None, None), (None, ""))

    def test_the_newest_serve_and_the_last_ones_for_as_long_as_there_are_none(self):
        current = [None]
        newest = Newest(lambda: current[0])
        self.assertRaises(CertificateError, newest.serverConnectionForTLS, None)
        current[0] = self.loaded()
        self.assertIsInstance(newest.serverConnectionForTLS(None), SSL.Connection)
        current[0] = None
        self.assertIsInstance(newest.serverConnectionForTLS(None), SSL.Connection)

    def test_nothing_is_read_before_it_is_used(self):
        nowhere = Certificates(Files((("/nowhere", "/nowhere"),)))
        self.assertRaises(CertificateError, nowhere.load)


class FailureTests(SynchronousTestCase):
    """Why a handshake came to nothing."""

    def test_the_words_of_openssl_are_used(self):
        error = SSL.Error([("SSL routines", "", "no shared cipher"), ("x", "", "no shared cipher")])
        self.assertEqual(failure_text(error), "no shared cipher")
        self.assertEqual(failure_text(SSL.Error([])), "not told by OpenSSL")

    def test_all_else_is_the_client_who_left(self):
        for error in (None, ConnectionError("x"), SSL.SysCallError(-1, "Unexpected EOF")):
            self.assertEqual(failure_text(error), "the client closed the connection")
