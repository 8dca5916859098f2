"""Tests for the scales of spamtest and virustest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.sieve import status


def spam(fields: dict[bytes, bytes], percent: bool = False, **given: bytes) -> int:
    """The result of spamtest on a message."""
    return _result(status.SPAM, b"sieve_spamtest_", fields, percent, given)


def virus(fields: dict[bytes, bytes], **given: bytes) -> int:
    """The result of virustest on a message."""
    return _result(status.VIRUS, b"sieve_virustest_", fields, False, given)


def _result(
    scale: status.Scale,
    prefix: bytes,
    fields: dict[bytes, bytes],
    percent: bool,
    given: dict[str, bytes],
) -> int:
    settings = {prefix + name.encode(): value for name, value in given.items()}
    lower = {name.lower(): [value] for name, value in fields.items()}
    return int(
        status.result(scale, settings.get, lambda name: lower.get(name.lower(), []), percent)
    )


class StatusTests(SynchronousTestCase):
    """From a scanner's field to a result."""

    def test_a_score_is_put_on_the_scale(self) -> None:
        for score, result in ((b"-3.2", 1), (b"0", 1), (b"2.5", 5), (b"5", 10), (b"77", 10)):
            told = spam({b"X-Score": score}, status_header=b"X-Score", max_value=b"5")
            self.assertEqual(told, result, score)

    def test_a_limit_of_one_is_a_limit(self) -> None:
        self.assertEqual(spam({b"X": b"1"}, status_header=b"X", max_value=b"1"), 10)
        self.assertEqual(spam({b"X": b"1"}, status_header=b"X", max_value=b"0"), 0)

    def test_the_limit_may_have_its_longer_name(self) -> None:
        self.assertEqual(spam({b"X": b"5"}, status_header=b"X", score_max_value=b"5"), 10)

    def test_a_score_can_be_told_in_percent(self) -> None:
        for score, result in ((b"0", 0), (b"7", 70), (b"10", 100)):
            told = spam({b"X": score}, percent=True, status_header=b"X", max_value=b"10")
            self.assertEqual(told, result, score)

    def test_an_expression_takes_the_score_out_of_a_text(self) -> None:
        fields = {b"X-Spam-Status": b"Yes, score=4.0 required=8.0"}
        told = spam(
            fields,
            percent=True,
            status_header=b"X-Spam-Status: score=(-?[0-9.]+)",
            max_header=b"X-Spam-Status: required=([0-9.]+)",
        )
        self.assertEqual(told, 50)

    def test_characters_can_be_counted(self) -> None:
        told = spam({b"X": b" **** "}, status_header=b"X", status_type=b"strlen", max_value=b"9")
        self.assertEqual(told, 5)

    def test_a_text_can_stand_for_a_result(self) -> None:
        settings = {
            "status_header": b"X-Virus: result=([a-z]+)",
            "status_type": b"text",
            "text_value1": b"clean",
            "text_value5": b"infected",
        }
        self.assertEqual(virus({b"X-Virus": b"result=clean"}, **settings), 1)
        self.assertEqual(virus({b"X-Virus": b"result=infected"}, **settings), 5)
        self.assertEqual(virus({b"X-Virus": b"result=unsure"}, **settings), 0)

    def test_virus_results_end_at_five(self) -> None:
        self.assertEqual(virus({b"X": b"3"}, status_header=b"X", max_value=b"3"), 5)

    def test_what_was_not_tested_is_zero(self) -> None:
        self.assertEqual(spam({}), 0)
        self.assertEqual(spam({}, status_header=b"X", max_value=b"5"), 0)
        self.assertEqual(spam({b"X": b"none"}, status_header=b"X", max_value=b"5"), 0)
        self.assertEqual(spam({b"X": b"3"}, status_header=b"X"), 0)
        self.assertEqual(spam({b"X": b"3"}, status_header=b"X:y(.)", max_value=b"5"), 0)

    def test_settings_that_are_wrong_are_told(self) -> None:
        for settings in (
            {"status_header": b"no name"},
            {"status_header": b"X:("},
            {"status_header": b"X", "status_type": b"colour"},
        ):
            self.assertRaises(status.BadSetting, spam, {b"X": b"3"}, **settings)
