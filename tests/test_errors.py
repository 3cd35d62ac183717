"""What is said in one line."""

import pytest

from benchmark.errors import BenchError, cause, expect


def raised(*errors: Exception) -> Exception:
    """The last of several errors, each raised from the one before."""
    before: Exception | None = None
    for error in errors:
        try:
            raise error from before
        except Exception as caught:
            before = caught
    assert before is not None
    return before


@pytest.mark.parametrize(
    ("errors", "line"),
    [
        ([ValueError("too long")], "ValueError: too long"),
        ([KeyError()], "KeyError"),
        ([TypeError("inside"), RuntimeError("around"), ValueError("outside")], "TypeError: inside"),
        ([RuntimeError("\n  \x1b[31mFailed\x1b[0m  to\texport\nmore\n")], "RuntimeError: Failed to export"),
    ],
)
def test_the_cause_is_the_innermost_error_in_one_plain_line(errors: list[Exception], line: str) -> None:
    assert cause(raised(*errors)) == line


def test_an_error_that_was_handled_on_the_way_is_no_cause() -> None:
    try:
        try:
            raise KeyError("looked up")
        except KeyError:
            raise ValueError("the rest") from None
    except ValueError as error:
        assert cause(error) == "ValueError: the rest"


def test_a_bool_is_no_number() -> None:
    expect(1, int, "seed", "a whole number")
    for value in (True, "1", 1.0):
        with pytest.raises(BenchError, match=f"seed: {type(value).__name__}; expected a whole number"):
            expect(value, int, "seed", "a whole number")
