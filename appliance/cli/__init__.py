"""The falaj command: a thin edge over the appliance's local socket."""

from appliance.cli.main import main

__all__ = ["main"]
