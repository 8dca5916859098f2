"""Ways to run a piece of MFL in a test."""

from inspect import iscoroutine

from mvmtr.mfl.errors import MflErrors
from mvmtr.mfl.host import Host, message_source
from mvmtr.mfl.program import ControlSpec, Limits, read
from mvmtr.mfl.runtime import Run

CONTROLS = {
    "greeting": ControlSpec(frozenset(("string", "list"))),
    "timeout": ControlSpec(frozenset(("int",)), check=lambda value: _positive(value)),
}


def _positive(value):
    if value < 1:
        raise ValueError("must be at least 1")


def program(source, **options):
    """A program of some text."""
    data = source if isinstance(source, bytes) else source.encode()
    return read("test.mfl", data, **{"controls": CONTROLS, **options})


def wrong(source, **options):
    """What is wrong with some text, as C{line:column message}."""
    try:
        program(source, **options)
    except MflErrors as errors:
        return [
            f"{problem.place.line}:{problem.place.column} {problem.message}"
            for problem in errors.problems
        ]
    return []


def finished(coroutine):
    """The result of a coroutine that does not have to wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def host(message=b"Subject: hello\nFrom: a@example.test\n\nbody\n", **values):
    return Host(message=message_source(message), **values)


def call(source, hook="message", arguments=(), limits=None, globals_=None, **values):
    """The outcome of a hook, and the host that it had."""
    the_program = source if not isinstance(source, str | bytes) else program(source)
    the_host = values.pop("host", None) or host(**values)
    outcome = the_program.call(hook, arguments, the_host, limits or Limits(), globals_)
    if iscoroutine(outcome):
        outcome = finished(outcome)
    return outcome, the_host


def result(source, name="f", arguments=(), limits=None, the_host=None):
    """What a function returns."""
    the_program = program(source)
    run = Run(the_host or host(), limits or Limits(), the_program.globals())
    value = the_program.execute(name, run, arguments)
    return finished(value) if iscoroutine(value) else value


def value(expression, type_="int", before=""):
    """The value of an expression."""
    return result(f"{before}\n{type_} f() {{ return {expression}; }}")
