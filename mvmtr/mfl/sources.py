# -*- test-case-name: mvmtr.test.test_mfl_include -*-
"""Finds and reads the files that a file includes."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mvmtr.mfl import tree
from mvmtr.mfl.parser import parse
from mvmtr.mfl.scope import Source

FILES_MAX = 200
SIZE_MAX = 4_000_000


class Unreadable(Exception):
    """A file that can't be included; the text says why."""


def read_file(path: str) -> bytes:
    """
    The bytes of a file.

    @raise Unreadable: when it can't be read or is no text of sensible size.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreadable(f"{path} can't be read: {reason}") from None
    if len(data) > SIZE_MAX:
        raise Unreadable(f"{path} is larger than {SIZE_MAX} bytes")
    return data


def source_of(data: bytes, name: str, script: bool = False) -> Source:
    """
    Read one file.

    @param name: its path, as it is shown.
    @param script: nothing C-like may stand in it.
    """
    parsed = parse(data, name, sieve_only=script)
    sieve = (tree.Command, tree.SieveIf, tree.Return)
    strict = script or all(isinstance(each, sieve) for each in parsed.tree.statements)
    return Source(name, parsed, os.path.realpath(name.replace("\0", "")), script, strict)


class Library:
    """
    Where included files come from.

    @param root: the folder that C{include} of the C-like side does not leave; empty:
        there is nothing to include.
    @param folders: for C{:personal} and C{:global} of Sieve's C{include}.
    """

    def __init__(self, root: str, folders: Mapping[str, str]) -> None:
        self._root = os.path.realpath(root) if root else ""
        self._folders = folders
        self._files = 0

    def file(self, name: bytes, beside: Source) -> Source:
        """
        What C{include "name";} means in another file.

        @raise Unreadable: when it is outside of the folder, or can't be read.
        """
        if not self._root:
            raise Unreadable("nothing can be included here")
        path = os.path.normpath(os.path.join(os.path.dirname(beside.name), os.fsdecode(name)))
        if "\0" in path or not os.path.realpath(path).startswith(self._root + os.sep):
            raise Unreadable(f"{path} is not below the folder {self._root}")
        return source_of(self._read(path), path)

    def find_script(self, location: str, name: bytes) -> str:
        """
        Where the Sieve script of that name is, or would be.

        @raise Unreadable: when there can be none of that name.
        """
        folder = self._folders.get(location) or self._root
        if not folder:
            raise Unreadable("nothing can be included here")
        plain = os.fsdecode(name)
        if not plain or "/" in plain or not plain.isprintable() or plain in (".", ".."):
            raise Unreadable(f"{plain!r} is not the name of a script")
        for file in (plain, f"{plain}.sieve"):
            path = os.path.join(folder, file)
            if os.path.isfile(path):
                break
        return path

    def script(self, path: str) -> Source | None:
        """
        A Sieve script, if it exists.

        @raise Unreadable: when it can't be read.
        """
        if not os.path.isfile(path):
            return None
        return source_of(self._read(path), path, script=True)

    def _read(self, path: str) -> bytes:
        self._files += 1
        if self._files > FILES_MAX:
            raise Unreadable(f"more than {FILES_MAX} files are included")
        return read_file(path)
