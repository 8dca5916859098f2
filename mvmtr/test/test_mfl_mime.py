"""Tests for encoded words, character sets, parts of messages and HTML."""

from __future__ import annotations

from email.header import Header
from email.message import EmailMessage

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.sieve import charsets, fields, html, mime, words

quickly = settings(deadline=None, max_examples=150)


def parts(text: bytes) -> list[mime.Part]:
    """The parts of a whole message."""
    header, _empty, body = text.partition(b"\n\n")
    return list(mime.parts(fields.split(header), body))


class WordTests(SynchronousTestCase):
    """Encoded words."""

    def test_both_encodings_are_decoded(self) -> None:
        self.assertEqual(words.decode(b"=?utf-8?B?w6l0w6k=?= x"), "été x".encode())
        self.assertEqual(words.decode(b"=?ISO-8859-1?q?a_=E9?="), "a é".encode())

    def test_space_between_words_goes_and_space_beside_text_stays(self) -> None:
        self.assertEqual(words.decode(b"=?us-ascii?q?a?=   =?us-ascii?q?b?= c"), b"ab c")

    def test_a_character_cut_in_two_words_is_one(self) -> None:
        self.assertEqual(words.decode(b"=?utf-8?q?=C3?= =?utf-8?q?=A9?="), "é".encode())

    def test_words_in_an_unknown_set_or_damaged_ones_stay(self) -> None:
        for value in (b"=?klingon?q?a?=", b"=?utf-8?x?a?=", b"=?utf-8?q?a", b"=?idna?q?a?="):
            self.assertEqual(words.decode(value), value)

    def test_a_language_may_be_named(self) -> None:
        self.assertEqual(words.decode(b"=?utf-8*en?q?a?="), b"a")

    @quickly
    @given(st.text(max_size=60))
    def test_what_python_encodes_is_decoded(self, text: str) -> None:
        text = " ".join(text.split())
        encoded = Header(text, "utf-8").encode().replace("\n", "").encode()
        if "=?" not in text:
            self.assertEqual(words.decode(encoded), text.encode("utf-8", "replace"))

    @quickly
    @given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=90))
    def test_what_is_encoded_is_ascii_and_decodes_to_the_same(self, text: str) -> None:
        encoded = words.encode(text.encode())
        self.assertTrue(encoded.isascii())
        if "=?" not in text:
            self.assertEqual(words.decode(encoded.replace(b"\n", b"")), text.encode())

    @quickly
    @given(st.binary(max_size=80))
    def test_any_bytes_can_be_decoded(self, value: bytes) -> None:
        words.decode(value)
        words.decode(b"=?utf-8?b?" + value + b"?= =?gb18030?q?" + value + b"?=")

    def test_quoted_printable_that_is_wrong_stays(self) -> None:
        self.assertEqual(words.unquote(b"a=3Db=\nc =XY =4"), b"a=bc =XY =4")

    def test_base64_with_what_does_not_belong_there_is_decoded(self) -> None:
        self.assertEqual(words.unbase64(b"Zn\nJv cA=="), b"frop")
        self.assertEqual(words.unbase64(b"ZnJvcA"), b"frop")
        self.assertEqual(words.unbase64(b"Z"), b"")


class CharsetTests(SynchronousTestCase):
    """Character sets."""

    def test_known_sets_become_utf8(self) -> None:
        self.assertEqual(charsets.to_utf8(b"\xe9", "latin1"), "é".encode())
        self.assertEqual(charsets.to_utf8("привет".encode("koi8-r"), "KOI8-R"), "привет".encode())
        self.assertEqual(
            charsets.to_utf8("日本".encode("iso2022_jp"), "ISO-2022-JP"), "日本".encode()
        )

    def test_every_known_set_is_one_of_python(self) -> None:
        for name in charsets._KNOWN:
            self.assertEqual(charsets.to_utf8(b"", name), b"", name)

    def test_ascii_is_the_same_in_most_sets_but_not_in_all(self) -> None:
        self.assertEqual(charsets.to_utf8(b"+AOk-", "utf-8"), b"+AOk-")
        self.assertEqual(charsets.to_utf8(b"+AOk-", "utf-7"), "é".encode())
        self.assertEqual(charsets.to_utf8(b"\x1b$BF|", "iso-2022-jp"), "日".encode())
        self.assertEqual(charsets.to_utf8(b"a\0", "utf-16-le"), b"a")

    def test_codecs_that_are_no_sets_are_not_known(self) -> None:
        for name in ("punycode", "idna", "rot13", "zlib", "unicode_escape", "../x", "", "\0"):
            self.assertIsNone(charsets.to_utf8(b"x", name), name)


