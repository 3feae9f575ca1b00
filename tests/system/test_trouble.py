"""Trouble under a running appliance: a full disk, a read-only directory, damaged pages, a moved clock.

Each test asks for predictions all along and must get every one; looks whether the trouble is told by
`falaj status` and on the page; and at the end whether what was acknowledged is there, and the trouble gone.
"""

from __future__ import annotations

import contextlib
import html
import os
import re
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from appliance.cli.client import Client
from appliance.home import open_home
from tests.system import processes
from tests.system.appliance import PASSWORD, Appliance
from tests.system.browser import chromium, visitor
from tests.system.processes import until

ROW = {"rows": [{"x": 100}]}
HTML = {"Accept": "text/html"}
FULL = "The disk is full: nothing new can be saved."
READ_ONLY = "The data directory cannot be written: nothing new can be saved."
DAMAGED = "registry.db is damaged: what was stored there cannot be read."
HOUR = 3600
SHORT_LEASE = {"FALAJ_JOBS_LEASE": "4", "FALAJ_JOBS_HEARTBEAT": "1"}
Make = Callable[..., Appliance]
Enter = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose model `line` answers."""
    folder = tmp_path_factory.mktemp("seed")
    table = folder / "line.csv"
    table.write_text("x,y\n" + "".join(f"{i % 200},{3 * (i % 200) + (i * 37) % 11}\n" for i in range(400)))
    appliance = Appliance(folder / "home").start()
    appliance.json("dataset", "add", "line", str(table))
    train(appliance)
    appliance.json("deploy", "line:1")
    appliance.stop()
    return appliance.home


@pytest.fixture
def owner() -> Iterator[Enter]:
    """Set an appliance up, or sign in there; the browser is closed at the end."""
    with contextlib.ExitStack() as stack:

        def enter(appliance: Appliance, again: bool = False) -> httpx.Client:
            browser = appliance.sign_in("mona") if again else appliance.set_up()
            return stack.enter_context(contextlib.closing(browser))

        yield enter


def train(appliance: Appliance) -> int:
    call = ("train", "line", "--dataset", "line", "--target", "y", "--algorithm", "linear", "--keep", "x")
    return int(appliance.json(*call)["version"])


def detach(appliance: Appliance) -> str:
    """Start a training and do not wait; its job."""
    call = {"model": "line", "dataset": "line", "target": "y", "algorithm": "linear", "keep": ["x"]}
    return str(Client(appliance.home).call("train", **call)["job"])


@dataclass
class Asking:
    """A program that asks all the time; `answers` are status and prediction."""

    appliance: Appliance
    token: str
    answers: list[tuple[int, float | None]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            reply = self.appliance.ask("/predict/line", ROW, self.token)
            value = reply.body["predictions"][0]["value"] if reply.status == 200 else None
            self.answers.append((reply.status, value))
            self.stop.wait(0.01)

    def goes_on(self, times: int = 20) -> None:
        """Wait for so many more answers."""
        wanted = len(self.answers) + times
        until(lambda: len(self.answers) >= wanted)


@contextlib.contextmanager
def asked(appliance: Appliance) -> Iterator[Asking]:
    """Predictions are asked for during the block; every one is answered, with the same value."""
    asking = Asking(appliance, appliance.token())
    thread = threading.Thread(target=asking.run)
    thread.start()
    try:
        asking.goes_on()
        yield asking
        asking.goes_on()
    finally:
        asking.stop.set()
        thread.join()
    assert {status for status, _ in asking.answers} == {200}
    assert len({value for _, value in asking.answers}) == 1


def troubles(appliance: Appliance) -> list[str]:
    """What `falaj status` tells, in JSON and in words."""
    found = appliance.json("status")
    assert found["ready"]
    assert all(one["fix"] for one in found["troubles"])
    return [one["trouble"] for one in found["troubles"]]


def told(appliance: Appliance, trouble: str) -> bool:
    """Whether this is the one trouble, and people at the command line read it first."""
    if troubles(appliance) != [trouble]:
        return False
    lines = appliance.falaj("status").stdout.splitlines()
    assert lines[0].startswith("Not everything is well"), lines
    assert lines[2] == trouble
    return True


def well(appliance: Appliance) -> bool:
    return troubles(appliance) == [] and appliance.falaj("status").stdout.startswith("All is well.")


def shows(browser: httpx.Client, trouble: str) -> None:
    """The trouble stands on the start page, in its part that is fetched each second, and on any other."""
    for path in ("/", "/now", "/account"):
        page = browser.get(path, headers=HTML)
        assert page.status_code == 200, page.text
        assert trouble in html.unescape(page.text), page.text


def sign_in(appliance: Appliance, password: str = PASSWORD) -> httpx.Response:
    with appliance.browser() as browser:
        return browser.post("/api/v1/session", json={"name": "mona", "password": password})


def tokens(appliance: Appliance) -> set[str]:
    return {row["id"] for row in appliance.json("token", "ls")}


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take every byte that is left; delete the file that this returns to free them."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), open(ballast, "ab") as file:
        while True:
            os.posix_fallocate(file.fileno(), 0, file.tell() + max(1, shutil.disk_usage(folder).free))
            file.seek(0, os.SEEK_END)
    return ballast


def test_the_disk_is_full_to_the_last_byte(
    seed: Path, small_disk: Path, new_appliance: Make, owner: Enter
) -> None:
    shutil.copytree(seed, small_disk / "home")
    appliance = new_appliance(small_disk / "home", FALAJ_DATA_MIN_FREE_MB="1").start()
    browser, made = owner(appliance), set()
    assert well(appliance)
    with asked(appliance) as asking:
        ballast, refused = fill(small_disk), {}
        while not refused:  # there is room yet in what the database has taken already
            done = appliance.falaj("token", "create", "--models", "line", "--json")
            if done.returncode:
                refused = appliance.refused("token", "create", "--models", "line")
            else:
                made |= {row["id"] for row in Client(appliance.home).call("token.ls")}
        assert refused == {
            "error": "The disk is full, so nothing was saved.",
            "hint": "Free some space, then try again.",
        }
        assert told(appliance, FULL)
        shows(browser, FULL)
        assert browser.post("/api/v1/tokens", json={"models": ["line"]}).status_code == 507
        assert sign_in(appliance).status_code == 507
        assert "The disk is full" in sign_in(appliance).text
        asking.goes_on()
        assert tokens(appliance) >= made

        ballast.unlink()
        until(lambda: well(appliance))
        assert FULL not in browser.get("/", headers=HTML).text
        assert sign_in(appliance).status_code == 201
        assert browser.post("/api/v1/tokens", json={"models": ["line"]}).status_code == 201
        assert train(appliance) == 2
    assert tokens(appliance) >= made
    assert appliance.json("audit", "verify")["ok"]


# A data directory that can't be written


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of its own, to be broken off as the kernel does it after an error."""
    folder, image = tmp_path / "disk", tmp_path / "image"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_the_kernel_makes_the_disk_read_only(
    seed: Path, failing_disk: Path, new_appliance: Make, owner: Enter
) -> None:
    """What ext4 does after an error. Only a new mount makes it writable: the appliance has to start anew."""
    shutil.copytree(seed, failing_disk / "home")
    subprocess.run(["sync", "-f", str(failing_disk)], check=True)
    appliance = new_appliance(failing_disk / "home", FALAJ_DATA_MIN_FREE_MB="1").start()
    browser, made = owner(appliance), tokens(appliance)
    with asked(appliance) as asking:
        made |= tokens(appliance)
        subprocess.run(["mount", "-o", "remount,abort", str(failing_disk)], check=False)
        until(lambda: appliance.falaj("token", "create", "--models", "line").returncode)
        appliance.refused("token", "create", "--models", "line")
        until(lambda: told(appliance, READ_ONLY))
        shows(browser, READ_ONLY)
        assert browser.post("/api/v1/tokens", json={"models": ["line"]}).status_code >= 500
        assert sign_in(appliance).status_code >= 500
        assert tokens(appliance) >= made
        asking.goes_on()
    appliance.stop()
    image = failing_disk.parent / "image"
    subprocess.run(["umount", str(failing_disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(failing_disk)], check=True)
    appliance.start()
    assert well(appliance)
    assert tokens(appliance) >= made
    assert sign_in(appliance).status_code == 201
    assert appliance.json("audit", "verify")["ok"]


def test_read_only_for_a_while(seed: Path, small_disk: Path, new_appliance: Make, owner: Enter) -> None:
    """A read-only mount comes over the directory and goes again; connections made meanwhile don't stay so."""
    home = small_disk / "home"
    shutil.copytree(seed, home)
    appliance = new_appliance(home, FALAJ_DATA_MIN_FREE_MB="1").start()
    browser = owner(appliance)
    with asked(appliance) as asking:
        made = tokens(appliance)
        subprocess.run(["mount", "--bind", str(home), str(home)], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
            refused = appliance.refused("token", "create", "--models", "line")
            assert "cannot be opened for writing" in refused["error"]
            assert told(appliance, READ_ONLY)
            shows(browser, READ_ONLY)
            for _ in range(40):  # every thread of the page's has a connection of its own
                browser.get("/", headers=HTML)
                sign_in(appliance)
            asking.goes_on()
        finally:
            subprocess.run(["umount", "--lazy", str(home)], check=True)
        until(lambda: well(appliance))
        for _ in range(20):
            assert browser.post("/api/v1/tokens", json={"models": ["line"]}).status_code == 201
            assert sign_in(appliance).status_code == 201
        assert train(appliance) == 2
    assert tokens(appliance) >= made
    assert appliance.json("audit", "verify")["ok"]


# Damaged pages


@dataclass(frozen=True)
class Pages:
    """The file of an appliance's registry, by pages."""

    path: Path
    size: int = 4096

    def of(self, home: Path, *tables: str) -> list[int]:
        """The first page of each table and index."""
        store = open_home(home).registry
        store.all("PRAGMA wal_checkpoint(TRUNCATE)")
        marks = ", ".join("?" * len(tables))
        rows = store.all(f"SELECT rootpage FROM sqlite_master WHERE tbl_name IN ({marks})", tables)
        store.close()
        return [int(row["rootpage"]) for row in rows]

    def damage(self, pages: list[int]) -> None:
        with open(self.path, "r+b") as file:
            for page in pages:
                file.seek((page - 1) * self.size)
                file.write(os.urandom(self.size))


def clone(seed: Path, folder: Path) -> Path:
    shutil.copytree(seed, folder)
    return folder


def keep(appliance: Appliance, folder: Path) -> None:
    """Copy the registry as it is now."""
    folder.mkdir()
    for path in appliance.home.glob("registry.db*"):
        shutil.copy(path, folder)


def restore(appliance: Appliance, folder: Path) -> None:
    appliance.stop()
    for path in appliance.home.glob("registry.db*"):
        path.unlink()
    shutil.copytree(folder, appliance.home, dirs_exist_ok=True)
    appliance.start()


@pytest.mark.parametrize("table", ["audit", "tokens", "deployments"])
def test_a_page_of_the_registry_is_damaged(
    seed: Path, new_appliance: Make, owner: Enter, tmp_path: Path, table: str
) -> None:
    appliance = new_appliance(clone(seed, tmp_path / "home")).start()
    browser, pages = owner(appliance), Pages(appliance.home / "registry.db")
    with asked(appliance) as asking:
        made = tokens(appliance)
        damaged = pages.of(appliance.home, table)
        keep(appliance, tmp_path / "backup")
        pages.damage(damaged)
        for look in (("token", "ls"), ("audit", "ls"), ("deployment", "ls"), ("token", "create")):
            assert "Traceback" not in appliance.falaj(*look).stderr
        assert told(appliance, DAMAGED)
        shows(browser, DAMAGED)
        assert appliance.falaj("doctor").returncode == 1
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 5)  # the workers have looked at it again and again
        asking.goes_on()
        assert told(appliance, DAMAGED)
    restore(appliance, tmp_path / "backup")
    assert well(appliance)
    assert tokens(appliance) == made
    with asked(appliance):
        assert sign_in(appliance).status_code == 201
    assert appliance.json("audit", "verify")["ok"]


@pytest.mark.parametrize("which", ["who may come in", "everything"])
def test_nobody_can_be_looked_up(
    seed: Path, new_appliance: Make, owner: Enter, tmp_path: Path, which: str
) -> None:
    """Then every page says so, to everybody, and the page that polls is replaced by it."""
    appliance = new_appliance(clone(seed, tmp_path / "home")).start()
    browser, pages = owner(appliance), Pages(appliance.home / "registry.db")
    with asked(appliance) as asking:
        made = tokens(appliance)
        damaged = pages.of(appliance.home, "sessions", "users")
        keep(appliance, tmp_path / "backup")
        if which == "everything":
            damaged = list(range(1, pages.path.stat().st_size // pages.size + 1))
        else:
            appliance.token()  # whoever has the pages in memory reads them anew after a change
            pages.of(appliance.home, "sessions")
            made = tokens(appliance)
            shutil.rmtree(tmp_path / "backup")
            keep(appliance, tmp_path / "backup")
        pages.damage(damaged)
        for _ in range(40):
            browser.get("/", headers=HTML)
        until(lambda: browser.get("/", headers=HTML).status_code == 503)
        page = browser.get("/models", headers=HTML)
        assert page.status_code == 503
        assert DAMAGED in page.text
        assert "restore a backup" in page.text
        part = browser.get("/now", headers=HTML | {"HX-Request": "true"})
        assert (part.status_code, part.headers["HX-Refresh"]) == (503, "true")
        assert browser.get("/api/v1/models").status_code == 503
        assert "registry.db cannot be read." in sign_in(appliance).text
        assert told(appliance, DAMAGED)
        asking.goes_on()
    restore(appliance, tmp_path / "backup")
    assert well(appliance)
    assert tokens(appliance) == made
    assert browser.get("/", headers=HTML).status_code == 200
    assert appliance.json("audit", "verify")["ok"]


def test_a_page_beneath_the_log_is_written_anew(seed: Path, new_appliance: Make, tmp_path: Path) -> None:
    """What lies in the write-ahead log is read from there: damage beneath it hurts nobody, and is mended."""
    appliance = new_appliance(clone(seed, tmp_path / "home")).start()
    pages = Pages(appliance.home / "registry.db")
    with asked(appliance):
        beneath = pages.of(appliance.home, "tokens")
        made = {appliance.json("token", "create", "--models", "line")["id"]}
        pages.damage(beneath)
        made.add(appliance.json("token", "create", "--models", "line")["id"])
        assert tokens(appliance) >= made
        assert well(appliance)
    appliance.stop()
    appliance.start()
    assert tokens(appliance) >= made
    assert appliance.json("audit", "verify")["ok"]


def test_damage_that_is_mended_while_it_runs(seed: Path, new_appliance: Make, tmp_path: Path) -> None:
    appliance = new_appliance(clone(seed, tmp_path / "home")).start()
    pages = Pages(appliance.home / "registry.db")
    with asked(appliance):
        damaged = pages.of(appliance.home, "tokens")
        before = pages.path.read_bytes()
        pages.damage(damaged)
        appliance.refused("token", "ls")
        assert told(appliance, DAMAGED)
        with open(pages.path, "r+b") as file:
            for page in damaged:
                file.seek((page - 1) * pages.size)
                file.write(before[(page - 1) * pages.size : page * pages.size])
        until(lambda: well(appliance))
        assert tokens(appliance)
        appliance.token()
    assert appliance.json("audit", "verify")["ok"]


# The clock is moved


@dataclass
class Clock:
    """The wall clock of an appliance and of its commands, moved by so many seconds."""

    library: Path
    file: Path

    def move(self, seconds: int) -> None:
        with open(self.file, "r+b") as file:
            file.write(struct.pack("q", seconds))

    @property
    def settings(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "MOVED_CLOCK": str(self.file)}


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    library, file = tmp_path / "moved_clock.so", tmp_path / "moved"
    source = Path(__file__).with_name("moved_clock.c")
    command = ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    file.write_bytes(struct.pack("q", 0))
    return Clock(library, file)


def newest(appliance: Appliance) -> str:
    return str(appliance.json("job", "ls")[0]["job"])


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_the_clock_is_moved(
    seed: Path, new_appliance: Make, owner: Enter, tmp_path: Path, clock: Clock, seconds: int
) -> None:
    appliance = new_appliance(clone(seed, tmp_path / "home"), **clock.settings, **SHORT_LEASE).start()
    browser = owner(appliance)
    assert well(appliance)
    short, long = (appliance.token("*", "--expires", span) for span in ("30m", "2h"))
    with asked(appliance) as asking:
        job = detach(appliance)
        child = processes.held(appliance, job)
        clock.move(seconds)
        way = "forward" if seconds > 0 else "back"
        until(lambda: f"moved {way} by 60 minutes" in "".join(troubles(appliance)))
        (trouble,) = troubles(appliance)
        assert told(appliance, trouble)
        shows(browser, trouble)
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 6)  # longer than a lease
        child.resume()
        done = processes.ended(appliance, job)
        assert (done["state"], done["attempts"]) == ("succeeded", 1)

        assert appliance.ask("/predict/line", ROW, long).status == 200
        assert appliance.ask("/predict/line", ROW, short).status == (401 if seconds > 0 else 200)
        assert browser.get("/account", headers=HTML).status_code == 200
        assert sign_in(appliance).status_code == 201
        later = detach(appliance)
        assert newest(appliance) == later
        assert processes.ended(appliance, later)["state"] == "succeeded"
        assert appliance.json("deploy", "line:3")["dropped"] == 0
        assert appliance.json("rollback", "line")["version"] == 1
        made = appliance.json("token", "create", "--models", "line")["id"]
        assert appliance.json("audit", "verify")["ok"]
        asking.goes_on()

        clock.move(0)
        until(lambda: well(appliance))
        assert appliance.ask("/predict/line", ROW, short).status == 200
        last = detach(appliance)
        assert newest(appliance) == last
        assert processes.ended(appliance, last)["state"] == "succeeded"
    assert made in tokens(appliance)
    assert browser.get("/account", headers=HTML).status_code == 200
    assert appliance.json("audit", "verify")["ok"]


def test_whoever_signs_in_after_the_clock_went_back_stays_signed_in(
    seed: Path, new_appliance: Make, owner: Enter, tmp_path: Path, clock: Clock
) -> None:
    """A user has twenty sessions at most, and the oldest goes: which one that is, the clock must not say."""
    clock.move(HOUR)
    appliance = new_appliance(clone(seed, tmp_path / "home"), **clock.settings).start()
    owner(appliance)
    for _ in range(20):
        assert sign_in(appliance).status_code == 201
    clock.move(0)
    browser = owner(appliance, again=True)
    assert browser.get("/account", headers=HTML).status_code == 200


# In a browser


def test_a_browser_tells_it(seed: Path, new_appliance: Make, tmp_path: Path) -> None:
    """Too little room, then nobody can be looked up: the page that polls says so, in light and dark."""
    appliance = new_appliance(clone(seed, tmp_path / "home"), FALAJ_DATA_MIN_FREE_MB="1000000").start()
    pages, home = Pages(appliance.home / "registry.db"), f"http://127.0.0.1:{appliance.admin_port}"
    code = re.findall(r"^ {6}(\w{5}-\w{5})$", appliance.log(), re.MULTILINE)[-1]
    with chromium() as started, visitor(started, home, tmp_path) as one:
        one.page.goto(f"{home}/setup")
        for label, text in (("Set-up code", code), ("Your name", "Mona")):
            one.type(label, text)
        for label in ("Password", "The same password again"):
            one.type(label, PASSWORD)
        one.button("Set up and go in")
        for name in ("Overview", "Models"):
            one.go(name)
            one.sees("The disk is almost full")
            one.sees("Free some space.")
            one.see(f"trouble-{name.lower()}")
        one.go("Overview")
        damaged = pages.of(appliance.home, "sessions", "users")
        before = pages.path.read_bytes()
        with one.refusal(503):
            pages.damage(damaged)
            appliance.token()  # whoever has the pages in memory reads them anew after a change
            one.sees("Something is wrong with this appliance")
            one.sees("registry.db is damaged")
            one.see("trouble-unreadable")
        with open(pages.path, "r+b") as file:
            for page in damaged:
                file.seek((page - 1) * pages.size)
                file.write(before[(page - 1) * pages.size : page * pages.size])
        one.link("Try again")
        one.sees("The disk is almost full")
