"""granian in our process: its private names, our socket, TLS, and a stop that lets requests end."""

from __future__ import annotations

import datetime
import http.client
import importlib.metadata
import inspect
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

from tests.unit.inference.conftest import read_reply

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
    assert callable(core.RSGIWorker.serve_str_uds)
    assert core.WorkerSignal().add_cb
    source = inspect.getsource(mp.MPServer._spawn_rsgi_worker)
    known = """worker = RSGIWorker( worker_id, sock, ipc, runtime_threads, runtime_blocking_threads,
        blocking_threads, blocking_threads_idle_timeout, backpressure, http_mode, http1_settings,
        http2_settings, websockets, static_path, *ssl_ctx, metrics, )"""
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
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        server.wait_for("in_flight")
        begun = time.monotonic()
        code, out, errors = server.stop(how)
        thread.join(20)
    assert got[0].status_code == 200
    assert got[0].json()["predictions"] == [{"value": 2.0}]
    assert (code, json.loads(out.splitlines()[-1]), errors) == (0, {"drained": True}, "")
    assert time.monotonic() - begun < 3


def test_stop_waits_for_a_half_sent_body_only_to_its_deadline(launch):
    server = launch(models=["iris"], settings={"body_deadline": 0.5})
    sock = server.connect()
    sock.sendall(b"POST /predict/iris HTTP/1.1\r\nHost: x\r\nX-Api-Key: all\r\nContent-Length: 99\r\n\r\nabc")
    server.wait_for("reading")
    begun = time.monotonic()
    code, out, _ = server.stop()
    assert (code, json.loads(out.splitlines()[-1])) == (0, {"drained": True})
    assert time.monotonic() - begun < 3
    sock.close()


def test_stop_gives_up_in_the_end(launch):
    server = launch(models=["iris"], settings={"body_deadline": 3600.0}, drain_seconds=0.3)
    sock = server.connect()
    sock.sendall(b"POST /predict/iris HTTP/1.1\r\nHost: x\r\nX-Api-Key: all\r\nContent-Length: 99\r\n\r\nabc")
    server.wait_for("reading")
    code, out, _ = server.stop()
    assert (code, json.loads(out.splitlines()[-1])) == (0, {"drained": False})
    sock.close()


