# -*- test-case-name: mvmtr.test.test_imports -*-
"""twistd with one command, for the program C{mvmtr}: it looks for no plugins."""

from __future__ import annotations

import gc

from twisted.application import app
from twisted.application.service import IService
from twisted.scripts.twistd import ServerOptions, runApp

from twisted.plugins.mvmtr_plugin import mvmtr


class _Maker:
    """Makes the service that the plugin makes, and then lets the collector of garbage run."""

    tapname = mvmtr.tapname

    @staticmethod
    def makeService(options: object) -> IService:
        """See L{IServiceMaker<twisted.application.service.IServiceMaker>}."""
        service: IService = mvmtr.makeService(options)
        # What has been loaded stays, and need not be looked at again and again.
        gc.freeze()
        gc.enable()
        return service


class Options(ServerOptions):
    """The options of twistd."""

    loadedPlugins = {mvmtr.tapname: _Maker}
    subCommands = [(mvmtr.tapname, None, lambda: mvmtr.options(), mvmtr.description)]


def run() -> None:
    """Run what the command line says; see L{twisted.scripts.twistd.run}."""
    app.run(runApp, Options)
