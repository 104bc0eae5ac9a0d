"""Numbers read as a person would write them."""

import pytest

from labhelpers.display import words


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 3, "0"), (0.12345, 3, "0.123"), (-2, 3, "-2"), (74_498, 3, "74,498"), (-1234.5, 3, "-1,234"),
        (999.7, 3, "1,000"), (999.7, 4, "999.7"), (999.97, 4, "1,000"), (1e-6, 3, "1e-06"), (2e15, 3, "2e+15"),
        (float("nan"), 3, "nan"), (float("inf"), 3, "inf"),
    ],
)  # fmt: skip
def test_a_number_is_short_and_a_large_one_is_written_out(value, digits, text):
    assert words.number(value, digits) == text


def test_one_thing_is_not_many_things():
    assert [words.counted(count, "day") for count in (0, 1, 2, 1200)] == [
        "0 days", "1 day", "2 days", "1,200 days",
    ]  # fmt: skip
