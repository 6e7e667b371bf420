"""A file's or folder's name while it is being typed."""

from __future__ import annotations

from dataclasses import dataclass

from data_collection.desktops.scripted.filesystem import MOST_NAME_CHARACTERS, Node
from data_collection.desktops.scripted.textfield import TextField


@dataclass(slots=True, eq=False)
class Naming:
    """A node and the field in which its new name is typed."""

    node: Node
    owner: object | None
    """The window content whose row holds the field; None for an icon of the desktop."""
    field: TextField

    @classmethod
    def of(cls, node: Node, owner: object | None) -> Naming:
        """Start with the present name, which typing replaces."""
        field = TextField(node.name, MOST_NAME_CHARACTERS)
        field.select_all()
        return cls(node, owner, field)
