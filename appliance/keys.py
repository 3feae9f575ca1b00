"""The key ring: one master key that never leaves the machine, and data keys wrapped by it.

The master key is 32 random bytes: `keys/master.key` (0600), or sealed for the machine as `keys/master.cred`,
which systemd opens for the units and root for itself. It wraps the data keys in `keys/wrapped.json` and the
key of each dataset in the registry (AES-256-GCM, NIST SP 800-38D; the name of what is wrapped is bound in).
A new master key therefore only rewraps; no data is rewritten. Keys never reach logs, argv or
the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance import sealing
from appliance.errors import Corrupted, FalajError
from appliance.sealing import CannotSeal

CREDENTIAL = "falaj-master"
PURPOSES = ("registry", "telemetry", "blobs", "audit")
_KEY_BYTES = 32
_NO_CREDENTIAL = b"none"  # what the units are given where nothing could be sealed
_NONCE_BYTES = 12
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{8}")


class KeyRing:
    """The opened keys of one home. Make it with `open_keys` or `create_keys`."""

    def __init__(self, master: bytes, data_keys: dict[str, bytes]) -> None:
        self._secret = master
        self._master = AESGCM(master)
        self._data_keys = data_keys

    def key(self, purpose: str) -> bytes:
        """The 32-byte data key of one purpose (see PURPOSES)."""
        return self._data_keys[purpose]

    def wrap(self, key: bytes, name: str) -> bytes:
        """Seal a data key under the master key, bound to `name`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, key, name.encode())

    def unwrap(self, wrapped: bytes, name: str) -> bytes:
        """Open what `wrap` sealed. Raises Corrupted when it was changed or is of another key ring."""
        try:
            return self._master.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], name.encode())
        except InvalidTag as error:
            raise Corrupted(
                f"The key of {name} does not open with this appliance's master key.",
                "Restore keys/master.key from the backup that belongs to this data directory.",
            ) from error

    def wrap_master(self, key: bytes) -> bytes:
        """The master key itself, sealed under a key of somebody's own; for recovery alone."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(key).encrypt(nonce, self._secret, CREDENTIAL.encode())


def unwrap_master(wrapped: bytes, key: bytes) -> bytes:
    """What `wrap_master` sealed. Raises Corrupted when the key is another."""
    try:
        return AESGCM(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], CREDENTIAL.encode())
    except (InvalidTag, ValueError) as error:
        raise Corrupted("This key does not open the master key.", "Use the newest recovery key.") from error


def new_key() -> bytes:
    """A fresh 256-bit key."""
    return secrets.token_bytes(_KEY_BYTES)


def create_keys(home: Path) -> KeyRing:
    """Open the key ring of `home`, making it first where there is none yet.

    The master key is on disk before anything is wrapped by it, so a crash in between loses nothing.
    """
    folder = home / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_lost_keys(home)
    if not has_master(folder):
        write_file(folder / "master.key", new_key())
    if not (folder / "wrapped.json").exists():
        ring = KeyRing(read_master(folder), {})
        wrapped = {name: b64encode(ring.wrap(new_key(), name)).decode() for name in PURPOSES}
        write_file(folder / "wrapped.json", json.dumps(wrapped, indent=1).encode())
    return open_keys(home)


def refuse_lost_keys(home: Path) -> None:
    """New keys beside existing data would hide that it can't be read any more. Raises Corrupted."""
    folder = home / "keys"
    if not (home / "registry.db").exists():
        return
    for name, there in (
        ("master.key", has_master(folder)),
        ("wrapped.json", (folder / "wrapped.json").exists()),
    ):
        if not there:
            raise Corrupted(
                f"The data directory has a registry but no keys/{name}, so nothing in it can be read.",
                f"Restore keys/{name} from a backup (or falaj recovery use); without it the data is lost.",
            )


def has_master(folder: Path) -> bool:
    """Whether there is a master key, in whatever form."""
    files = [folder / "master.key", folder / "master.cred", *_credential()]
    return any(path.exists() for path in files)


