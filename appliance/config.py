"""Settings: one typed table, read once at start.

Defaults, then the settings file (`/etc/falaj/falaj.toml` for the installed appliance, `falaj.toml` in the
home of any other), then `FALAJ_SECTION_KEY` of the environment; the later wins. An unknown key fails and
names the nearest one. `docs/settings.md` is generated from this table.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance import addresses
from appliance.errors import BadInput, FalajError

SYSTEM_HOME = Path("/var/lib/falaj")
SYSTEM_CONFIG = Path("/etc/falaj/falaj.toml")
SYSTEM_RUN_DIR = Path("/run/falaj")
SYSTEMD = Path("/run/systemd/system")  # there where systemd is the first process, sd_booted(3)
FILE, ENVIRONMENT = "file", "environment"


def _setting(default: Any, help: str, low: float = 0, high: float = 1e9) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


def _port(default: int, help: str) -> Any:
    return _setting(default, help, 1, 65_535)


@dataclass(frozen=True)
class InferenceSettings:
    host: str = _setting("127.0.0.1", "addresses the endpoint listens on, separated by commas")
    port: int = _port(7601, "port of the endpoint (HTTP)")
    grpc_port: int = _port(7602, "port of the endpoint (gRPC)")
    workers: int = _setting(0, "fewest worker processes; 0 means one, and more as the load asks", 0, 256)
    workers_max: int = _setting(
        0,
        "most worker processes; 0 means as many as `workers` says, or where that is 0 too, one less than the "
        "processor cores",
        0,
        256,
    )
    calm_seconds: float = _setting(
        60.0, "seconds of little load after which a worker process too many ends", 1, 86400
    )
    max_body_mb: int = _setting(32, "largest request body in MiB; a larger one is answered 413", 1, 4096)
    body_deadline: float = _setting(10.0, "seconds a request body may take to arrive", 0.1, 3600)
    request_deadline: float = _setting(30.0, "seconds a request may take as a whole", 0.1, 3600)
    max_in_flight: int = _setting(
        512, "requests a worker takes on at once; one more is answered 429", 1, 65536
    )
    drain_seconds: float = _setting(
        30.0, "seconds that running requests get to end when a worker stops", 0, 3600
    )
    stuck_seconds: float = _setting(
        30.0, "seconds without a sign of life after which a worker process is replaced", 5, 3600
    )


@dataclass(frozen=True)
class AdminSettings:
    host: str = _setting("127.0.0.1", "addresses the admin page listens on, separated by commas")
    port: int = _port(7600, "port of the admin page and the management API")
    idle_hours: float = _setting(
        8.0, "hours without use after which somebody has to sign in again", 0.01, 8760
    )
    session_days: float = _setting(7.0, "days after which somebody has to sign in again", 0.01, 365)


@dataclass(frozen=True)
class TlsSettings:
    names: str = _setting("", "further names and addresses that the certificate is for, separated by commas")


@dataclass(frozen=True)
class MdnsSettings:
    name: str = _setting(
        "",
        "name under .local by which the appliance announces itself in the office network, e.g. falaj.local; "
        "empty announces nothing",
    )


@dataclass(frozen=True)
class WorkerSettings:
    jobs: int = _setting(2, "jobs that run at the same time", 1, 64)


@dataclass(frozen=True)
class JobSettings:
    lease: float = _setting(20.0, "seconds after which a job whose worker went silent is taken over", 2, 3600)
    heartbeat: float = _setting(4.0, "seconds between two signs of life of a running job", 0.1, 1800)
    attempts: int = _setting(3, "how often a job is started before it is given up", 1, 100)
    timeout: float = _setting(3600.0, "seconds a job may run", 1, 604800)
    memory_mb: int = _setting(0, "memory a job may use in MiB; 0 means three quarters of the machine's")


@dataclass(frozen=True)
class TrainingSettings:
    threads: int = _setting(0, "processor cores that training may use; 0 means all", 0, 1024)
    budget: float = _setting(300.0, "seconds that one training run may take", 1, 86400)


@dataclass(frozen=True)
class GateSettings:
    latency_budget_us: float = _setting(
        5000.0, "microseconds that one prediction may take at the median", 1, 1000000000.0
    )
    min_rows: int = _setting(50, "hold-out rows below which the gate does not decide", 1, 1000000000.0)


@dataclass(frozen=True)
class DataSettings:
    max_file_mb: int = _setting(8192, "largest file that is imported, in MiB", 1, 1000000.0)
    min_free_mb: int = _setting(64, "free disk space in MiB below which no import is begun", 1, 1000000.0)


@dataclass(frozen=True)
class TelemetrySettings:
    log_days: float = _setting(30.0, "days for which answered predictions are kept; 0 keeps none", 0, 3650)
    log_mb: int = _setting(256, "most disk space that kept predictions take, in MiB; oldest go first", 1)


@dataclass(frozen=True)
class DriftSettings:
    rows: int = _setting(500, "live rows after which they are compared with the training data", 50)
    days: float = _setting(7.0, "days after which fewer rows (at least 200) are compared", 0.01, 365)
    p: float = _setting(0.001, "chance of a false alert in one comparison of one model", 1e-12, 0.5)
    psi: float = _setting(0.1, "smallest change that counts, as population stability index", 0, 10)


SECTIONS: dict[str, type[Any]] = {
    "inference": InferenceSettings,
    "admin": AdminSettings,
    "tls": TlsSettings,
    "mdns": MdnsSettings,
    "worker": WorkerSettings,
    "jobs": JobSettings,
    "training": TrainingSettings,
    "gate": GateSettings,
    "data": DataSettings,
    "telemetry": TelemetrySettings,
    "drift": DriftSettings,
}


@dataclass(frozen=True)
class Config:
    """Everything that a process of the appliance is told from outside."""

    home: Path
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    mdns: MdnsSettings = field(default_factory=MdnsSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    gate: GateSettings = field(default_factory=GateSettings)
    data: DataSettings = field(default_factory=DataSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    told_by: Mapping[str, str] = field(default_factory=dict, compare=False)  # setting -> FILE or ENVIRONMENT

    def value(self, setting: str) -> Any:
        """What holds for a `section.key`."""
        section, _, key = setting.partition(".")
        return getattr(getattr(self, section), key)

    @property
    def run_dir(self) -> Path:
        """Sockets, heartbeats and progress: a folder of this home alone, on tmpfs or in FALAJ_RUN_DIR."""
        if self.home == SYSTEM_HOME and "FALAJ_RUN_DIR" not in os.environ:
            return SYSTEM_RUN_DIR  # made by systemd-tmpfiles
        digest = hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:12]
        return Path(os.environ.get("FALAJ_RUN_DIR", "/dev/shm")) / f"falaj-{digest}"

    @property
    def egress_dir(self) -> Path:
        """Where the egress role is asked: beside the run folder, since that role may not look into it."""
        return self.run_dir.with_name(f"{self.run_dir.name}-egress")

    @property
    def more_names(self) -> str:
        """What the certificate is for beside what the machine is called by itself."""
        return ", ".join(filter(None, (self.tls.names, self.mdns.name)))

    @property
    def inference_workers(self) -> int:
        """The fewest that are kept."""
        return max(1, self.inference.workers)

    @property
    def inference_workers_max(self) -> int:
        """The most that a load is given."""
        told = self.inference
        return told.workers_max or told.workers or max(1, (os.cpu_count() or 1) - 1)

    @property
    def training_threads(self) -> int:
        return self.training.threads or os.cpu_count() or 1


def settings() -> Iterator[tuple[str, str, type, Any, str]]:
    """Every setting as (section, key, type, default, help)."""
    for section, kind in SECTIONS.items():
        for entry in dataclasses.fields(kind):
            yield section, entry.name, type(entry.default), entry.default, entry.metadata["help"]


def find_home(told: str | None = None) -> Path:
    """The data directory: `--home`, else FALAJ_HOME, else ./var of a checkout, else /var/lib/falaj."""
    if told or (told := os.environ.get("FALAJ_HOME")):
        return Path(told).expanduser().resolve()
    checkout = Path(__file__).resolve().parent.parent
    return checkout / "var" if (checkout / "install.sh").exists() else SYSTEM_HOME


def settings_file(home: Path) -> Path:
    """Where the owner writes settings: root's file for the installed appliance, else one in the home."""
    return SYSTEM_CONFIG if home == SYSTEM_HOME else home / "falaj.toml"


