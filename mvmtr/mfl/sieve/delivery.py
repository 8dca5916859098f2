"""
Extensions about a mailbox or a user. Before delivery there is none: who wants them is told so
when the file is read.
"""

from __future__ import annotations

from mvmtr.mfl.specs import Extension

EXTENSION = Extension(
    (
        "fileinto",
        "vacation",
        "vacation-seconds",
        "imap4flags",
        "mailbox",
        "mboxmetadata",
        "servermetadata",
        "special-use",
        "enotify",
        "notify",
        "duplicate",
        "imapsieve",
    ),
    refused="it acts on a mailbox, and mail has not come to one yet",
    also_refused=(
        "fileinto",
        "vacation",
        "setflag",
        "addflag",
        "removeflag",
        "hasflag",
        "notify",
        "mailboxexists",
        "metadata",
        "duplicate",
    ),
)
