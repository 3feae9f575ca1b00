"""Write the manual pages from the commands and the settings: manual.py DIR (where man1 and man5 go)."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from appliance import __version__
from appliance.cli import main as falaj
from appliance.config import settings

FILES = """\
.SH FILES
.TP
.I /etc/falaj/falaj.toml
The settings; see
.BR falaj.toml (5).
.TP
.I /var/lib/falaj
Everything the appliance has learnt. Only its own account and root can read it.
.TP
.I /usr/share/doc/falaj
The documentation; begin with index.md.
"""
STATUS = """\
.SH EXIT STATUS
0: done.
1: what was asked for failed.
2: the command was not written right.
130: stopped with Ctrl-C.
"""
SETTINGS_HEAD = """\
.SH DESCRIPTION
No setting has to be changed.
The file is TOML: sections in brackets, and in them lines of the form
.IR "setting = value" .
A section or setting that does not exist is refused.
A variable of the environment counts more than the file: the setting
.I port
of the section
.I admin
is the variable
.BR FALAJ_ADMIN_PORT .
"""


def main() -> None:
    target = Path(sys.argv[1])
    pages = {"man1/falaj.1": overview(), "man5/falaj.toml.5": settings_page()}
    for name in falaj.list_commands(click.Context(falaj)):
        pages[f"man1/falaj-{name}.1"] = command_page(name)
    for path, content in pages.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(content)


def head(name: str, section: int, told: str) -> str:
    day = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC).strftime("%Y-%m-%d")
    title = f'.TH {name.upper()} {section} "{day}" "falaj {__version__}" "Falaj"\n'
    return f"{title}.SH NAME\n{plain(name)} \\- {plain(told)}\n"


def overview() -> str:
    context = click.Context(falaj, info_name="falaj")
    parts = [
        head("falaj", 1, first_line(falaj).removeprefix("Falaj: ")),
        ".SH SYNOPSIS\n.B falaj\n[\\-\\-home DIR] COMMAND ...\n",
    ]
    parts += [".SH DESCRIPTION\n", text(falaj.help), options(falaj, context), ".SH COMMANDS\n"]
    for name in falaj.list_commands(context):
        command = falaj.get_command(context, name)
        assert command is not None
        parts.append(f".TP\n.BR falaj\\-{plain(name)} (1)\n{plain(first_line(command))}\n")
    return "".join([*parts, STATUS, FILES, ".SH SEE ALSO\n.BR falaj.toml (5)\n"])


def command_page(name: str) -> str:
    """One page a top-level command; a group's commands are its sections."""
    context = click.Context(falaj, info_name="falaj")
    command = falaj.get_command(context, name)
    assert command is not None
    parts = [head(f"falaj-{name}", 1, first_line(command)), ".SH SYNOPSIS\n"]
    every = list(below(command, name))
    for path, one, inner in every:
        pieces = " ".join(one.collect_usage_pieces(inner))
        parts.append(f".B falaj {plain(path)}\n{plain(pieces)}\n.br\n")
    if isinstance(command, click.Group):
        parts += [".SH DESCRIPTION\n", text(command.help), ".SH COMMANDS\n"]
        for path, one, inner in every:
            parts += [f'.SS "falaj {plain(path)}"\n', text(one.help), options(one, inner, heading=False)]
    else:
        parts += [".SH DESCRIPTION\n", text(command.help), options(command, every[0][2])]
    return "".join([*parts, STATUS, ".SH SEE ALSO\n.BR falaj (1)\n"])


def below(command: click.Command, path: str) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(command, info_name=path)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from below(inner, f"{path} {name}")
    else:
        yield path, command, context


def options(command: click.Command, context: click.Context, *, heading: bool = True) -> str:
    told = [param.get_help_record(context) for param in command.get_params(context)]
    rows = [row for row in told if row is not None and row[1]]
    lines = "".join(f".TP\n.B {plain(names)}\n{plain(help)}\n" for names, help in rows)
    return (".SH OPTIONS\n" if heading and rows else "") + lines


def settings_page() -> str:
    parts, current = [head("falaj.toml", 5, "settings of the Falaj appliance"), SETTINGS_HEAD], ""
    for section, key, kind, default, help in settings():
        if section != current:
            current = section
            parts.append(f'.SH "[{section}]"\n')
        shown = f'"{default}"' if kind is str else f"{default:g}" if kind is float else str(default)
        parts.append(f'.TP\n.BR {plain(key)} " = {plain(shown)}"\n{plain(help)}\n')
    return "".join([*parts, FILES, ".SH SEE ALSO\n.BR falaj (1)\n"])


def first_line(command: click.Command) -> str:
    return command.get_short_help_str(200).rstrip(".")


def text(help: str | None) -> str:
    """Paragraphs; those after a line with \\b keep their lines, as click has it."""
    return "".join(_paragraphs(inspect.cleandoc(help or "").split("\n\n")))


def _paragraphs(paragraphs: Iterable[str]) -> Iterator[str]:
    for one in paragraphs:
        yield ".PP\n"
        if one.startswith("\b"):
            yield ".nf\n" + plain(one[1:].strip("\n")) + "\n.fi\n"
        else:
            yield plain(" ".join(one.split())) + "\n"


def plain(words: str) -> str:
    """Words as they are, whatever roff would make of them."""
    kept = words.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in kept.split("\n"))


if __name__ == "__main__":
    main()
