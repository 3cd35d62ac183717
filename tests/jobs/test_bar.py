import io

import pytest
from rich.console import Console
from rich.progress import Progress

from benchmark.jobs.bar import WithBar


def test_a_bar_is_shown_from_the_beginning_and_stops_with_an_error_too():
    shown = WithBar(Console(file=io.StringIO(), force_terminal=True))
    shown.bar = Progress(console=shown.console)
    with pytest.raises(KeyError), shown:
        assert shown.bar.live.is_started
        raise KeyError
    assert not shown.bar.live.is_started


def test_a_bar_made_on_the_way_stops_at_the_end():
    with WithBar(Console(file=io.StringIO(), force_terminal=True)) as shown:
        assert shown.bar is None
        shown.bar = Progress(console=shown.console)
        shown.bar.start()
    assert not shown.bar.live.is_started


def test_the_console_is_stderr_when_none_is_given(capsys):
    with WithBar() as shown:
        shown.console.print("here")
    assert capsys.readouterr() == ("", "here\n")
