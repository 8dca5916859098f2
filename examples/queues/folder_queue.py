import json
import os
import uuid
from pathlib import Path

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from mvmtr.interfaces import IQueue
from mvmtr.session import Accept


@implementer(IQueue)
class FolderQueue:
    """Keeps messages in the folder C{incoming}, each with its envelope beside it."""

    name = "folder"
    carries = frozenset({"SMTPUTF8", "BINARYMIME", "DSN"})

    def __init__(self):
        self.folder = Path("incoming").absolute()
        self.folder.mkdir(exist_ok=True)

    def put(self, session):
        # Writing to a disk may take its time: not here.
        return deferToThread(self.keep, session.transaction)

    def keep(self, transaction):
        name = uuid.uuid4().hex
        self.write(f"{name}.message", transaction.header, transaction.body.read())
        self.write(f"{name}.envelope", json.dumps(envelope_of(transaction)).encode())
        descriptor = os.open(self.folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        return Accept(text="2.0.0 kept", reason=name)

    def write(self, name, *parts):
        path = self.folder / name
        with open(f"{path}.part", "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{path}.part", path)


def envelope_of(transaction):
    recipients = zip(transaction.recipients, transaction.recipient_parameters, strict=True)
    return {
        "sender": [text(transaction.reverse_path), texts(transaction.parameters)],
        "recipients": [[text(one), texts(parameters)] for one, parameters in recipients],
    }


def text(value):
    return None if value is None else value.decode("utf-8", "surrogateescape")


def texts(parameters):
    return {text(name): text(value) for name, value in parameters.items()}
