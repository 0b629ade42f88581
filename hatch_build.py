"""Build hook: compile the translations, so that the wheel and an editable install carry them.

Run as a program it only compiles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def compile_translations(root: Path) -> list[Path]:
    """Compile each ``.po`` under ``appserver/locale`` into the ``.mo`` beside it; returns the files written."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    written = []
    for source in sorted((root / "appserver" / "locale").glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        with source.open("rb") as po:
            catalog = read_po(po, locale=source.parent.parent.name)
        temporary = target.with_suffix(".mo.new")
        with temporary.open("wb") as mo:
            write_mo(mo, catalog)
        temporary.replace(target)
        written.append(target)
    return written


class TranslationsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling calls it before it collects files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        compile_translations(Path(self.root))


if __name__ == "__main__":
    compile_translations(Path(__file__).parent)
