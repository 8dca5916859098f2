"""mvmtr: the receiving half of a mail server, in the place of qmail-smtpd."""

__version__ = "0.1.0"
