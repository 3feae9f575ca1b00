"""The caller's side of the local socket, and waiting for jobs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from appliance import config
from appliance.errors import FalajError, Forbidden, Unavailable, rebuild
from appliance.framing import LENGTH, exactly, peer_uid, socket_path

_LOOK = 0.15


class Client:
    """Calls verbs of the running appliance of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def call(self, verb: str, file: IO[bytes] | None = None, **args: Any) -> Any:
        """The verb's JSON. Raises the FalajError that the appliance answered with."""
        content = json.dumps({"verb": verb, "args": args}).encode()
        with self._connected() as connection:
            try:
                head = LENGTH.pack(len(content))
                socket.send_fds(connection, [head], [] if file is None else [file.fileno()])
                connection.sendall(content)
                (length,) = LENGTH.unpack(exactly(connection, LENGTH.size))
                reply = json.loads(exactly(connection, length))
            except OSError as error:
                raise Unavailable(
                    "The appliance stopped before it answered; it may have done what was asked.",
                    "Look first: falaj status, falaj job ls, falaj audit ls",
                ) from error
        if "error" in reply:
            raise rebuild(reply["error"], reply["kind"])
        return reply["result"]

    def _connected(self) -> socket.socket:
        """A connection to the appliance itself: to what the owner's account or root listens on.

        The socket's path can be foretold, and files are handed over it.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(socket_path(config.load(self.home).run_dir)))
            if peer_uid(connection) not in (self.home.stat().st_uid, 0):
                again = config.start_command(self.home)
                raise Forbidden(
                    f"Another account answers in place of the appliance of {self.home}.",
                    f"Stop that account's program, then start the appliance with: {again}",
                )
            return connection
        except PermissionError as error:
            connection.close()
            raise FalajError("This account may not command the appliance.", "Act as its owner.") from error
        except OSError as error:
            connection.close()
            raise Unavailable(
                f"The appliance of {self.home} is not running.",
                f"Start it with: {config.start_command(self.home)}",
            ) from error
        except BaseException:
            connection.close()
            raise

    def wait(self, job: str, watch: Callable[[float, str], None]) -> dict[str, Any]:
        """Wait for a job to end; its result. Raises what it failed with."""
        while True:
            shown = self.call("job.show", job=job)
            watch(shown["progress"], shown["phase"])
            if shown["state"] == "succeeded":
                result: dict[str, Any] = shown["result"]
                return result
            if shown["state"] in ("failed", "cancelled"):
                raise rebuild(shown["error"], shown["error"]["kind"])
            time.sleep(_LOOK)
