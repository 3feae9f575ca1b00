"""The candidates that can be trained, by name. Adding one: a file with a Trainer, and a line here."""

from __future__ import annotations

from appliance.errors import BadInput
from appliance.training.fitted import Trainer
from appliance.training.linear import Linear
from appliance.training.network import Network
from appliance.training.trees import Trees

AUTO = "auto"
CANDIDATES: dict[str, Trainer] = {trainer.name: trainer for trainer in (Linear(), Trees(), Network())}


def chosen(algorithm: str) -> list[Trainer]:
    """The trainers to race for `algorithm`: one by name, or all for "auto". Raises BadInput."""
    if algorithm == AUTO:
        return list(CANDIDATES.values())
    if algorithm not in CANDIDATES:
        names = ", ".join([AUTO, *CANDIDATES])
        raise BadInput(f"There is no algorithm '{algorithm}'.", f"Use one of: {names}.")
    return [CANDIDATES[algorithm]]
