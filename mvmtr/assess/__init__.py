"""
mvmcas, the mail client assessment server: hints on how to treat a client, from what is
known of it, and from what it did.

Pure parts: L{question}, L{wire}, L{hint} and the assessors (L{rules}, L{rates},
L{reputation}, L{greylist}), which L{engine} puts together. L{service} lets them work on a
store; the server, the check of mvmtr and the program for the admin stand around that.
"""
