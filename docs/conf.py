"""How Sphinx builds these pages. It needs no extension but the directive below."""

import sys
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent.parent))

project = "mvmtr"
author = "the mvmtr authors"
html_theme = "alabaster"
html_theme_options = {"description": "A mail receiver in the place of qmail-smtpd"}
exclude_patterns = ["_build"]
highlight_language = "text"
smartquotes = False


def shown(default):
    """A default as the table shows it."""
    if default is None:
        return "unset"
    return f"``{default}``" if isinstance(default, int) else "empty"


def shown_as_written(default):
    """A default as one would write it on the command line."""
    if isinstance(default, bool):
        return "``on``" if default else "``off``"
    if isinstance(default, tuple):
        return f"``{' '.join(map(bytes.decode, default))}``"
    return f"``{default}``"


class SettingsTable(SphinxDirective):
    """
    The table of all settings, made from the code, so that it can't be out of date; with the
    argument C{mvmcas} those of mvmcas.
    """

    optional_arguments = 1

    def run(self):
        """A row for each of them."""
        from mvmtr.assess.settings import AssessSettings
        from mvmtr.settings import Settings

        is_mvmcas = self.arguments == ["mvmcas"]
        settings = AssessSettings if is_mvmcas else Settings
        show = shown_as_written if is_mvmcas else shown
        lines = [".. list-table::", "   :header-rows: 1", ""]
        rows = [("name", "default", "unit", "meaning")]
        rows += [
            (
                f"``{control.name}``",
                show(control.default),
                control.unit,
                control.meaning.replace("*", r"\*"),
            )
            for control in settings.controls()
        ]
        for first, *others in rows:
            lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app):
    """Called by Sphinx."""
    app.add_directive("settings-table", SettingsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
