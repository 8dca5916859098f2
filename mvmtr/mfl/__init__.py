"""
MFL, the language of the startup file. Start reading at L{mvmtr.mfl.program}.

A file goes through these, in this order::

    lexer       bytes to tokens
    parser      tokens to a L{tree<mvmtr.mfl.tree>}; expressions, sieve_parser, cursor
    checker     what is wrong, and what the names mean; check_*, demands, scope, sources
    compiler    tree to Python functions; compile_*, python
    program     what a server holds: calls the functions, each call with a L{Run
                <mvmtr.mfl.runtime.Run>} that counts what it uses up

Built-in functions are in C{builtins} (stated as L{mvmtr.mfl.signatures} says), the
commands and tests of Sieve in C{sieve} (as L{mvmtr.mfl.specs} says). Nothing of mvmtr but
this package is imported: what the language acts on reaches it through L{mvmtr.mfl.host}.
"""
