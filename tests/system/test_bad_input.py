"""What is wrong is said in two lines, and nothing is left half done: one test for each kind of mistake."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from appliance.cli.client import Client
from tests.conftest import ROOT
from tests.system.appliance import FALAJ, Appliance, Reply, free_port

Make = Callable[..., Appliance]
GOOD = "a,b,y\n" + "".join(f"{(i * 37) % 101},{i % 7},{3 * ((i * 37) % 101) + i % 7}\n" for i in range(200))
ROW = {"a": 5, "b": 1}


@pytest.fixture(scope="module")
def model(appliance: Appliance, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A deployed model that reads two numbers."""
    path = tmp_path_factory.mktemp("good") / "good.csv"
    path.write_text(GOOD)
    appliance.json("dataset", "add", "good", str(path))
    appliance.json("train", "good", "--dataset", "good", "--target", "y", "--algorithm", "linear")
    appliance.json("deploy", "good")
    return "good"


@pytest.fixture(scope="module")
def token(appliance: Appliance, model: str) -> str:
    return appliance.token(model)


def _kept(appliance: Appliance) -> dict[str, Any]:
    """Everything that a refused request must leave as it was."""
    client = Client(appliance.home)
    state = {verb: client.call(verb) for verb in ("dataset.ls", "model.ls")}
    state["blobs"] = sorted(path.name for path in (appliance.home / "blobs").rglob("*") if path.is_file())
    return state


@pytest.fixture(autouse=True)
def unharmed(appliance: Appliance, model: str, token: str) -> Iterator[None]:
    """After every test here: the same datasets, models and files, an unbroken audit chain, and all ready."""
    before = _kept(appliance)
    yield
    deadline = time.monotonic() + 5
    while (after := _kept(appliance)) != before and time.monotonic() < deadline:
        time.sleep(0.05)  # a failed job's own file goes a moment after its row
    assert after == before
    client = Client(appliance.home)
    assert client.call("audit.verify")["ok"]
    assert client.call("status")["ready"]
    assert appliance.ask(f"/predict/{model}", {"rows": [ROW]}, token).status == 200
    assert "Traceback" not in appliance.log()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pl.read_csv(GOOD.encode()).write_parquet(buffer)
    return buffer.getvalue()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("letter.txt", "Dear Sir")
    return buffer.getvalue()


