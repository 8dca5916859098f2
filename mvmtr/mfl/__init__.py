"""
MFL, the language of the startup file. Start reading at L{mvmtr.mfl.program}.

Nothing of mvmtr is imported here but its addresses: what the language acts on reaches it
through L{mvmtr.mfl.host}.
"""
