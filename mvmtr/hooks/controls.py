# -*- test-case-name: mvmtr.test.test_hooks_controls -*-
"""The controls as a startup file may set them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mvmtr.mfl.program import ControlSpec, ControlValue
from mvmtr.settings import Settings
from mvmtr.table import Control
from mvmtr.values import SettingError, assignments, lines, number, positive, switch

_NUMBERS = (number, positive)
_BY_LINES = (lines, assignments)


def specs() -> dict[str, ControlSpec]:
    """Every control with the types of values that it takes."""
    return {control.name: _spec(control) for control in Settings.controls()}


def _spec(control: Control) -> ControlSpec:
    if control.parse in _NUMBERS:
        types = {"int"}
    elif control.parse is switch:
        types = {"int", "string"}
    elif isinstance(control.default, tuple):
        types = {"string", "list"}
    else:
        types = {"string"}
    return ControlSpec(frozenset(types), lambda value: _parsed(control, value))


def _parsed(control: Control, value: Any) -> Any:
    """
    A control's value from one of MFL.

    @raise SettingError: when it can't have that one.
    """
    if isinstance(value, int):
        if control.parse is switch and value in (0, 1):
            return bool(value)
        return control.parse(str(value))
    try:
        if isinstance(value, bytes):
            return control.parse(value.decode())
        separator = "\n" if control.parse in _BY_LINES else " "
        return control.parse(separator.join(item.decode() for item in value))
    except UnicodeDecodeError:
        raise SettingError("this is not UTF-8") from None


def values_of(controls: Iterable[ControlValue]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that a file gives to controls, and the file and line of each."""
    known = {control.name: control for control in Settings.controls()}
    values = {one.name: _parsed(known[one.name], one.value) for one in controls}
    origins = {one.name: f"{one.place.file}:{one.place.line}" for one in controls}
    return values, origins