def _xlsx_cut() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook><sheets>")
        archive.writestr("[Content_Types].xml", "<Types")
    return buffer.getvalue()


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 20
FILES: dict[str, tuple[str, bytes | Callable[[], bytes], str, str]] = {  # name, content, wrong, what to do
    "a picture": ("photo.csv", PNG, "'photo.csv' is a PNG picture, not a table.", "Save the table as CSV"),
    "no text": ("n.csv", b"a,b\n1,\x00\n", "'n.csv' is not a table of text.", "Save it as CSV in UTF-8"),
    "cut Parquet": (
        "t.parquet",
        lambda: _parquet()[:-40],
        "'t.parquet' is a damaged or cut-off",
        "Export or copy",
    ),
    "half a Parquet": (
        "t.parquet",
        lambda: _parquet()[:300],
        "'t.parquet' is a damaged or cut-off",
        "Export",
    ),
    "damaged Parquet": (
        "t.parquet",
        lambda: _parquet()[:60] + b"\xff" * 40 + _parquet()[100:],
        "'t.parquet' is a damaged or cut-off Parquet file.",
        "Export or copy it again.",
    ),
    "text as Parquet": ("t.parquet", GOOD.encode(), "'t.parquet' is not a Parquet file.", "wrongly named"),
    "text as Excel": ("t.xlsx", GOOD.encode(), "'t.xlsx' is not an Excel workbook", "wrongly named"),
    "a zip as Excel": ("t.xlsx", _zip, "'t.xlsx' is a zip archive, not a table.", "Unpack it first"),
    "a broken workbook": (
        "t.xlsx",
        _xlsx_cut,
        "'t.xlsx' is a damaged or protected Excel",
        "Save it again as .xlsx.",
    ),
    "nothing": ("t.csv", b"", "'t.csv' is empty.", "at least one row"),
    "names only": ("t.csv", b"a,b\n", "'t.csv' has column names but no rows.", "at least one row"),
    "a row cut short": (
        "t.csv",
        b"a,b,c\n1,2,3\n4,5,6\n7,8",
        "Line 4 has 2 values, but there are 3 columns.",
        "The file may be cut off there",
    ),
    "a row too long": (
        "t.csv",
        b"a,b\n1,2\n3,4,5\n",
        "Line 3 has 3 values, but there are 2",
        "needs quotation marks",
    ),
    "an open quote": (
        "t.csv",
        b'a,b\n1,"x"\n2,"open\n3,4\n',
        "Line 3: a quotation mark is opened and never closed.",
        "The file may be cut off",
    ),
    "a repeated column": (
        "t.csv",
        b"\na,b,a\n1,2,3\n",
        "Line 2: two columns are called 'a' (columns 1 and 3).",
        "Rename one of them",
    ),
    "a column without a name": ("t.csv", b"a,,c\n1,2,3\n", "Line 1: column 2 has no name.", "Give it a name"),
    "no names at all": ("t.csv", b"1,2\n3,4\n", "Line 1 should hold the column names", "Add a first line"),
    "broken JSON Lines": (
        "t.jsonl",
        b'{"a":1}\n{"a":\n',
        "Line 2: this is not JSON",
        "one whole object a line",
    ),
    "personal data": (
        "t.csv",
        b"name,email\n" + b"".join(b"n%d,n%d@example.com\n" % (i, i) for i in range(50)),
        "This column holds personal data: 'email' (e-mail).",
        "--drop 'email'",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_no_table(appliance: Appliance, tmp_path: Path, what: str) -> None:
    name, content, wrong, mend = FILES[what]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content())
    told = appliance.refused("dataset", "add", "bad", str(tmp_path / name))
    assert wrong in told["error"]
    assert mend in told["hint"]
    job = Client(appliance.home).call("job.ls")[0]
    assert (job["kind"], job["state"], job["attempts"]) == ("ingest", "failed", 1)
    assert "Traceback" not in appliance.falaj("job", "logs", job["job"]).stdout


OPTIONS: dict[str, tuple[list[str], str, str]] = {
    "a column that isn't there": (["--drop", "zz"], "The file has no column 'zz'.", "There are: a, b, y."),
    "an unknown kind": (
        ["--type", "a=numbr"],
        "There is no column kind 'numbr'.",
        "number, integer, boolean",
    ),
    "an unknown encoding": (["--encoding", "utf-99"], "Got 'utf-99' instead.", ""),
    "a name with a space": ([], "The name of a dataset can't be 'bad name'.", "Use 1 to 100 of the letters"),
}


@pytest.mark.parametrize("what", OPTIONS)
def test_an_import_that_is_asked_for_wrongly(appliance: Appliance, tmp_path: Path, what: str) -> None:
    options, wrong, mend = OPTIONS[what]
    (tmp_path / "t.csv").write_text(GOOD)
    name = "bad name" if not options else "bad"
    told = appliance.refused("dataset", "add", name, str(tmp_path / "t.csv"), *options)
    assert wrong in told["error"]
    assert mend in told["hint"]


def test_a_file_that_is_not_there(appliance: Appliance, tmp_path: Path) -> None:
    told = appliance.refused("dataset", "add", "bad", str(tmp_path / "none.csv"))
    assert told == {"error": f"There is no file {tmp_path}/none.csv.", "hint": "Check the path."}


def test_a_folder(appliance: Appliance, tmp_path: Path) -> None:
    assert "is a folder" in appliance.refused("dataset", "add", "bad", str(tmp_path))["error"]


def test_a_file_that_breaks_off_while_it_is_read(appliance: Appliance) -> None:
    """It opens, and the first read fails (EIO): permissions don't stop root, a bad disk stops everyone."""
    told = appliance.refused("dataset", "add", "bad", "/proc/self/mem")
    assert told["error"] == "'mem' can't be read: Input/output error."


def test_a_file_one_may_not_read(appliance: Appliance, tmp_path: Path) -> None:
    """Root may read everything, so a lesser root asks: without the capabilities to override permissions."""
    if os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists():
        pytest.skip("setpriv is not here")
    path = tmp_path / "t.csv"
    path.write_text(GOOD)
    path.chmod(0)
    lesser = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    done = subprocess.run(
        [*(lesser if os.geteuid() == 0 else []), FALAJ, "dataset", "add", "bad", str(path)],
        env=appliance.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"falaj: {path} can't be read: Permission denied.\n       Check its permissions.\n"


UNKNOWN: dict[str, tuple[str, str]] = {
    "dataset show none": ("There is no dataset 'none'.", "falaj dataset ls"),
    "dataset profile good:9": ("There is no dataset 'good:9'.", "falaj dataset ls"),
    "dataset show good:x": ("The version of dataset 'good' must be a number. Got 'x' instead.", "good:1"),
    "dataset rm none:1": ("There is no dataset 'none:1'.", "falaj dataset ls"),
    "train m --dataset none --target y": ("There is no dataset 'none'.", "falaj dataset ls"),
    "train m --dataset good:7 --target y": ("There is no dataset 'good:7'.", "falaj dataset ls"),
    "train m --dataset good --target yy": ("good:1 has no column 'yy'.", "It has: a, b, y."),
    "train m --dataset good --target y --drop q": ("good:1 has no column 'q'.", "It has: a, b, y."),
    "train m --dataset good --target y --drop y": ("The target 'y' can't be left out.", "--drop"),
    "train m --dataset good --target y --task binary": ("needs a target with two values", "--task"),
    "model show none": ("There is no model 'none'.", "falaj model ls"),
    "model show good:9": ("There is no model 'good:9'.", "falaj model ls"),
    "model report none": ("There is no model 'none'.", "falaj model ls"),
    "model versions none": ("There is no model 'none'.", "falaj model ls"),
    "model rm none:1": ("There is no model 'none:1'.", "falaj model ls"),
    "model rm good": ("Say which version to remove.", "falaj model rm good:1"),
    "deploy none": ("There is no model 'none'.", "falaj model ls"),
    "deploy good:9": ("There is no model 'good:9'.", "falaj model ls"),
    "rollback none": ("There is no model 'none'.", "falaj model ls"),
    "rollback good": ("There is no earlier version of 'good' to go back to.", "falaj deployment show good"),
    "undeploy none": ("There is no model 'none'.", "falaj model ls"),
    "deployment show none": ("There is no model 'none'.", "falaj model ls"),
    "job show none": ("There is no job 'none'.", "falaj job ls"),
    "job cancel none": ("There is no job 'none'.", "falaj job ls"),
    "job logs none": ("There is no job 'none'.", "falaj job ls"),
    "token revoke none": ("There is no token 'none'.", "falaj token ls"),
    "token create --models none": ("There is no model 'none', so no token can be for it.", "falaj model ls"),
    "token create --models * --expires soon": ("Got 'soon' instead.", "--expires 90d"),
    "predict none --row {}": ("No model named 'none' is deployed here.", "falaj deploy none"),
    "predict good --row {": ("--row is not JSON", '{"age": 41}'),
    "predict good --row [1]": ("A row must be a set of named values. Got list instead.", '{"column": value'),
    'predict good --row {"aa":1}': ("The model has no column 'aa'.", ""),
    'predict good --row {"a":"many"}': ("'a'", ""),
    "predict good --file /none.csv": (
        "/none.csv can't be read: No such file or directory.",
        "Check the path.",
    ),
}


@pytest.mark.parametrize("command", UNKNOWN)
def test_a_thing_that_is_not_there(appliance: Appliance, command: str) -> None:
    wrong, mend = UNKNOWN[command]
    told = appliance.refused(*command.split(" "))
    assert wrong in told["error"]
    assert mend in told["hint"]


def test_errors_as_json(appliance: Appliance) -> None:
    """A program gets the same two lines as one JSON object, and the same exit status."""
    done = appliance.falaj("model", "show", "none", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "error": "There is no model 'none'.",
        "hint": "See what there is with: falaj model ls",
    }
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("modell ls", "No such command 'modell'"),
        ("train m --dataset good", "Missing option '--target'"),
        ("deploy", "Missing argument"),
        ("deploy good --runtime tpu", "'tpu' is not one of 'onnxruntime', 'openvino'"),
        ("predict good", "Give either --row or --file."),
        ("train m --dataset good --target y --budget zz", "write it like 5m or 90s, not 'zz'"),
        ("dataset add x t.csv --type a", "write it as COLUMN=KIND"),
        ("status --colour", "No such option '--colour'"),
    ],
)
def test_bad_usage_exits_with_2(appliance: Appliance, command: str, wrong: str) -> None:
    done = appliance.falaj(*command.split(" "))
    assert (done.returncode, done.stdout) == (2, "")
    assert wrong in done.stderr
    assert "Traceback" not in done.stderr