def open_keys(home: Path) -> KeyRing:
    """Open an existing key ring. Raises FalajError when there is none or it does not fit."""
    return open_with(read_master(home / "keys"), home / "keys")


def open_with(master: bytes, folder: Path) -> KeyRing:
    """The key ring under this master key. Raises Corrupted when it does not fit."""
    ring = KeyRing(master, {})
    try:
        wrapped = json.loads((folder / "wrapped.json").read_text())
        data_keys = {name: ring.unwrap(b64decode(wrapped[name]), name) for name in PURPOSES}
    except (OSError, ValueError, KeyError) as error:
        raise Corrupted(
            "keys/wrapped.json cannot be read.", "Restore the keys folder from a backup."
        ) from error
    return KeyRing(master, data_keys)


def _credential() -> list[Path]:
    """Where systemd puts the opened master key for this unit, if it has one (systemd.exec(5))."""
    told = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(told or "") / CREDENTIAL
    return [path] if told and path.exists() and path.read_bytes() != _NO_CREDENTIAL else []


def read_master(folder: Path) -> bytes:
    """The master key, from wherever it may be had. Raises FalajError."""
    for path in _credential():
        return _whole(path.read_bytes(), path)
    path = folder / "master.key"
    if os.geteuid() == 0 and not path.exists() and (folder / "master.cred").exists():
        sealed = folder / "master.cred"
        return _whole(sealing.unseal(sealed.read_bytes(), CREDENTIAL), sealed)
    try:
        mode = path.stat().st_mode & 0o777
        master = path.read_bytes()
    except FileNotFoundError as error:
        if (folder / "master.cred").exists():
            raise FalajError(
                "The master key is sealed for the system's services.", "Act as root: sudo falaj ..."
            ) from error
        raise FalajError(
            f"There is no appliance in {folder.parent} yet.", "Start one with: falaj run"
        ) from error
    except PermissionError as error:
        raise FalajError(
            f"{path} is not yours to read.", "Act as the user who owns the data directory."
        ) from error
    if mode & 0o077:
        raise FalajError(f"{path} can be read by others (mode {mode:o}).", f"Run: chmod 600 {path}")
    return _whole(master, path)


def _whole(master: bytes, path: Path) -> bytes:
    if len(master) != _KEY_BYTES:
        raise Corrupted(f"{path} must hold 32 bytes, it has {len(master)}.", "Restore it from a backup.")
    return master


def keep_master(folder: Path, master: bytes) -> CannotSeal | None:
    """Keep a master key sealed, or in the open where this machine can't seal: then says why not."""
    try:
        seal_master(folder, master)
    except CannotSeal as error:
        owner = folder.stat()
        write_file(folder / "master.key", master, owner=(owner.st_uid, owner.st_gid))
        with contextlib.suppress(FileNotFoundError):  # of another machine: no unit would start with it
            (folder / "master.cred").rename(folder / "master.cred.unusable")
            sync_folder(folder)
        return error
    return None


def seal_master(folder: Path, master: bytes) -> None:
    """Keep a master key sealed for this machine; the one in the open goes. Only root can.

    Raises FalajError, and leaves what is there.
    """
    made, owner = sealing.seal(master, CREDENTIAL), folder.stat()
    if sealing.unseal(made, CREDENTIAL) != master:
        raise Corrupted("What was sealed opens to something else.", "See: journalctl -u falaj-keys")
    write_file(folder / "master.cred", made, owner=(owner.st_uid, owner.st_gid))
    (folder / "master.key").unlink(missing_ok=True)
    sync_folder(folder)


def write_file(path: Path, content: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Replace a small file so that a crash leaves the old or the new one: temp, fsync, rename, fsync.

    `owner`: the user and group that it is given to, which only root can do.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)  # also where the umask allows less
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what `write_file` left in a folder when it was killed; nobody may be writing there."""
    for path in folder.glob(".*"):
        if _UNFINISHED.fullmatch(path.name):
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Make the folder's own entries (a rename, a new file) survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
