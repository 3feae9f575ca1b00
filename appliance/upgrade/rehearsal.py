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
        stores = (copy.registry, copy.telemetry)
        before = [_counts(store) for store in stores]
        was_whole = _audit_fault(copy, snapshot) == ""
        copy.registry.migrate(registry)
        copy.telemetry.migrate(telemetry)
        for store, migrations, rows in zip(stores, (registry, telemetry), before, strict=True):
            if fault := store.faults():
                raise Corrupted(f"{store.path.name} would be damaged: {fault}.", _NOT_CHANGED)
            fresh = Store(Path(folder) / f"fresh-{store.path.name}", b"\0" * 32, create=True)
            fresh.migrate(migrations)
            expected = fresh.schema()
            fresh.close()
            if store.schema() != expected:
                raise Corrupted(f"{store.path.name} would not be as the program needs it.", _NOT_CHANGED)
            after = _counts(store)
            if fewer := sorted(table for table in rows.keys() & after.keys() if after[table] < rows[table]):
                raise Corrupted(f"{store.path.name} would lose rows of {', '.join(fewer)}.", _NOT_CHANGED)
        # a chain that was broken before is the doctor's to tell, and no reason to stay on an old version
        if was_whole and (fault := _audit_fault(copy, snapshot)):
            raise Corrupted(f"The audit chain would be broken: {fault}.", _NOT_CHANGED)
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


def _counts(store: Store) -> dict[str, int]:
    """Table -> its rows."""
    tables = store.all("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    names = [str(row["name"]) for row in tables]
    return {name: int(store.all(f'SELECT count(*) AS n FROM "{name}"')[0]["n"]) for name in names}


def _audit_fault(copy: Home, snapshot: Path) -> str:
    """What is wrong with the chain of a copy; nothing when it is whole."""
    entries = copy.registry.all("SELECT * FROM audit ORDER BY seq")
    verdict = audit.verify(copy.keys.key("audit"), entries, audit.read_head(snapshot))
    return "" if verdict.ok else verdict.why