BODIES: dict[str, tuple[Any, int, str, str | None]] = {  # body, status, what is wrong, column
    "half an object": (b'{"rows": [', 400, "not valid JSON", None),
    "nothing": (b"", 400, "The request body is empty.", None),
    "a list": (b"[]", 400, "must be a JSON object, but is a list", None),
    "not UTF-8": (b'{"rows": "\xff\xfe"}', 400, "not valid JSON", None),
    "very deep": (b'{"rows":' + b"[" * 100_000, 400, "not valid JSON", None),
    "unknown part": ({"row": []}, 400, "unknown part: 'row'", None),
    "no list": ({"rows": 5}, 400, "The 'rows' of the request must be a list.", None),
    "a row that is a list": ({"rows": [[1, 2]]}, 422, "A row must be a set of named values.", None),
    "a wrong column": ({"rows": [ROW | {"zz": 1}]}, 422, "The model has no column 'zz'.", "zz"),
    "a wrong type": ({"rows": [{"a": "many", "b": 1}]}, 422, "'a'", "a"),
    "a number too large": (b'{"rows": [{"a": 1e999, "b": 1}]}', 400, "number is infinity", None),
    "infinity": (b'{"rows": [{"a": Infinity, "b": 1}]}', 422, "'a'", "a"),
    "an object for a number": ({"rows": [{"a": 1, "b": {"c": 1}}]}, 422, "'b'", "b"),
    "a wrong row behind good ones": ({"rows": [ROW, ROW, {"a": 1, "b": "x"}]}, 422, "'b'", "b"),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_request_that_cannot_be_answered(appliance: Appliance, model: str, token: str, what: str) -> None:
    body, status, wrong, column = BODIES[what]
    reply = appliance.ask(f"/predict/{model}", body, token)
    _is_plain(reply, status)
    assert wrong in reply.body["error"]
    assert reply.body.get("column") == column


def test_v2_names_the_column_at_fault(appliance: Appliance, model: str, token: str) -> None:
    inputs = [
        {"name": "a", "shape": [1], "datatype": "FP64", "data": ["many"]},
        {"name": "b", "shape": [1], "datatype": "FP64", "data": [1]},
    ]
    reply = appliance.ask(f"/v2/models/{model}/infer", {"inputs": inputs}, token)
    assert reply.status in (400, 422)
    assert "'a'" in reply.body["error"]
    assert appliance.ask(f"/v2/models/{model}/versions/9/infer", {"inputs": inputs}, token).status == 404


def test_a_body_that_is_too_large_by_its_header(appliance: Appliance, model: str, token: str) -> None:
    """Refused before a byte of it is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", appliance.port, timeout=10)
    connection.putrequest("POST", f"/predict/{model}")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Length", str(40 << 20))
    connection.endheaders()
    reply = connection.getresponse()
    told = json.loads(reply.read())
    connection.close()
    assert reply.status == 413
    assert told == {
        "error": "The request body is larger than 32 MiB.",
        "hint": "Send fewer rows in each request.",
    }


def test_a_body_that_is_too_large_and_does_not_say_so(appliance: Appliance, model: str, token: str) -> None:
    with socket.create_connection(("127.0.0.1", appliance.port), 10) as connection:
        connection.sendall(
            f"POST /predict/{model} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
        sent = 0
        try:
            while sent < 64:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass  # it hangs up on what it doesn't want
        answer = b""
        try:
            while b"MiB" not in answer and (part := connection.recv(65536)):
                answer += part
        except OSError:
            pass
    assert sent < 64
    assert not answer or answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("door", ["/predict/{}", "/v2/models/{}/infer", "/v2/models/{}"])
def test_no_token_and_wrong_tokens(appliance: Appliance, model: str, token: str, door: str) -> None:
    path = door.format(model)
    body = None if door.endswith("{}") and "v2" in door else {"rows": [ROW]}
    missing = appliance.ask(path, body)
    _is_plain(missing, 401)
    assert missing.body["error"] == "This needs a token."
    assert "Authorization: Bearer" in missing.body["hint"]
    assert missing.headers["www-authenticate"] == "Bearer"
    for wrong in (
        "x",
        token[:-1],
        token[:-1] + ("a" if token[-1] != "a" else "b"),
        token.upper(),
        "\u00e9" * 40,
    ):
        reply = appliance.ask(path, body, wrong)
        _is_plain(reply, 401)
        assert wrong not in str(reply.body)


def test_a_token_of_another_appliance(appliance: Appliance, model: str) -> None:
    """Well formed, and not known here."""
    from appliance.security import tokens as minting

    secret = "A" * minting._SECRET
    reply = appliance.ask(
        f"/predict/{model}", {"rows": [ROW]}, minting.PREFIX + secret + minting._checksum(secret)
    )
    _is_plain(reply, 401)
    assert reply.body["error"] == "This token is not known here."


def test_an_expired_token(appliance: Appliance, model: str) -> None:
    made = appliance.json("token", "create", "--models", model, "--expires", "1s")
    time.sleep(1.1)
    reply = appliance.ask(f"/predict/{model}", {"rows": [ROW]}, made["token"])
    _is_plain(reply, 401)
    assert re.fullmatch(rf"Token {made['id']} expired on \d{{4}}-\d\d-\d\d\.", reply.body["error"])
    assert "falaj token create" in reply.body["hint"]


def test_a_revoked_token(appliance: Appliance, model: str) -> None:
    """It ends when the command returns, in every worker."""
    made = appliance.json("token", "create", "--models", model)
    appliance.json("token", "revoke", made["id"])
    for _ in range(8):
        reply = appliance.ask(f"/predict/{model}", {"rows": [ROW]}, made["token"])
        _is_plain(reply, 401)
        assert reply.body["error"] == f"Token {made['id']} was revoked."


def test_a_token_for_another_model(appliance: Appliance, token: str) -> None:
    reply = appliance.ask("/predict/other", {"rows": [ROW]}, token)
    _is_plain(reply, 403)
    assert "is not for the model 'other'" in reply.body["error"]
    assert "It is for: good." in reply.body["hint"]


def test_a_model_that_is_not_deployed(appliance: Appliance) -> None:
    everything = appliance.json("token", "create", "--models", "*")
    reply = appliance.ask("/predict/none", {"rows": [ROW]}, everything["token"])
    _is_plain(reply, 404)
    assert reply.body["error"] == "No model named 'none' is deployed here."


def test_a_wrong_address(appliance: Appliance, token: str) -> None:
    _is_plain(appliance.ask("/prediction/good", {"rows": [ROW]}, token), 404)
    _is_plain(appliance.ask("/predict/good", None, token), 405)


def _start(home: Path, appliance: Appliance | None = None, **settings: str) -> tuple[int, list[str], float]:
    """`falaj run` that must not come up: (exit status, lines it said, seconds)."""
    environment = Appliance(home, settings).environment | ({} if appliance is None else appliance.environment)
    began = time.monotonic()
    done = subprocess.run(
        [FALAJ, "run"],
        env=environment | settings,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr.strip().splitlines(), time.monotonic() - began


@pytest.mark.parametrize(
    ("which", "address", "shared"),
    [
        ("inference", "127.0.0.1", False),
        ("inference", "127.0.0.1", True),
        ("inference", "0.0.0.0", True),
        ("inference", "::", True),
        ("admin", "127.0.0.1", True),
    ],
)
def test_a_port_that_is_taken(tmp_path: Path, which: str, address: str, shared: bool) -> None:
    """Said within seconds; the other program goes on alone, even one that would share (SO_REUSEPORT)."""
    with _Greeter(address, shared) as other:
        setting = {f"FALAJ_{which.upper()}_PORT": str(other.port)}
        code, lines, seconds = _start(tmp_path / "home", **setting)
        assert (code, lines) == (
            1,
            [
                f"falaj: Port {other.port} on 127.0.0.1 is taken by another program.",
                f"       Stop that program, or set {which}.port in falaj.toml to a free port.",
            ],
        )
        assert seconds < 5
        assert [other.greet() for _ in range(20)] == [b"hello"] * 20


def test_nobody_can_share_the_endpoint_afterwards(appliance: Appliance) -> None:
    for option in (socket.SO_REUSEPORT, socket.SO_REUSEADDR):
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, option, 1)
            with pytest.raises(OSError, match="in use"):
                thief.bind(("127.0.0.1", appliance.port))


def test_a_second_appliance_on_the_same_home(appliance: Appliance) -> None:
    """Also with other ports: one home, one appliance."""
    ports = {"FALAJ_INFERENCE_PORT": str(free_port()), "FALAJ_ADMIN_PORT": str(free_port())}
    code, lines, seconds = _start(appliance.home, appliance, **ports)
    assert (code, lines) == (
        1,
        [
            f"falaj: An appliance already runs from {appliance.home}.",
            "       Use it, or stop it first; see: falaj status",
        ],
    )
    assert seconds < 5


@pytest.mark.parametrize("command", ["status", "dataset ls", "model ls", "deploy m", "job ls", "token ls"])
def test_nothing_runs(tmp_path: Path, command: str) -> None:
    told = Appliance(tmp_path / "none").refused(*command.split())
    assert told["error"] == f"The appliance of {tmp_path}/none is not running."
    assert told["hint"] == "Start it with: falaj run"


def test_the_doctor_comes_to_a_home_that_is_none(tmp_path: Path) -> None:
    told = Appliance(tmp_path / "none").refused("doctor")
    assert told["error"] == f"There is no appliance in {tmp_path}/none yet."
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("section", ["inference", "admin"])
@pytest.mark.parametrize(
    ("host", "wrong"),
    [
        ("192.0.2.777", "is not an address: '192.0.2.777'"),
        ("0.0.0.0, 127.0.0.1", "has an address beside the one that means all of them"),
        ("127.0.0.1, 127.0.0.1", "names '127.0.0.1' twice"),
    ],
)
def test_an_address_that_is_none(tmp_path: Path, section: str, host: str, wrong: str) -> None:
    code, lines, _ = _start(tmp_path / "home", **{f"FALAJ_{section.upper()}_HOST": host})
    assert code == 1
    assert lines[0] == f"falaj: The setting '{section}.host' {wrong}."
    assert f'{section}.host = "127.0.0.1"' in lines[1]


SETTINGS: dict[str, tuple[str, str]] = {
    "[inference]\nprot = 7": ("unknown setting 'inference.prot'", "Did you mean 'port'?"),
    "[inferense]\nport = 7": ("unknown section [inferense]", "Did you mean 'inference'?"),
    "[inference]\nworkers = 'two'": (
        "'inference.workers' must be a whole number. Got 'two' instead.",
        "Mend it in",
    ),
    "[inference\n": ("is not valid TOML", "Mend that line"),
}


@pytest.mark.parametrize("content", SETTINGS)
def test_a_setting_that_is_not_known(tmp_path: Path, content: str) -> None:
    wrong, mend = SETTINGS[content]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "falaj.toml").write_text(content)
    code, lines, _ = _start(tmp_path / "home")
    assert (code, len(lines)) == (1, 2)
    assert wrong in lines[0]
    assert mend in lines[1]
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["falaj.toml"]
    told = Appliance(tmp_path / "home").refused("status")  # any other command says the same
    assert wrong in told["error"]


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a letter")
    code, lines, _ = _start(tmp_path / "home")
    assert (code, lines) == (1, [f"falaj: {tmp_path}/home is not a folder.", "       Choose another --home."])
    assert (tmp_path / "home").read_text() == "a letter"


class _Greeter:
    """Another program with a port of its own: it says hello to whoever connects."""

    def __init__(self, address: str, shared: bool) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        if shared:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((address, 0))
        self._socket.listen()
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> _Greeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.sendall(b"hello")
            connection.close()

    def greet(self) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            return connection.recv(16)


def _is_plain(reply: Reply, status: int) -> None:
    """An error of ours: its status, one line what is wrong, one what to do, and an id to find it by."""
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/json"
    assert {"error", "hint"} <= set(reply.body)
    assert "\n" not in reply.body["error"] + reply.body["hint"]
    assert "Traceback" not in str(reply.body)