def asking(sock, model="iris", row=None):
    """One prediction over a connection that may be kept: (status, whether it is to be closed)."""
    body = json.dumps({"rows": [row or {"sl": 1.0}]})
    head = (
        f"POST /predict/{model} HTTP/1.1\r\nHost: x\r\nX-Api-Key: all\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    sock.sendall((head + body).encode())
    status, headers, _ = read_reply(sock)
    return status, headers.get("connection") == "close"


def test_leaving_answers_what_still_comes_and_closes_behind_it(launch):
    """Also a request that had begun before: its caller is told with the next one."""
    server = launch(models=["iris", "slow"])
    kept, busy, idle = server.connect(), server.connect(), server.connect()
    for sock in (kept, busy, idle):
        assert asking(sock) == (200, False)
    long = []
    thread = threading.Thread(target=lambda: long.append(asking(busy, "slow", {"x": 2.0})), daemon=True)
    thread.start()
    server.wait_for("in_flight")
    server.process.send_signal(signal.SIGUSR1)
    server.process.send_signal(signal.SIGUSR1)  # again does nothing
    thread.join(20)
    assert long == [(200, False)]
    time.sleep(1)
    assert [asking(kept), asking(busy)] == [(200, True), (200, True)]
    assert [sock.recv(1) for sock in (kept, busy, idle)] == [b"", b"", b""]
    out, errors = server.process.communicate(timeout=20)
    assert (server.process.returncode, json.loads(out.splitlines()[-1]), errors) == (0, {"drained": True}, "")


def test_leaving_takes_no_new_connection(launch):
    """They wait at the socket for another process; here there is none, so they are cut off at its end."""
    server = launch(models=["iris"])
    kept = server.connect()
    assert asking(kept) == (200, False)
    server.process.send_signal(signal.SIGUSR1)
    until = time.monotonic() + 20
    while asking(kept) != (200, True):
        assert time.monotonic() < until
        time.sleep(0.02)
    late = server.connect()
    late.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        read_reply(late)
    assert server.process.wait(20) == 0


def test_a_stop_while_leaving_is_a_stop(launch):
    server = launch(models=["iris"])
    assert asking(server.connect()) == (200, False)
    server.process.send_signal(signal.SIGUSR1)
    code, out, errors = server.stop()
    assert (code, json.loads(out.splitlines()[-1]), errors) == (0, {"drained": True}, "")


def test_half_of_the_connections_are_shared(launch):
    """For a while; then all are kept again, and not one request is lost."""
    server = launch(models=["iris"])
    socks = [server.connect() for _ in range(60)]
    assert {asking(sock) for sock in socks} == {(200, False)}
    server.process.send_signal(signal.SIGUSR2)
    time.sleep(0.1)
    replies = [asking(sock) for sock in socks]
    assert {status for status, _ in replies} == {200}
    assert 10 < sum(closed for _, closed in replies) < 50
    kept = [sock for sock, (_, closed) in zip(socks, replies, strict=True) if not closed]
    time.sleep(2.5)
    assert {asking(sock) for sock in kept} == {(200, False)}
    assert {asking(server.connect()) for _ in range(20)} == {(200, False)}


def test_a_unix_socket_is_answered_shared_and_left_like_the_others(launch, tmp_path):
    """Its callers have no address; each of them is answered all the same, and none is told to come anew."""
    path = tmp_path / "endpoint.sock"
    server = launch(models=["iris"], path=str(path))
    assert server.port

    def connected():
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(path))
        return sock

    socks = [connected() for _ in range(10)]
    assert {asking(sock) for sock in socks} == {(200, False)}
    server.process.send_signal(signal.SIGUSR2)
    time.sleep(0.1)
    socks.append(connected())
    assert {asking(sock) for sock in socks} == {(200, False)}
    assert asking(server.connect())[0] == 200
    server.process.send_signal(signal.SIGUSR1)
    time.sleep(1)
    assert {asking(sock) for sock in socks} == {(200, True)}
    late = connected()
    late.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")  # it waits for another process; there is none
    out, errors = server.process.communicate(timeout=20)
    assert (server.process.returncode, json.loads(out.splitlines()[-1]), errors) == (0, {"drained": True}, "")
    for sock in (*socks, late):
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