def under_systemd(home: Path) -> bool:
    """Whether systemd starts the appliance of this home."""
    return home == SYSTEM_HOME and SYSTEMD.is_dir()


def start_command(home: Path) -> str:
    """What starts the appliance of this home."""
    return "sudo systemctl start falaj.target" if under_systemd(home) else "falaj run"


def load(
    home: Path,
    environment: Mapping[str, str] = os.environ,
    written: str | None = None,
    file: Path | None = None,
) -> Config:
    """Read the settings that hold for the appliance whose data lies in `home`.

    `written` stands for what is in the settings file (or in another `file`), to try it first. Raises BadInput
    for an unknown section or key, a value of the wrong type, or what is no address.
    """
    path = file or settings_file(home)
    if written is None:
        written = _content(path)
    given: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    _read_file(path, written, given)
    told_by = dict.fromkeys(_names(given), FILE)
    told_by |= dict.fromkeys(_read_environment(environment, given), ENVIRONMENT)
    sections = {section: SECTIONS[section](**values) for section, values in given.items()}
    config = Config(home=home, **sections, told_by=told_by)
    if config.jobs.heartbeat > config.jobs.lease / 2:
        raise BadInput(
            "jobs.heartbeat must be at most half of jobs.lease.",
            f"They are {config.jobs.heartbeat:g} and {config.jobs.lease:g} seconds: mend one in falaj.toml.",
        )
    if config.inference_workers_max < config.inference_workers:
        raise BadInput(
            "inference.workers_max must not be less than inference.workers.",
            f"They are {config.inference_workers_max} and {config.inference_workers}: mend one of them.",
        )
    _told("inference.host", "127.0.0.1", addresses.hosts, config.inference.host)
    _told("admin.host", "127.0.0.1", addresses.hosts, config.admin.host)
    _told("tls.names", "falaj.lan, 192.168.1.20", addresses.names, config.tls.names)
    _told("mdns.name", "falaj.local", addresses.local_name, config.mdns.name)
    return config


