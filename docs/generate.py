"""Write the pages that are made from the code: `python -m docs.generate [--check]`.

docs/cli.md comes from the click commands, docs/settings.md from the table in appliance/config.py. With
`--check` nothing is written; the exit status is 1 when a page is not what the code says.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from appliance.cli import main as falaj
from appliance.config import settings

DOCS = Path(__file__).resolve().parent
EVERYWHERE = {"as_json", "help"}  # options that all commands have: said once, at the top

CLI_HEAD = """\
# The falaj command

<!-- Made from the code by `python -m docs.generate`; change the code, not this page. -->

Everything that can be asked of the appliance can be asked with `falaj`. `falaj --help` lists the commands,
and `falaj COMMAND --help` says what one takes.

- `falaj --home DIR COMMAND` commands the appliance whose data lies in `DIR`. Without it `FALAJ_HOME` counts,
  then `var` in the folder that Falaj was unpacked into, then `/var/lib/falaj`.
- `falaj --version` names the version.
- Every command takes `--help`, and `--json`: the answer, or the error, is then one line of JSON.
- It works for the user who owns the data directory, and for root.
- **Exit status**: 0 done; 1 what was asked for failed (a model that the gate refused is a 1 too); 2 the
  command was not written right; 130 stopped with Ctrl-C.
- An error is two lines: what is wrong, and what to do. See [errors](errors.md).
- `MODEL` and `DATASET` are names; `NAME:2` is version 2 of it, the name alone the newest version.
"""

SETTINGS_HEAD = """\
# Settings

<!-- Made from the code by `python -m docs.generate`; change the code, not this page. -->

No setting has to be changed. To change one, write it into `falaj.toml` in the data directory, then stop the
appliance and start it again:

```toml
[inference]
workers = 2
max_body_mb = 8
```

- Without a `falaj.toml` in the data directory, `/etc/falaj/falaj.toml` is read.
- A variable of the environment, named in the tables, counts more than the file.
- A section or setting that does not exist is refused, and the nearest name is told.
- A `host` may name several addresses. On this machine's own (`127.0.0.1`, `::1`) plain HTTP is spoken, on any
  other TLS; `0.0.0.0` or `::` means all of them, with TLS. See [the network](network.md).
- gRPC is not built yet: nothing listens on `inference.grpc_port`.
- Where the data directory is, is no setting: see [the falaj command](cli.md). `FALAJ_RUN_DIR` moves the
  folder in memory (sockets and signs of life), which otherwise is `falaj-...` in `/dev/shm`.
"""


def commands(group: click.Group, path: str = "falaj") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, as (`falaj dataset add`, command), in the order of the help."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        elif command is not None:
            yield f"{path} {name}", command


def cli_page() -> str:
    """docs/cli.md."""
    parts = [CLI_HEAD]
    for path, command in commands(falaj):
        context = click.Context(command, info_name=path)
        pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
        options = [
            one for one in command.params if isinstance(one, click.Option) and one.name not in EVERYWHERE
        ]
        required = [f"{one.opts[0]} {one.make_metavar(context)}" for one in options if one.required]
        usage = " ".join([path, *pieces, *required, *(["[OPTIONS]"] if len(options) > len(required) else [])])
        parts.append(f"## {path}\n\n{inspect.cleandoc(command.help or '')}\n\n    {usage}\n")
        if options:
            parts.append("\n".join(_option(one, context) for one in options) + "\n")
    return "\n".join(parts)


def _option(option: click.Option, context: click.Context) -> str:
    kind = "" if option.is_flag else f" {option.make_metavar(context).strip('[]')}"
    notes = ["needed"] if option.required else []
    if option.show_default:
        notes.append(f"default: {option.default}")
    if option.multiple:
        notes.append("may be repeated")
    told = f" ({'; '.join(notes)})" if notes else ""
    return f"- `{option.opts[0]}{kind}`: {(option.help or '').rstrip('.')}{told}."


def settings_page() -> str:
    """docs/settings.md."""
    parts, current = [SETTINGS_HEAD], ""
    for section, key, kind, default, help in settings():
        if section != current:
            current = section
            parts.append(
                f"\n## [{section}]\n\n| setting | default | what | in the environment |\n|---|---|---|---|\n"
            )
        shown = f'"{default}"' if kind is str else f"{default:g}" if kind is float else str(default)
        variable = f"FALAJ_{section}_{key}".upper()
        parts.append(f"| `{key}` | `{shown}` | {help} | `{variable}` |\n")
    return "".join(parts)


PAGES: dict[str, Callable[[], str]] = {"cli.md": cli_page, "settings.md": settings_page}


def main() -> int:
    """Write or check every page; the exit status."""
    stale = [name for name, page in PAGES.items() if _read(DOCS / name) != page()]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"docs/{name} is not what the code says. Run: python -m docs.generate", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name]())
        print(f"docs/{name}")
    return 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
