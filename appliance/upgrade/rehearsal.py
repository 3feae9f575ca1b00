"""What an upgrade would do, done to a copy: migrated by the new program, and looked at in every way."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from appliance.db import Store, audit
from appliance.db.migrations import registry, telemetry
from appliance.errors import Corrupted, FalajError
from appliance.home import Home
from appliance.inference.plane import prepare
from appliance.inference.replica import artefact
from appliance.registry import deployments
from appliance.registry.deployments import DeploymentState

_NOT_CHANGED = "Nothing was changed."


def rehearse(home: Home, snapshot: Path) -> None:
    """Migrate a copy of a snapshot and check it. Raises FalajError with what is wrong."""
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=snapshot.parent) as folder:
        copy = _copied(home, snapshot, Path(folder))
        copy.registry.migrate(registry)
        copy.telemetry.migrate(telemetry)
        for store, migrations in ((copy.registry, registry), (copy.telemetry, telemetry)):
            if fault := store.faults():
                raise Corrupted(f"{store.path.name} would be damaged: {fault}.", _NOT_CHANGED)
            fresh = Store(Path(folder) / f"fresh-{store.path.name}", b"\0" * 32, create=True)
            fresh.migrate(migrations)
            expected = fresh.schema()
            fresh.close()
            if store.schema() != expected:
                raise Corrupted(f"{store.path.name} would not be as the program needs it.", _NOT_CHANGED)
        _check_audit(copy, snapshot)
        check_models(copy)
        copy.registry.close()
        copy.telemetry.close()


def check_models(home: Home) -> None:
    """Load every version that answers, with this program's libraries; each must reproduce its proof."""
    for deployment in deployments.serving(home.registry):
        if deployment.state is not DeploymentState.LIVE:
            continue
        name = f"{deployment.model}:{deployment.version}"
        try:
            prepare(artefact(home, deployment)).session.close()
        except FalajError as error:
            raise Corrupted(f"{name} would not answer as before: {error.message}", error.hint) from error


def _copied(home: Home, snapshot: Path, folder: Path) -> Home:
    """The home on databases of their own."""
    source = replace(
        home,
        registry=Store(snapshot / "registry.db", home.keys.key("registry")),
        telemetry=Store(snapshot / "telemetry.db", home.keys.key("telemetry")),
    )
    copies = []
    for store in (source.registry, source.telemetry):
        store.copy_to(folder / store.path.name)
        store.close()
        copies.append(Store(folder / store.path.name, home.keys.key(store.path.stem)))
    return replace(home, registry=copies[0], telemetry=copies[1])


def _check_audit(copy: Home, snapshot: Path) -> None:
    entries = copy.registry.all("SELECT * FROM audit ORDER BY seq")
    verdict = audit.verify(copy.keys.key("audit"), entries, audit.read_head(snapshot))
    if not verdict.ok:
        raise Corrupted(f"The audit chain would be broken: {verdict.why}.", _NOT_CHANGED)
