"""A small file system in memory, shared by the desktop, the file manager and the terminal."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_NAME_CHARACTERS = 24
DEFAULT_FOLDER_NAME = "Folder"


class FileRefused(ValueError):
    """The file system cannot do this; the message says why in a few words."""


@dataclass(eq=False, slots=True)
class Node:
    """A file or a folder."""

    name: str
    parent: Folder | None

    @property
    def hidden(self) -> bool:
        """Whether lists leave it out."""
        return self.name.startswith(".")


@dataclass(eq=False, slots=True)
class TextFile(Node):
    """A file of text."""

    text: str = ""


@dataclass(eq=False, slots=True)
class Folder(Node):
    """A folder; its entries stand in the order in which they came."""

    entries: list[Node] = field(default_factory=list)

    @property
    def shown(self) -> tuple[Node, ...]:
        """The entries that are not hidden."""
        return tuple(node for node in self.entries if not node.hidden)

    def get(self, name: str) -> Node | None:
        """Return the entry of that name."""
        return next((node for node in self.entries if node.name == name), None)


class FileSystem:
    """Folders and text files under ``/``; ``version`` grows with each change."""

    def __init__(self) -> None:
        """Make a home with a few folders and files."""
        self.version = 0
        self.root = Folder("", None)
        self.home = self.make_folder(self.make_folder(self.root, "home"), "user")
        self.desktop = self.make_folder(self.home, "Desktop")
        self.trash = self.make_folder(self.home, ".trash")
        for name in ("Documents", "Pictures", "Music"):
            self.make_folder(self.home, name)
        documents = self.folder(self.home, "Documents")
        self.write(self.home, "notes.txt", "buy bread\nwater the plants")
        self.write(self.home, "report.pdf", "Report\nAll is well.")
        self.write(documents, "letter.txt", "Dear reader,\nall is well here.\nYours, the desktop")
        self.write(documents, "list.txt", "one\ntwo\nthree")

    def folder(self, start: Folder, path: str) -> Folder:
        """Return the folder at a path.

        Raises:
            FileRefused: there is none.
        """
        node = self.find(start, path)
        if node is None:
            raise FileRefused("no such folder")
        if not isinstance(node, Folder):
            raise FileRefused("not a folder")
        return node

    def find(self, start: Folder, path: str) -> Node | None:
        """Return what lies at a path: absolute, from ``~``, or from ``start``."""
        node: Node | None = start
        if path.startswith("/"):
            node = self.root
        elif path == "~" or path.startswith("~/"):
            node, path = self.home, path[1:]
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if not isinstance(node, Folder):
                return None
            node = (node.parent or node) if part == ".." else node.get(part)
        return node

    def path(self, node: Node, short: bool = False) -> str:
        """Return the absolute path; ``short`` writes ``~`` for the home."""
        names: list[str] = []
        walk: Node | None = node
        while walk is not None and walk is not self.root:
            if short and walk is self.home:
                return "/".join(["~", *reversed(names)])
            names.append(walk.name)
            walk = walk.parent
        return "/" + "/".join(reversed(names))

    def alive(self, node: Node) -> bool:
        """Say whether the node can still be reached from the root."""
        walk: Node = node
        while walk.parent is not None:
            walk = walk.parent
        return walk is self.root

    def fixed(self, node: Node) -> bool:
        """Say whether the node has to stay where it is: it is, or holds, a place of the desktop."""
        for place in (self.desktop, self.trash):
            walk: Node | None = place
            while walk is not None:
                if walk is node:
                    return True
                walk = walk.parent
        return False

    def make_folder(self, parent: Folder, name: str) -> Folder:
        """Make a folder.

        Raises:
            FileRefused: the name is taken or no name.
        """
        folder = Folder(self._new_name(parent, name), parent)
        parent.entries.append(folder)
        self.version += 1
        return folder

    def write(self, parent: Folder, name: str, text: str, append: bool = False) -> TextFile:
        """Write a file, over or after what it held.

        Raises:
            FileRefused: a folder has that name, or it is no name.
        """
        node = parent.get(name)
        if isinstance(node, Folder):
            raise FileRefused("is a folder")
        if not isinstance(node, TextFile):
            node = TextFile(self._new_name(parent, name), parent)
            parent.entries.append(node)
        node.text = f"{node.text}\n{text}" if append and node.text else text
        self.version += 1
        return node

    def rename(self, node: Node, name: str) -> None:
        """Give a node a new name; one that is no name changes nothing, a taken one gets a number.

        Raises:
            FileRefused: the node has to stay as it is.
        """
        if self.fixed(node):
            raise FileRefused("is in use")
        wanted = clean_name(name)
        if wanted and wanted != node.name and node.parent is not None:
            node.name = free_name(node.parent, wanted)
            self.version += 1

    def discard(self, node: Node) -> None:
        """Move a node to the trash.

        Raises:
            FileRefused: the node has to stay where it is.
        """
        self.remove(node)
        node.name = free_name(self.trash, node.name)
        node.parent = self.trash
        self.trash.entries.append(node)

    def remove(self, node: Node) -> None:
        """Take a node away for good.

        Raises:
            FileRefused: the node has to stay where it is.
        """
        if self.fixed(node) or node.parent is None:
            raise FileRefused("is in use")
        node.parent.entries.remove(node)
        node.parent = None
        self.version += 1

    def empty_trash(self) -> None:
        """Remove everything in the trash."""
        for node in tuple(self.trash.entries):
            self.remove(node)

    def _new_name(self, parent: Folder, name: str) -> str:
        if not name or name in (".", "..") or "/" in name or len(name) > MOST_NAME_CHARACTERS:
            raise FileRefused("not a name")
        if parent.get(name) is not None:
            raise FileRefused("exists already")
        return name


def clean_name(text: str) -> str:
    """Return typed text as a name that is shown: no slash, no dot or blank before it."""
    return text.replace("/", "").lstrip(". ").rstrip()[:MOST_NAME_CHARACTERS]


def free_name(parent: Folder, wanted: str) -> str:
    """Return the name, with the first free number after it where it is taken."""
    name, count = wanted, 1
    while parent.get(name) is not None:
        count += 1
        name = f"{wanted} {count}"
    return name