def identity(name):
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM."""
    from appliance.security.authority import issue, make_authority
    from appliance.security.names import Names

    now = datetime.datetime.now(datetime.UTC)
    names = Names((f"{name}.local", "localhost"), ("127.0.0.1",))
    authority = make_authority(names, now)
    return issue(authority, names, now).pem()


@pytest.fixture
def pem(tmp_path):
    path = tmp_path / "served.pem"
    path.write_bytes(identity("first"))
    return path


def trusting(*pems):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for one in pems:
        context.load_verify_locations(cadata=one.decode().partition("-----BEGIN PRIVATE")[0])
    return context


def test_tls_and_plain_beside_each_other(launch, pem):
    server = launch(models=["iris"], tls=[str(pem), str(pem)], both=True)
    secure, plain = (f"https://127.0.0.1:{server.ports[0]}", f"http://127.0.0.1:{server.ports[1]}")
    told = {"headers": {"Authorization": "Bearer all"}, "json": {"rows": [{"sl": 1.0}]}}
    with httpx.Client(verify=trusting(pem.read_bytes()), trust_env=False) as client:
        assert client.post(f"{secure}/predict/iris", **told).status_code == 200
        assert client.post(f"{plain}/predict/iris", **told).status_code == 200
        for wrong in (secure.replace("https", "http"), plain.replace("http", "https")):
            with pytest.raises(httpx.HTTPError):
                client.get(f"{wrong}/healthz")
    with httpx.Client(verify=trusting(identity("other")), trust_env=False) as stranger:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.get(f"{secure}/healthz")
        assert stranger.get(f"{plain}/healthz").status_code == 200


def test_stop_lets_running_requests_end_on_every_listener(launch, pem):
    server = launch(models=["slow"], tls=[str(pem), str(pem)], both=True)
    urls = (f"https://127.0.0.1:{server.ports[0]}", f"http://127.0.0.1:{server.ports[1]}")
    got = []

    def ask(url):
        with httpx.Client(verify=trusting(pem.read_bytes()), trust_env=False, timeout=20) as client:
            headers = {"Authorization": "Bearer all"}
            got.append(client.post(f"{url}/predict/slow", headers=headers, json={"rows": [{"x": 2.0}]}))

    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    server.wait_for("in_flight", 2)
    code, out, errors = server.stop()
    for thread in threads:
        thread.join(20)
    assert [answer.status_code for answer in got] == [200, 200]
    assert (code, json.loads(out.splitlines()[-1]), errors) == (0, {"drained": True}, "")


def test_a_new_certificate_is_taken_up_without_a_dropped_request(launch, pem):
    """Callers that keep their connection and callers that don't, all through two changes."""
    server = launch(models=["iris"], tls=[str(pem), str(pem)])
    identities = [pem.read_bytes(), *(identity(f"next{number}") for number in range(2))]
    context, done, failed, asked = trusting(*identities), threading.Event(), [], []
    message = json.dumps({"rows": [{"sl": 1.0}]})

    def ask(keep):
        connection = None
        while not done.is_set():
            if connection is None:
                connection = http.client.HTTPSConnection(
                    "127.0.0.1", server.port, context=context, timeout=20
                )
            try:
                connection.request("POST", "/predict/iris", message, {"Authorization": "Bearer all"})
                reply = connection.getresponse()
                reply.read()
                asked.append(reply.status)
            except (OSError, http.client.HTTPException) as error:
                failed.append((keep, repr(error)))
                connection.close()
                connection = None
                continue
            if not keep or reply.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def serial():
        with context.wrap_socket(server.connect(), server_hostname="localhost") as sock:
            return sock.getpeercert()["serialNumber"]

    assert server.port
    threads = [threading.Thread(target=ask, args=(keep,), daemon=True) for keep in (True, True, False, False)]
    for thread in threads:
        thread.start()
    seen = [serial()]
    for content in identities[1:]:
        (pem.parent / "new.pem").write_bytes(content)
        (pem.parent / "new.pem").rename(pem)
        time.sleep(1)
        seen.append(serial())
        assert {serial() for _ in range(20)} == {seen[-1]}, "the leaving one still takes connections"
        time.sleep(3)  # until it has left
    done.set()
    for thread in threads:
        thread.join(20)
    assert failed == []
    assert len(set(seen)) == 3
    assert len(asked) > 500
    assert set(asked) == {200}
    code, out, _ = server.stop()
    assert (code, json.loads(out.splitlines()[-1])) == (0, {"drained": True})


def test_a_certificate_that_is_none_does_not_replace_one(launch, pem):
    good = pem.read_bytes()
    server = launch(models=["iris"], tls=[str(pem), str(pem)])
    with server.client(verify=trusting(good)) as client:
        assert client.get("/healthz").status_code == 200
    for bad in (b"nonsense", good.replace(b"PRIVATE KEY", b"PRIVATE HEN"), None):
        if bad is None:
            pem.unlink()
        else:
            pem.write_bytes(bad)
        time.sleep(0.6)
        with server.client(verify=trusting(good)) as client:
            assert client.get("/healthz").status_code == 200
    code, out, errors = server.stop()
    assert (code, json.loads(out.splitlines()[-1])) == (0, {"drained": True})
    assert "The one before stays." in errors


def test_tls_with_a_wrong_key_is_refused(pem, tmp_path):
    from appliance.daemon.listener import Listener, Tls
    from appliance.daemon.rsgi import serve_rsgi
    from appliance.errors import BadInput

    (tmp_path / "key.pem").write_text("nonsense")
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(BadInput, match="cannot be used"):
        serve_rsgi(object(), [Listener(sock, Tls(pem, tmp_path / "key.pem"))], 16)


def test_serving_off_the_main_thread_is_refused():
    from appliance.daemon.listener import Listener
    from appliance.daemon.rsgi import serve_rsgi

    caught = []

    def work():
        try:
            with socket.socket() as sock:
                serve_rsgi(object(), [Listener(sock)], 16)
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert "main thread" in caught[0]
