"""What people see of a run: one line per step, no stack traces. On a terminal a step that runs shows a spinner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from domain.clock import Clock


class Screen:
    """Lines for people on standard output."""

    def __init__(self, clock: Clock, console: Console | None = None) -> None:
        self._clock = clock
        self._console = console or Console(soft_wrap=True, highlight=False)

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Show that something is being done; when it is, say how long it took."""
        began_s = self._clock.monotonic_s()
        with self._console.status(escape(doing)):
            yield
        self._console.print(f"[green]ok[/]  {escape(doing)} [dim]({self._clock.monotonic_s() - began_s:.1f} s)[/]")

    def say(self, text: str) -> None:
        """Say something that is as it should be."""
        self._console.print(f"[cyan]--[/]  {escape(text)}")

    def trouble(self, text: str) -> None:
        """Say something that went wrong."""
        self._console.print(f"[yellow]!![/]  {escape(text)}")

    def failure(self, text: str) -> None:
        """Say why we give up."""
        self._console.print(f"[red]no[/]  {escape(text)}")

    def addresses(self, lines: dict[str, str]) -> None:
        """Print one line per address, in columns."""
        width = max(len(name) for name in lines)
        for name, address in lines.items():
            self._console.print(f"    [bold]{escape(name.ljust(width))}[/]  {escape(address)}")

    def secret(self, title: str, text: str) -> None:
        """Show something that will not be shown again."""
        self._console.print(Panel.fit(escape(text), title=escape(title)))
