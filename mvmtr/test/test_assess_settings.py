"""The controls of the assessment."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.question import Event
from mvmtr.assess.settings import AssessSettings
from mvmtr.values import SettingError


class AssessSettingsTests(SynchronousTestCase):
    def test_each_default_is_a_value_that_can_be_written(self) -> None:
        for row in AssessSettings.controls():
            default = row.default
            if isinstance(default, bool):
                text = "on" if default else "off"
            elif isinstance(default, tuple):
                text = b" ".join(default).decode()
            else:
                text = str(default)
            self.assertEqual(AssessSettings.parse(row.name, text), default, row.name)

    def test_each_event_has_a_weight(self) -> None:
        names = {row.name for row in AssessSettings.controls()}
        for event in Event:
            self.assertIn(f"points_{event}", names)

    def test_by_default_nobody_is_treated_differently(self) -> None:
        settings = AssessSettings()
        self.assertFalse(settings.greylist or settings.reputation)
        self.assertFalse(
            settings.rate_connections or settings.rate_recipients or settings.rate_messages
        )

    def test_the_thresholds_are_in_order(self) -> None:
        settings = AssessSettings()
        self.assertLess(settings.reputation_tarpit, settings.reputation_defer)
        self.assertLess(settings.reputation_defer, settings.reputation_reject)
        self.assertLess(settings.reputation_reject, settings.points_max)
        self.assertLess(settings.reputation_shared_max, settings.reputation_defer)

    def test_lengths_of_networks_have_limits(self) -> None:
        self.assertEqual(AssessSettings.parse("greylist_network4", "8"), 8)
        self.assertEqual(AssessSettings.parse("greylist_network6", "128"), 128)
        for name, text in (
            ("greylist_network4", "33"),
            ("greylist_network4", "7"),
            ("greylist_network6", "129"),
            ("greylist_network6", "x"),
        ):
            with self.assertRaisesRegex(SettingError, name):
                AssessSettings.parse(name, text)

    def test_a_time_is_never_nothing(self) -> None:
        for row in AssessSettings.controls():
            if row.unit == "seconds" and row.name != "greylist_auto_time":
                with self.assertRaises(SettingError, msg=row.name):
                    AssessSettings.parse(row.name, "0")
