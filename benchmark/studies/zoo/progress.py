"""What a user sees while the zoo is checked: a bar in a terminal, otherwise a line per network."""

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from benchmark.jobs.bar import WithBar
from benchmark.studies.zoo.check import Row


class Progress(WithBar):
    """Shows the rows of one `run` call; use as a context manager and pass it as `on_row`."""

    def __init__(self, total: int, console: Console) -> None:
        super().__init__(console)
        self.done = self.refused = 0
        self.total = total
        if console.is_terminal:
            columns = (TextColumn("zoo"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self.bar = Bar(*columns, console=console)
            self.task = self.bar.add_task("", total=total)

    def __call__(self, row: Row, fresh: bool) -> None:
        """Take note of a finished network."""
        self.done += 1
        self.refused += row["status"] != "ok"
        refused = f", {self.refused} refused" if self.refused else ""
        line = f"{self.done}/{self.total}{refused}: {row['model']} {row['status']}"
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, description=line)
        elif fresh:
            self.console.print(f"zoo: {line}, {row['seconds']:.1f} s", soft_wrap=True, markup=False)
