"""`falaj --help` is the map: every command, in the order of a model's life."""

from __future__ import annotations

import sys
from typing import Any

import click

from appliance import __version__
from appliance.cli import (
    config,
    data,
    gpu,
    network,
    operate,
    outside,
    people,
    recovery,
    serve,
    teach,
    upgrade,
    users,
    watch,
)
from appliance.cli.edge import Edge, fail
from appliance.errors import FalajError


class _Map(click.Group):
    """Keeps the commands in the order they were added, and tells every error in two lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nStopped. What was begun may go on; see: falaj job ls", err=True)
            sys.exit(130)
        except FalajError as error:
            edge = ctx.find_object(Edge)
            fail(error, as_json=edge is not None and edge.json)


@click.group(cls=_Map, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="falaj")
@click.option("--home", metavar="DIR", help="The data directory, if not the one that FALAJ_HOME names.")
@click.pass_context
def main(context: click.Context, home: str | None) -> None:
    """Falaj: data in, a trained model that answers, on this machine alone.

    \b
    A first model in four steps:
      falaj dataset add customers customers.csv
      falaj train churn --dataset customers --target left
      falaj deploy churn
      falaj predict churn --row '{"tenure": 3, "contract": "One year"}'
    """
    context.obj = Edge(home)


_ALL = (operate, config, data, teach, serve, watch, people, users, network, outside, recovery, upgrade, gpu)

for _commands in (one.COMMANDS for one in _ALL):
    for _command in _commands:
        main.add_command(_command)
