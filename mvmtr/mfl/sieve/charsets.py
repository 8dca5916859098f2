# -*- test-case-name: mvmtr.test.test_mfl_mime -*-
"""Character sets of mail, by the names of IANA. Pure."""

from __future__ import annotations

import codecs
import re

_NAMES = """
    ascii utf-8 utf-7 utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be
    iso8859-1 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-9
    iso8859-10 iso8859-11 iso8859-13 iso8859-14 iso8859-15 iso8859-16
    cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258
    cp437 cp850 cp852 cp855 cp866 cp874 koi8-r koi8-u mac-roman mac-cyrillic tis-620
    gb2312 gbk gb18030 hz big5 big5hkscs euc_jp shift_jis cp932
    iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_3 iso2022_jp_ext
    euc_kr cp949 johab iso2022_kr
"""
_KNOWN = frozenset(_NAMES.split())
"""Those with a decoder that works in linear time, by the names that C{codecs} has for them."""
_OTHER_THAN_ASCII = re.compile(r"utf-(?:7|16|32)|hz|iso2022")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,39}\Z")


def to_utf8(data: bytes, charset: str) -> bytes | None:
    """
    Text as UTF-8, with a replacement character for what can't be read; C{None} when the
    character set is not known.
    """
    if not _NAME.match(charset):
        return None
    lower = charset.lower()
    try:
        name = codecs.lookup(lower.removesuffix("-i").removesuffix("-e")).name
    except (LookupError, ValueError):
        return None
    if name not in _KNOWN:
        return None
    if data.isascii() and not _OTHER_THAN_ASCII.match(name):
        return data
    return data.decode(name, "replace").encode("utf-8", "replace")
