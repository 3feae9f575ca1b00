"""`python -m appliance.cli`: the falaj command, where no script of that name starts it."""

from appliance.cli import main

main(prog_name="falaj")