class PartTests(SynchronousTestCase):
    """The parts of a message."""

    def test_a_message_without_a_type_is_plain_text(self) -> None:
        (part,) = parts(b"Subject: x\n\nhello\n")
        self.assertEqual((part.type, part.subtype), ("text", "plain"))
        self.assertEqual(part.decoded(), [b"hello\n"])

    def test_a_multipart_has_text_around_its_parts(self) -> None:
        found = parts(
            b"Content-Type: multipart/mixed; boundary=x\n\nbefore\n--x\n\none\n--x\n"
            b"Content-Type: text/html\n\n<p>two\n--x--\nafter\n"
        )
        self.assertEqual([part.type for part in found], ["multipart", "text", "text"])
        self.assertEqual(found[0].decoded(), [b"before", b"after\n"])
        self.assertEqual(found[1].decoded(), [b"one"])
        self.assertEqual(found[2].decoded(), [b"<p>two"])

    def test_a_boundary_is_not_the_beginning_of_a_longer_one(self) -> None:
        found = parts(
            b'Content-Type: multipart/mixed; boundary="x"\n\n--x\n'
            b'Content-Type: multipart/mixed; boundary="xx"\n\n--xx\n\none\n--xx--\n--x--\n'
        )
        self.assertEqual([part.type for part in found], ["multipart", "multipart", "text"])
        self.assertEqual(found[2].decoded(), [b"one"])

    def test_an_empty_part_is_a_part(self) -> None:
        found = parts(b"Content-Type: multipart/mixed; boundary=x\n\n--x\n--x\n\na\n--x--\n")
        self.assertEqual([part.decoded() for part in found[1:]], [[b""], [b"a"]])

    def test_a_multipart_that_is_never_closed_has_its_parts(self) -> None:
        found = parts(b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n")
        self.assertEqual(found[1].decoded(), [b"one\n"])

    def test_a_message_in_a_message_has_a_header_and_parts_of_its_own(self) -> None:
        found = parts(b"Content-Type: message/rfc822\n\nSubject: inner\n\nhello\n")
        self.assertEqual([part.type for part in found], ["message", "text"])
        self.assertEqual(found[0].decoded(), [b"Subject: inner"])
        self.assertEqual(found[1].decoded(), [b"hello\n"])

    def test_a_digest_is_made_of_messages(self) -> None:
        found = parts(
            b"Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: a\n\nb\n--x--\n"
        )
        self.assertEqual([part.type for part in found], ["multipart", "message", "text"])

    def test_transfer_encodings_are_undone_and_text_becomes_utf8(self) -> None:
        (part,) = parts(
            b"Content-Type: text/plain; charset=iso-8859-1\n"
            b"Content-Transfer-Encoding: quoted-printable\n\ncaf=E9 =\nau lait=\n"
        )
        self.assertEqual(part.decoded(), ["café au lait".encode()])
        (part,) = parts(
            b"Content-Type: text/plain\nContent-Transfer-Encoding: BASE64\n\nYQ0K\nYg==\n"
        )
        self.assertEqual(part.decoded(), [b"a\nb"])

    def test_the_parts_that_python_makes_are_found(self) -> None:
        message = EmailMessage()
        message.set_content("grüße\n")
        message.add_alternative("<p>Gr&uuml;&szlig;e</p>\n", subtype="html")
        message.add_attachment(b"\0\1", maintype="application", subtype="x")
        found = parts(message.as_bytes())
        self.assertEqual(
            [(part.type, part.subtype) for part in found],
            [
                ("multipart", "mixed"),
                ("multipart", "alternative"),
                ("text", "plain"),
                ("text", "html"),
                ("application", "x"),
            ],
        )
        self.assertEqual(found[2].readable(), ["grüße\n".encode()])
        self.assertEqual(found[3].readable()[0].strip(), "Grüße".encode())
        self.assertEqual(found[4].decoded(), [b"\0\1"])

    def test_content_types_of_a_script_are_whole_or_half(self) -> None:
        (part,) = parts(b"Content-Type: TEXT/Html\n\nx")
        told = {
            kind: mime.wanted(kind, part)
            for kind in (
                "",
                "text",
                "Text/HTML",
                "html",
                "/",
                "/x",
                "text/",
                "text/html/x",
                "text/plain",
            )
        }
        self.assertEqual([kind for kind, yes in told.items() if yes], ["", "text", "Text/HTML"])

    def test_depth_and_number_of_parts_are_bounded(self) -> None:
        deep = b"Content-Type: message/rfc822\n\n" * 5000 + b"x"
        self.assertEqual(len(parts(deep)), mime.DEPTH_MAX + 1)
        wide = b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\na\n" * 50_000
        self.assertEqual(len(parts(wide)), mime.PARTS_MAX)

    def test_hostile_bodies_come_to_an_end(self) -> None:
        header = b"Content-Type: multipart/mixed; boundary=x\n\n"
        for piece in (b"\n--x ", b"\n--", b"--x\n", b"\n--x--\n", b"\n"):
            parts(header + piece * 50_000)
        for value in (b';a="' * 20_000, b'; a="\\' * 20_000, b";" + b" " * 100_000):
            parts(b"Content-Type: text/plain" + value + b"\n\nx")

    @quickly
    @given(st.binary(max_size=120))
    def test_any_bytes_can_be_read(self, text: bytes) -> None:
        for message in (text, b"Content-Type: multipart/x; boundary=-\n\n" + text):
            for part in parts(message):
                part.readable()


class HtmlTests(SynchronousTestCase):
    """The text of HTML."""

    def test_tags_go_and_entities_are_what_they_mean(self) -> None:
        self.assertEqual(
            html.to_text(b"a <b class='x>y'>bold</b> &amp; &#233;&eacute;").decode(), "a bold & éé"
        )

    def test_what_a_reader_does_not_see_goes(self) -> None:
        page = b"<title>t</title><style>s</style ><!-- c > --><script>a<b</script>seen"
        self.assertEqual(html.to_text(page).strip(), b"seen")

    def test_entities_by_number(self) -> None:
        self.assertEqual(
            html.to_text(b"&#40;&#x3C;&#0041; &#999999999999; &nope;"),
            b"(<) &#999999999999; &nope;",
        )

    def test_a_page_has_an_end(self) -> None:
        page = b"x" * html._LONGEST
        self.assertEqual(html.to_text(page + b"y"), page)

    def test_what_is_never_closed_hides_the_rest(self) -> None:
        for page in (b"a<!-- b", b"a<script>b", b"a<b ", b"a<b title='>b"):
            self.assertEqual(html.to_text(page), b"a", page)

    def test_blocks_stand_apart(self) -> None:
        self.assertEqual(html.to_text(b"<p>one</p><p>two</p>").split(), [b"one", b"two"])

    def test_a_lone_bracket_is_text(self) -> None:
        self.assertEqual(html.to_text(b"1 < 2 & 3"), b"1 < 2 & 3")

    def test_hostile_pages_come_to_an_end(self) -> None:
        for piece in (b"<", b"<!--", b"<a '", b"<script>", b"&#", b"</", b"<a \"'"):
            html.to_text(piece * 50_000)

    @quickly
    @given(st.binary(max_size=100))
    def test_any_bytes_can_be_read(self, page: bytes) -> None:
        html.to_text(page)
