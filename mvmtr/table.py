# -*- test-case-name: mvmtr.test.test_settings -*-
"""
A table of controls: name, type, default, unit, meaning, as one immutable value that
remembers where each control came from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from mvmtr.values import SettingError

T = TypeVar("T", bound="Table")


def control(parse: Callable[[str], Any], default: Any, unit: str, meaning: str) -> Any:
    """One row of a table, as the default of a field."""
    return field(default=default, metadata={"parse": parse, "unit": unit, "meaning": meaning})


@dataclass(frozen=True)
class Control:
    """One row of a table; C{parse} makes a value of text or raises L{SettingError}."""

    name: str
    default: Any
    unit: str
    meaning: str
    parse: Callable[[str], Any]


@dataclass(frozen=True, kw_only=True)
class Table:
    """
    The value of every control; a subclass has the rows.

    @ivar origins: where the values came from that were set.
    """

    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def controls(cls) -> Iterator[Control]:
        """The rows of the table."""
        for row in dataclasses.fields(cls):
            if row.metadata:
                yield Control(name=row.name, default=row.default, **row.metadata)

    @classmethod
    def parse(cls, name: str, text: str) -> Any:
        """
        The value of a control from text, as on the command line.

        @raise SettingError: when there is no such control, or the text is no value for it.
        """
        for row in cls.controls():
            if row.name == name:
                try:
                    return row.parse(text)
                except SettingError as error:
                    raise SettingError(f"{name}: {error}") from None
        raise SettingError(f"there is no control {name!r}")

    def with_(self: T, values: Mapping[str, Any], origins: Mapping[str, str]) -> T:
        """
        A copy with other values.

        @param values: control names and their new values.
        @param origins: for the same names, where the values come from.
        @raise SettingError: for a name that is no control.
        """
        unknown = set(values) - {row.name for row in self.controls()}
        if unknown:
            raise SettingError(f"there is no control {min(unknown)!r}")
        merged = MappingProxyType({**self.origins, **origins})
        return dataclasses.replace(self, **values, origins=merged)

    def origin(self, name: str) -> str:
        """Where the value of a control came from: C{control/me:1}, C{default}."""
        return self.origins.get(name, "default")
