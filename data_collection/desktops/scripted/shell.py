"""The few commands that the terminal knows."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_collection.desktops.scripted.filesystem import FileRefused, FileSystem, Folder, TextFile

_HELP = (
    "cat FILE       show a file",
    "cd [FOLDER]    go to a folder",
    "clear          empty the screen",
    "echo TEXT      say it; > or >> FILE",
    "ls [FOLDER]    list a folder",
    "mkdir NAME     make a folder",
    "pwd            where am I",
    "rm [-r] NAME   remove",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and whether the screen is emptied first."""

    lines: tuple[str, ...] = ()
    clear: bool = False


class Shell:
    """Runs command lines in a folder of the file system."""

    def __init__(self, files: FileSystem) -> None:
        """Start at home."""
        self._files = files
        self.cwd = files.home
        self._commands: dict[str, Callable[[Sequence[str]], Answer]] = {
            "cat": self._cat,
            "cd": self._cd,
            "clear": lambda _: Answer(clear=True),
            "echo": self._echo,
            "help": lambda _: Answer(_HELP),
            "ls": self._ls,
            "mkdir": self._mkdir,
            "pwd": lambda _: Answer((files.path(self.cwd),)),
            "rm": self._rm,
        }

    @property
    def prompt(self) -> str:
        """What stands before a command."""
        return f"{self._files.path(self.cwd, short=True)}$ "

    def run(self, line: str) -> Answer:
        """Run one command line and return what it prints."""
        try:
            words = shlex.split(line)
        except ValueError:
            return Answer(("unbalanced quotes",))
        if not words:
            return Answer()
        command = self._commands.get(words[0])
        if command is None:
            return Answer((f"{words[0]}: command not found",))
        try:
            return command(words[1:])
        except FileRefused as refusal:
            return Answer((f"{words[0]}: {refusal}",))

    def _ls(self, words: Sequence[str]) -> Answer:
        paths = [word for word in words if not word.startswith("-")] or ["."]
        hidden = any(word.startswith("-") and "a" in word for word in words)
        lines: list[str] = []
        for path in paths:
            node = self._files.find(self.cwd, path)
            if node is None:
                lines.append(f"ls: {path}: no such file or folder")
            elif isinstance(node, Folder):
                entries = node.entries if hidden else node.shown
                names = [one.name + "/" * isinstance(one, Folder) for one in entries]
                lines += ["  ".join(names)] if names else []
            else:
                lines.append(node.name)
        return Answer(tuple(lines))

    def _cd(self, words: Sequence[str]) -> Answer:
        self.cwd = self._files.folder(self.cwd, words[0] if words else "~")
        return Answer()

    def _mkdir(self, words: Sequence[str]) -> Answer:
        lines = [] if words else ["mkdir: name missing"]
        for path in words:
            try:
                self._files.make_folder(*self._place(path))
            except FileRefused as refusal:
                lines.append(f"mkdir: {path}: {refusal}")
        return Answer(tuple(lines))

    def _echo(self, words: Sequence[str]) -> Answer:
        for arrow in (">", ">>"):
            if arrow in words:
                at = words.index(arrow)
                text, target = " ".join(words[:at]), words[at + 1 : at + 2]
                if not target:
                    raise FileRefused("file name missing")
                self._files.write(*self._place(target[0]), text, append=arrow == ">>")
                return Answer()
        return Answer((" ".join(words),))

    def _cat(self, words: Sequence[str]) -> Answer:
        lines = [] if words else ["cat: file name missing"]
        for path in words:
            node = self._files.find(self.cwd, path)
            if isinstance(node, TextFile):
                lines += node.text.split("\n")
            else:
                lines.append(f"cat: {path}: {'is a folder' if node else 'no such file'}")
        return Answer(tuple(lines))

    def _rm(self, words: Sequence[str]) -> Answer:
        paths = [word for word in words if not word.startswith("-")]
        whole = len(paths) < len(words)
        lines = [] if paths else ["rm: name missing"]
        for path in paths:
            node = self._files.find(self.cwd, path)
            if node is None:
                lines.append(f"rm: {path}: no such file or folder")
            elif isinstance(node, Folder) and not whole:
                lines.append(f"rm: {path}: is a folder (rm -r)")
            else:
                try:
                    self._files.remove(node)
                except FileRefused as refusal:
                    lines.append(f"rm: {path}: {refusal}")
        return Answer(tuple(lines))

    def _place(self, path: str) -> tuple[Folder, str]:
        """Return the folder and the name that a path names."""
        head, _, name = path.rstrip("/").rpartition("/")
        start = "/" if path.startswith("/") and not head else head or "."
        return self._files.folder(self.cwd, start), name
