"""A page of documentation whose files are written and whose commands are run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from plugin_environment import REPOSITORY, Environment

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


class Page:
    """A page in ``docs/`` about the package in ``folder``."""

    def __init__(self, name: str, folder: str) -> None:
        self.text = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
        self.folder = folder

    def blocks(self) -> list[tuple[str, str, str]]:
        """(language, title, text) of the code blocks, in order."""
        return [(m[1], m[2] or "", m[3]) for m in BLOCK.finditer(self.text)]

    def written(self) -> dict[str, str]:
        """The files that the page writes; a file's parts follow one another."""
        files: dict[str, str] = {}
        for _, title, text in self.blocks():
            if title:
                before = f"{files[title]}\n\n" if title in files else ""
                files[title] = before + text.strip("\n") + "\n"
        return files

    def figure(self, pattern: str) -> float:
        """A number that the page states."""
        found = re.search(pattern, self.text)
        assert found, pattern
        return float(found[1])

    def follow(
        self,
        environment: Environment,
        place: Path,
        ran: Callable[[str], None] = lambda command: None,
    ) -> None:
        """Does what the page says, and looks for the output that it shows.

        A line of output may have parts left out (…). ``ran`` is told of each command.
        """
        top, begun = place, set[str]()
        for language, title, text in self.blocks():
            if title:
                path = top / self.folder / title
                with path.open("a" if title in begun else "w") as file:
                    file.write(text)
                begun.add(title)
            elif language == "console":
                out = ""
                for line in text.splitlines():
                    command = line.removeprefix("$ ")
                    if command == line:
                        for part in filter(None, map(str.strip, line.split("…"))):
                            assert part in out, f"{line!r} isn't in\n{out}"
                    elif command.startswith("cd "):
                        place = place / command.removeprefix("cd ")
                    else:
                        out = environment.run(command, place)
                        ran(command)
