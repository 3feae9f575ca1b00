"""granian in our process: its private names, our socket, TLS, and a stop that lets requests end."""

from __future__ import annotations

import datetime
import importlib.metadata
import inspect
import ipaddress
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import httpx
import pytest

pytestmark = pytest.mark.processes


def test_granian_is_the_version_we_know():
    """rsgi.py calls undocumented names; a new granian must be looked at before it is let in."""
    assert importlib.metadata.version("granian").startswith("2.8.")
    import granian._futures as futures
    import granian._granian as core
    from granian.server import mp

    assert list(inspect.signature(futures._new_cbscheduler).parameters) == ["loop", "cb", "impl_asyncio"]
    assert list(inspect.signature(futures._future_watcher_wrapper).parameters) == ["inner"]
    assert callable(core.RSGIWorker.serve_str)
    assert core.WorkerSignal().add_cb
    source = inspect.getsource(mp.MPServer._spawn_rsgi_worker)
    known = """worker = RSGIWorker( worker_id, sock, ipc, runtime_threads, runtime_blocking_threads,
        blocking_threads, blocking_threads_idle_timeout, backpressure, http_mode, http1_settings,
        http2_settings, websockets, static_path, *ssl_ctx, metrics, )"""
    assert " ".join(known.split()) in " ".join(source.split())


def test_the_wsgi_side_is_the_one_we_know():
    """wsgi.py calls the same kind of names for the admin page."""
    from granian import wsgi
    from granian.server import mp

    assert callable(wsgi._callback_wrapper)
    source = inspect.getsource(mp.MPServer._spawn_wsgi_worker)
    known = """worker = WSGIWorker( worker_id, sock, ipc, runtime_threads, runtime_blocking_threads,
        blocking_threads, blocking_threads_idle_timeout, backpressure, http_mode, http1_settings,
        http2_settings, static_path, *ssl_ctx, metrics, )"""
    assert " ".join(known.split()) in " ".join(source.split())


def test_inference_loads_no_training_library():
    program = (
        "import sys, appliance.daemon.rsgi, appliance.inference.endpoint, appliance.runtimes as r\n"
        "[r.open_runtime(name) for name in r.RUNTIMES]\n"
        "print(sorted({'polars', 'sklearn', 'lightgbm', 'pandas', 'onnx', 'flask'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_port_is_ours_alone(plain):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", plain.port))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stop_lets_running_requests_end(launch, how):
    server = launch(models=["slow"])
    got = []

    def ask():
        with server.client() as client:
            got.append(client.post("/predict/slow", json={"rows": [{"x": 2.0}]}))

    with server.client() as idle:
        assert idle.get("/healthz").status_code == 200  # a kept-alive connection must not hold the stop up
        thread = threading.Thread(target=ask)
        thread.start()
        while server.tell("state")["in_flight"] == 0:
            time.sleep(0.005)
        begun = time.monotonic()
        code, out, errors = server.stop(how)
        thread.join()
    assert got[0].status_code == 200
    assert got[0].json()["predictions"] == [{"value": 2.0}]
    assert (code, json.loads(out.splitlines()[-1]), errors) == (0, {"drained": True}, "")
    assert time.monotonic() - begun < 3


def test_stop_waits_for_a_half_sent_body_only_to_its_deadline(launch):
    server = launch(models=["iris"], settings={"body_deadline": 0.5})
    sock = server.connect()
    sock.sendall(b"POST /predict/iris HTTP/1.1\r\nHost: x\r\nX-Api-Key: all\r\nContent-Length: 99\r\n\r\nabc")
    while server.tell("state")["reading"] == 0:
        time.sleep(0.005)
    begun = time.monotonic()
    code, out, _ = server.stop()
    assert (code, json.loads(out.splitlines()[-1])) == (0, {"drained": True})
    assert time.monotonic() - begun < 3
    sock.close()


def test_stop_gives_up_in_the_end(launch):
    server = launch(models=["iris"], settings={"body_deadline": 3600.0}, drain_seconds=0.3)
    sock = server.connect()
    sock.sendall(b"POST /predict/iris HTTP/1.1\r\nHost: x\r\nX-Api-Key: all\r\nContent-Length: 99\r\n\r\nabc")
    while server.tell("state")["reading"] == 0:
        time.sleep(0.005)
    code, out, _ = server.stop()
    assert (code, json.loads(out.splitlines()[-1])) == (0, {"drained": False})
    sock.close()


def test_draining_is_said(launch):
    server = launch(models=["iris"])
    with server.client() as client:
        server.tell("drain")
        answer = client.post("/predict/iris", json={"rows": [{}]})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.get("/readyz").status_code == 503
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/healthz").status_code == 200


def test_our_own_work_can_run_on_the_loop(plain):
    """on_start hands out the loop; other threads may then put work on it."""
    assert plain.tell("loop") == {"same": True}


def test_not_ready_is_said(launch):
    server = launch(models=["iris"], ready=False)
    with server.client() as client:
        assert client.get("/readyz").status_code == 503
        assert client.post("/predict/iris", json={"rows": [{}]}).status_code == 200


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "falaj.test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(built.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder


def test_tls(launch, certificate):
    server = launch(models=["iris"], tls=[str(certificate / "cert.pem"), str(certificate / "key.pem")])
    trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with server.client(verify=trust) as client:
        assert client.post("/predict/iris", json={"rows": [{"sl": 1.0}]}).status_code == 200
    with pytest.raises(httpx.HTTPError), httpx.Client(trust_env=False) as plain:
        plain.get(server.url.replace("https", "http") + "/healthz")


def test_tls_with_a_wrong_key_is_refused(certificate, tmp_path):
    from appliance.daemon.rsgi import Tls, serve_rsgi
    from appliance.errors import BadInput

    (tmp_path / "key.pem").write_text("nonsense")
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(BadInput, match="cannot be used"):
        serve_rsgi(object(), sock, 16, Tls(certificate / "cert.pem", tmp_path / "key.pem"))


def test_serving_off_the_main_thread_is_refused():
    from appliance.daemon.rsgi import serve_rsgi

    caught = []

    def work():
        try:
            with socket.socket() as sock:
                serve_rsgi(object(), sock, 16)
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in caught[0]
