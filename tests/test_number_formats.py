"""Numbers as text."""

import pytest

from navsim import number_formats as formats


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.number(0.114), "0.11"),
        (formats.number(0.114, 1, signed=True), "+0.1"),
        (formats.percent(0.834), "83%"),
        (formats.percent(0.834, 1, signed=True), "+83.4%"),
        (formats.share(38, 40), "38 of 40"),
        (formats.share(0, 40), "0 of 40"),
        (formats.interval((-0.1, 0.14), 2, "m", signed=True), "-0.10 to +0.14 m"),
        (formats.percent_interval((0.83, 0.99)), "83% to 99%"),
        (formats.with_interval(0.12, (0.1, 0.14), 2, "m"), "0.12 m (0.10 to 0.14)"),
        (formats.with_interval(0.12, None), "0.12"),
        (formats.share_with_interval(38, 40, (0.83, 0.99)), "38 of 40 (83% to 99%)"),
        (formats.metres(0.114), "0.11 m"),
        (formats.km(13.2), "13.20 km"),
        (formats.per_km(0.456), "0.46/km"),
        (formats.seconds(4.21), "4.2 s"),
        (formats.milliseconds(0.0031), "3.10 ms"),
        (formats.thousands(378123), "378,123"),
    ],
)
def test_numbers_are_written_with_their_unit(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "text",
    [
        formats.share(0, 0),
        formats.interval(None),
        formats.with_interval(None, None),
        formats.share_with_interval(0, 0, (0.0, 1.0)),
        formats.percent_interval(None),
        *(
            form(None)
            for form in (
                formats.number,
                formats.percent,
                formats.metres,
                formats.km,
                formats.per_km,
                formats.seconds,
                formats.milliseconds,
                formats.thousands,
            )
        ),
    ],
)
def test_a_missing_value_has_one_text(text: str) -> None:
    assert text == formats.MISSING
