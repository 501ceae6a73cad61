"""One file a tab, each with ``render(context) -> None``: settings → compute → show."""
