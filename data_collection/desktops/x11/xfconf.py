"""Settings as xfconf keeps them: one XML file a channel."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

Value = str | int | bool | list[int] | dict[str, "Value"]
"""A setting; one with others below it has its own value under the empty name."""


def channel_xml(name: str, tree: dict[str, Value]) -> str:
    """Return a channel's file."""
    body = "".join(_property(key, value) for key, value in tree.items())
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}\n<channel name="{name}" version="1.0">{body}</channel>\n'


def _property(name: str, value: Value) -> str:
    label = quoteattr(name)
    if isinstance(value, dict):
        own = value.get("")
        inner = "".join(_property(key, item) for key, item in value.items() if key)
        if own is None:
            return f'<property name={label} type="empty">{inner}</property>'
        return _property(name, own).replace("</property>", f"{inner}</property>")
    if isinstance(value, list):
        items = "".join(f'<value type="int" value="{item}"/>' for item in value)
        return f'<property name={label} type="array">{items}</property>'
    if isinstance(value, bool):
        return f'<property name={label} type="bool" value="{str(value).lower()}"></property>'
    kind = "int" if isinstance(value, int) else "string"
    return (
        f"<property name={label} type={quoteattr(kind)} value={quoteattr(str(value))}></property>"
    )
