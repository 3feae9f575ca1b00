"""Write the pages that are made from the code: `python -m docs.generate [--check]`.

docs/cli.md comes from the click commands, docs/settings.md from the table in appliance/config.py, docs/api.md
from the routes of the management API, docs/permissions.md from the table of roles. With `--check` nothing is
written; the exit status is 1 when a page is not what the code says.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from appliance.api.routes import ROUTES
from appliance.cli import main as falaj
from appliance.config import settings
from appliance.security.roles import FOR_PEOPLE, MEANING, PERMISSIONS, may

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

No setting has to be changed. `falaj config ls` and the page *Settings* show what holds, where it comes from
and what differs from the default. To change one and go back:

```sh
falaj config set inference.workers 2
falaj config get inference.workers
falaj config check
falaj config unset inference.workers
```

A wrong value is refused and changes nothing. The installed appliance is started anew with the change at once
(put `sudo` before it; `--no-restart` leaves that for later); any other has to be stopped and started.
Your comments and the order in the file stay. An editor does as well:

```toml
[inference]
workers = 2
max_body_mb = 8
```

- The file is `/etc/falaj/falaj.toml` for the installed appliance (data in `/var/lib/falaj`), which root alone
  writes, and `falaj.toml` in the data directory for any other. Only the one of them is read.
- A variable of the environment, named in the tables, counts more than the file. (Under systemd `host` and
  `port` of both sections are read from the file alone: systemd makes the sockets.)
- Each start compares what holds with what held before, and writes what differs into the
  [records](tokens-and-audit.md#the-audit-chain) as `settings.changed`, however it was changed.
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


API_HEAD = """\
# The management API

<!-- Made from the code by `python -m docs.generate`; change the code, not this page. -->

Everything that the admin page does, a program can do: JSON over HTTP, under `/api/v1` on the admin port
(7600), through the
same functions and with the same permissions. `/api/v1/openapi.json` is the whole of it as OpenAPI 3.1.

A program shows a token that was made for a role, as `Authorization: Bearer TOKEN` or `X-Api-Key: TOKEN`:

```sh
TOKEN=$(falaj token create --role operator --name notebook | head -n 1)
curl -s http://127.0.0.1:7600/api/v1/models -H "Authorization: Bearer $TOKEN"
curl -s http://127.0.0.1:7600/api/v1/datasets -H "Authorization: Bearer $TOKEN" \\
     -F name=customers -F file=@customers.csv
curl -s http://127.0.0.1:7600/api/v1/predictions -H "Authorization: Bearer $TOKEN" \\
     -d '{"model": "churn", "rows": [{"tenure": 3, "contract": "Month-to-month"}]}'
```

- Long work answers 202 with `{"job": ...}`; ask `/api/v1/jobs/JOB` until its `state` is `succeeded`,
  `failed` or `cancelled`.
- A table comes as a form (`multipart/form-data`) whose last field is the file. `options` holds the import's
  options as JSON.
- An error is `{"error": ..., "hint": ...}` with the status that [errors](errors.md) explains.
- A browser's session works too: then every change carries the session's token in the header `X-CSRF-Token`
  (`GET /api/v1/session` tells it).
- `MODEL` and `DATASET` are names; `NAME:2` is version 2 of it. Who may do what:
  [permissions](permissions.md).

| request | what |
|---|---|
| `POST /api/v1/setup` | Make the first user, with the set-up code |
| `POST /api/v1/session` | Sign in with a name and a password |
| `GET /api/v1/session` | Who is calling, in which role |
| `DELETE /api/v1/session` | Sign out |
| `POST /api/v1/datasets` | Import a table; the job's id |
"""

PERMISSIONS_HEAD = """\
# Who may do what

<!-- Made from the code by `python -m docs.generate`; change the code, not this page. -->

One table, checked at every door: the admin page, the management API and the command line. What is not in it
is
allowed to nobody. Whoever works on the server itself, as the owner of the data directory or as root, may do
all of it with
the `falaj` command.

"""


def api_page() -> str:
    """docs/api.md."""
    rows = [f"| `{one.method} /api/v1{shown(one.path)}` | {one.summary} |\n" for one in ROUTES]
    return API_HEAD + "".join(rows)


def shown(path: str) -> str:
    """A route's path as the pages write it: arguments in capitals."""
    return "".join(
        piece.upper() if piece.startswith("{") else piece for piece in re.split(r"({\w+})", path)
    ).translate({ord("{"): None, ord("}"): None})


def permissions_page() -> str:
    """docs/permissions.md."""
    parts = [PERMISSIONS_HEAD, "| role | |\n|---|---|\n"]
    parts += [f"| {role.value} | {MEANING[role]} |\n" for role in FOR_PEOPLE]
    parts.append("\n| verb | " + " | ".join(role.value for role in FOR_PEOPLE) + " |\n")
    parts.append("|---" * (len(FOR_PEOPLE) + 1) + "|\n")
    for verb in PERMISSIONS:
        marks = " | ".join("yes" if may(role, verb) else "" for role in FOR_PEOPLE)
        parts.append(f"| `{verb}` | {marks} |\n")
    return "".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "settings.md": settings_page,
    "api.md": api_page,
    "permissions.md": permissions_page,
}


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
