"""About the session."""

from __future__ import annotations

from mvmtr.mfl.errors import RunError
from mvmtr.mfl.runtime import Run
from mvmtr.mfl.signatures import builtin
from mvmtr.mfl.specs import Needs

NOTES_MAX = 1000


@builtin("remote_ip", Needs.SESSION)
def remote_ip(run: Run) -> bytes:
    """The address of the client."""
    return run.host.remote_ip


@builtin("remote_host", Needs.SESSION)
def remote_host(run: Run) -> bytes:
    """The name of the client by reverse DNS; empty when it has none."""
    return run.host.remote_host


@builtin("remote_info", Needs.SESSION)
def remote_info(run: Run) -> bytes:
    """What the ident server of the client said; empty when it was not asked."""
    return run.host.remote_info


@builtin("local_ip", Needs.SESSION)
def local_ip(run: Run) -> bytes:
    """The address that the client reached."""
    return run.host.local_ip


@builtin("local_host", Needs.SESSION)
def local_host(run: Run) -> bytes:
    """The name of the server."""
    return run.host.local_host


@builtin("helo", Needs.SESSION)
def helo(run: Run) -> bytes:
    """The name that the client gave with HELO or EHLO; empty before that."""
    return run.host.helo


@builtin("tls", Needs.SESSION)
def tls(run: Run) -> int:
    """1 when the connection is encrypted, otherwise 0."""
    return int(run.host.tls)


@builtin("auth_user", Needs.SESSION)
def auth_user(run: Run) -> bytes:
    """The user that the client has proved to be; empty when it has not."""
    return run.host.auth_user


@builtin("env", Needs.SESSION)
def env(run: Run, name: bytes) -> bytes:
    """A variable of the environment of the connection; empty when it is not set."""
    return run.host.variables.get(name, b"")


@builtin("relaying", Needs.SESSION)
def relaying(run: Run) -> int:
    """1 when the client may send anywhere, otherwise 0."""
    return int(run.host.relaying)


@builtin("set_relaying", Needs.SESSION)
def set_relaying(run: Run, allowed: int) -> None:
    """Say whether the client may send anywhere."""
    run.host.relaying = bool(allowed)


@builtin("sender", Needs.SESSION)
def sender(run: Run) -> bytes:
    """The sender of the envelope; empty for the null sender, and before MAIL."""
    return run.host.sender


@builtin("recipients", Needs.SESSION)
def recipients(run: Run) -> tuple[bytes, ...]:
    """The recipients that were taken so far."""
    return run.made_list(run.host.recipients)


@builtin("control")
def control(run: Run, name: bytes) -> bytes:
    """The value of a control as text."""
    value = run.host.control(name)
    if value is None:
        raise RunError(f"there is no control {name.decode('utf-8', 'replace')}")
    return run.made(value)


@builtin("note", Needs.SESSION)
def note(run: Run, name: bytes) -> bytes:
    """A note of this transaction; empty when it was not set."""
    return run.host.notes.get(name, b"")


@builtin("set_note", Needs.SESSION)
def set_note(run: Run, name: bytes, value: bytes) -> None:
    """Keep a note until the transaction ends."""
    notes = run.host.notes
    if name not in notes and len(notes) >= NOTES_MAX:
        raise RunError(f"more than {NOTES_MAX} notes")
    held = sum(len(key) + len(text) for key, text in notes.items())
    if held + len(name) + len(value) > run.limits.memory:
        raise RunError(f"more than {run.limits.memory} bytes of notes")
    run.step(len(notes))
    notes[name] = value
