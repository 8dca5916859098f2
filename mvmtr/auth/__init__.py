"""
Who may say who they are: SASL mechanisms, and checkers of passwords for C{twisted.cred}.

Nothing here puts a password, or what one can be made of, into a log, an exception or a
C{repr}.
"""