def default(setting: str) -> Any:
    """What a `section.key` is unless told. Raises BadInput when there is none, with the nearest name."""
    section, _, key = setting.partition(".")
    for one in dataclasses.fields(SECTIONS[section]) if section in SECTIONS else ():
        if one.name == key:
            return one.default
    names = [f"{known}.{name}" for known, name, *_ in settings()]
    close = difflib.get_close_matches(setting, names, n=1, cutoff=0.0)
    raise BadInput(
        f"There is no setting '{setting[:60]}'.", f"Did you mean '{close[0]}'? All of them: falaj config ls"
    )


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not a text in UTF-8.", "Write it anew, or remove it.") from error
    except PermissionError as error:
        raise FalajError(
            f"{error.filename} is not yours to read.", "Act as the user who owns the data directory."
        ) from error


def _names(given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [f"{section}.{key}" for section, values in given.items() for key in values]


def _read_file(path: Path, written: str, given: dict[str, dict[str, Any]]) -> None:
    try:
        content = tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not valid TOML: {error}", "Mend that line, then start again.") from error
    for section, values in content.items():
        if section not in SECTIONS:
            raise BadInput(f"{path} has an unknown section [{section}].", _nearest(section, SECTIONS))
        if not isinstance(values, dict):
            raise BadInput(f"{path}: '{section}' must be a section.", f"Write it as [{section}].")
        for key, value in values.items():
            given[section][key] = typed(section, key, value, str(path))


def _read_environment(environment: Mapping[str, str], given: dict[str, dict[str, Any]]) -> list[str]:
    """The settings that it gave."""
    found = []
    for name, value in environment.items():
        section, _, key = name.removeprefix("FALAJ_").lower().partition("_")
        if name.startswith("FALAJ_") and section in SECTIONS:
            given[section][key] = typed(section, key, value, name)
            found.append(f"{section}.{key}")
    return found


def typed(section: str, key: str, value: Any, where: str) -> Any:
    """A value as its setting wants it. Raises BadInput saying `where` it is to be mended."""
    entries = {entry.name: entry for entry in dataclasses.fields(SECTIONS[section])}
    if key not in entries:
        raise BadInput(f"{where} has an unknown setting '{section}.{key}'.", _nearest(key, entries))
    kind: type = type(entries[key].default)
    bounds = entries[key].metadata
    try:
        if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
            raise ValueError
        if kind is int and isinstance(value, float):
            raise ValueError
        typed = kind(value)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"The setting '{section}.{key}' must be {_KINDS[kind]}. Got {value!r} instead.",
            f"Mend it in {where}.",
        ) from error
    if kind is not str and not bounds["low"] <= typed <= bounds["high"]:
        raise BadInput(
            f"The setting '{section}.{key}' must be from {bounds['low']:g} to {bounds['high']:g}.",
            f"It is {value!r} in {where}: mend it there.",
        )
    return typed


_KINDS = {int: "a whole number", float: "a number", str: "a text"}


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f"Did you mean '{close[0]}'? Known: {', '.join(known)}."


def _told(setting: str, example: str, read: Callable[[str], Any], value: str) -> None:
    """Read a setting that lists addresses; what is wrong with it is told with an example."""
    try:
        read(value)
    except ValueError as error:
        raise BadInput(
            f"The setting '{setting}' {error}.", f'For example: {setting} = "{example}" in falaj.toml.'
        ) from error
