"""The endpoint over real HTTP: routes, verbs, tokens, both doors, and what each mistake is told."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

ROW = {"sl": 5.1, "sw": 3.5, "pl": 1.4, "pw": 0.2}
X = np.array([[5.1, 3.5, 1.4, 0.2]], np.float32)


def near(a, b):
    return np.allclose(np.asarray(a, float), np.asarray(b, float), atol=1e-5)


@pytest.fixture(scope="module")
def http(running):
    with running["plain"].client() as client:
        yield client


@pytest.fixture(scope="module")
def iris(graphs):
    return graphs.Reference(width=4, classes=3, hidden=8, seed=1)


def test_predict_answers_by_label(http, iris):
    answer = http.post("/predict/iris", json={"rows": [ROW]})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["model", "version", "request_id", "predictions"]
    assert (body["model"], body["version"]) == ("iris", 1)
    assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", body["request_id"])
    assert answer.headers["x-request-id"] == body["request_id"]
    (prediction,) = body["predictions"]
    expected = iris.answer(X)[0]
    assert near(list(prediction["probabilities"].values()), expected)
    assert list(prediction["probabilities"]) == ["setosa", "versicolor", "virginica"]
    assert prediction["label"] == list(prediction["probabilities"])[int(expected.argmax())]
    assert prediction["probability"] == max(prediction["probabilities"].values())


def test_predict_of_a_number(http):
    rows = [{"size": 2.5, "rooms": 3}, {"rooms": 3}, {"size": 1e35, "rooms": 1}]
    predictions = http.post("/predict/price", json={"rows": rows}).json()["predictions"]
    assert predictions == [{"value": 2500.0}, {"value": None}, {"value": pytest.approx(1e38, rel=1e-4)}]


def test_many_rows_keep_their_order(http, iris):
    x = iris.rows(3000)
    rows = [dict(zip(ROW, row, strict=True)) for row in x.tolist()]
    body = http.post("/predict/iris", json={"rows": rows}).json()
    got = [list(each["probabilities"].values()) for each in body["predictions"]]
    assert near(got, iris.answer(x))
    assert http.post("/predict/iris", json={"rows": []}).json()["predictions"] == []


@pytest.mark.parametrize("token", ["NaN", "null"])
def test_missing_values_in_every_spelling(http, iris, token):
    expected = iris.answer(np.array([[np.nan, 3.5, 1.4, 0.2]], np.float32))[0]
    body = f'{{"rows": [{{"sl": {token}, "sw": 3.5, "pl": 1.4, "pw": 0.2}}]}}'
    answers = [http.post("/predict/iris", content=body)]
    answers.append(http.post("/predict/iris", json={"rows": [{k: v for k, v in ROW.items() if k != "sl"}]}))
    for answer in answers:
        assert near(list(answer.json()["predictions"][0]["probabilities"].values()), expected)


MISTAKES = [
    # model, body, status, column, part of the message
    ("iris", '{"rows": [{"sl": 1, "sepal": 2}]}', 422, "sepal", "no column 'sepal'"),
    ("iris", '{"rows": [{"sl": "wide"}]}', 422, "sl", "sl"),
    ("iris", '{"rows": [{"sl": Infinity}]}', 422, "sl", "finite"),
    ("iris", '{"rows": [{"sl": 1e999}]}', 400, None, "infinity"),
    ("shop", '{"rows": [{"items": 1.5}]}', 422, "items", "items"),
    ("shop", '{"rows": [{"member": "maybe"}]}', 422, "member", "member"),
    ("shop", '{"rows": [{"member": true}, {"brnch": "Deira"}]}', 422, "brnch", "row 2"),
    ("iris", '{"rows": [1]}', 422, None, "row"),
    ("iris", '{"rows": [{"species": "setosa"}]}', 422, "species", "species"),
    ("iris", '{"rows": {"sl": 1}}', 400, None, "must be a list"),
    ("iris", '{"row": {"sl": 1}}', 400, None, "unknown part: 'row'"),
    ("iris", '{"rows": [], "limit": 1}', 400, None, "unknown part: 'limit'"),
    ("iris", "{}", 400, None, "no 'rows'"),
    ("iris", "[1]", 400, None, "must be a JSON object, but is a list"),
    ("iris", "", 400, None, "empty"),
    ("iris", '{"rows": [{"sl": 1,}]}', 400, None, "not valid JSON"),
    ("iris", '{"rows": [{"sl": NaN,}]}', 400, None, "not valid JSON"),
    ("iris", b'{"rows": [{"sl": "\xff"}]}', 400, None, "not valid JSON"),
    ("iris", "[" * 50_000 + "NaN", 400, None, "not valid JSON"),
    ("iris", '{"rows": [{"sl": ' + "9" * 5000 + "}], NaN}", 400, None, "not valid JSON"),
    # Only the parser that reads NaN lets these through, and no answer could quote them.
    ("iris", r'{"rows": [{"\ud800": NaN}]}', 400, None, "surrogate"),
    ("iris", r'{"\udfff": NaN}', 400, None, "surrogate"),
    ("iris", r'{"rows": [{"sl": NaN, "sw": "\ude00\ud83d"}]}', 400, None, "surrogate"),
    ("iris", b'{"rows": [{"sl": NaN, "sw": "\xed\xa0\x80"}]}', 400, None, "not valid JSON"),
    ("iris", '{"rows": [{"sl": NaN, "sw": 18446744073709551616}]}', 400, None, "64-bit"),
    ("iris", '{"rows": [{"sl": NaN, "sw": -9223372036854775809}]}', 400, None, "64-bit"),
    ("iris", '{"rows": [{"sl": NaN, "sw": ' + "[" * 500 + "]" * 500 + "}]}", 400, None, "cannot be used"),
    ("iris", r'{"rows": [{"sl": NaN, "\ud83d\ude00": 1}]}', 422, "\U0001f600", "no column"),  # a whole one
    ("iris", '{"rows": [{"sl": NaN, "sw": "18446744073709551616"}]}', 422, "sw", "sw"),
]


@pytest.mark.parametrize(("model", "body", "status", "column", "says"), MISTAKES)
def test_mistakes_are_named(http, model, body, status, column, says):
    answer = http.post(f"/predict/{model}", content=body)
    told = answer.json()
    assert answer.status_code == status, told
    assert answer.headers["content-type"] == "application/json"
    assert says in told["error"]
    assert told["hint"]
    assert told.get("column") == column
    assert "Traceback" not in answer.text
    assert answer.headers["x-request-id"]


def test_health_needs_no_token(plain):
    with plain.client(token=None) as client:
        assert client.get("/healthz").json() == {"live": True}
        assert client.get("/readyz").json() == {"live": True, "ready": True}
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
        assert client.get("/v2").json()["name"] == "falaj"
        head = client.head("/healthz")
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/v2/models"),
        ("GET", "/v2/models/iris"),
        ("GET", "/v2/models/iris/ready"),
        ("GET", "/metrics"),
        ("POST", "/predict/iris"),
        ("POST", "/v2/models/iris/infer"),
        ("POST", "/v2/models/nothing/infer"),
    ],
)
@pytest.mark.parametrize("token", [None, "wrong"])
def test_whatever_names_a_model_needs_a_token(plain, verb, path, token):
    with plain.client(token=token) as client:
        answer = client.request(verb, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"] == "This address needs a valid token."


def test_token_in_each_place(plain):
    body = {"rows": [ROW]}
    with plain.client(token=None) as client:
        for headers in (
            {"Authorization": "Bearer all"},
            {"authorization": "bearer  all"},
            {"X-Api-Key": "all"},
        ):
            assert client.post("/predict/iris", json=body, headers=headers).status_code == 200
        for headers in (
            {"Authorization": "Basic all"},
            {"Authorization": "all"},
            {"X-Api-Key": "Bearer all"},
        ):
            assert client.post("/predict/iris", json=body, headers=headers).status_code == 401


def test_token_scope(plain):
    with plain.client(token="iris-only") as client:
        assert client.post("/predict/iris", json={"rows": [ROW]}).status_code == 200
        for answer in (client.post("/predict/shop", json={"rows": [{}]}), client.get("/v2/models/shop")):
            assert answer.status_code == 403
        assert client.get("/v2/models").json() == {"models": ["iris"]}


@pytest.mark.parametrize(
    ("verb", "path", "status", "allow"),
    [
        ("GET", "/predict/iris", 405, "POST"),
        ("PUT", "/v2/models/iris/infer", 405, "POST"),
        ("POST", "/healthz", 405, "GET, HEAD"),
        ("DELETE", "/v2/models/iris", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("GET", "/predict", 404, None),
        ("POST", "/predict/", 404, None),
        ("POST", "/predict/iris/extra", 404, None),
        ("GET", "/v2/models/iris/config", 404, None),
        ("POST", "/v2/models/iris/versions/1/other", 404, None),
        ("POST", "/predict/nothing", 404, None),
        ("POST", "/predict/%2e%2e%2firis", 404, None),
        ("GET", "/v2/models/nothing", 404, None),
        ("GET", "/v2/models/iris/versions/2", 404, None),
        ("POST", "/v2/models/iris/versions/7/infer", 404, None),
        ("GET", "/v2/models/iris/versions/one", 400, None),
    ],
)
def test_wrong_addresses(http, verb, path, status, allow):
    answer = http.request(verb, path)
    assert answer.status_code == status
    assert answer.headers.get("allow") == allow
    told = answer.json()
    assert told["error"]
    assert told["hint"]


def test_unexpected_faults_stay_inside(launch):
    server = launch(models=["iris"])
    with server.client() as client:
        for answer in (client.post("/predict/broken", json={}), client.get("/v2/models/broken")):
            assert answer.status_code == 500
            assert answer.headers["content-type"] == "application/json"
            told = answer.json()
            assert "secret" not in answer.text
            assert answer.headers["x-request-id"] in told["hint"]
        assert client.post("/predict/iris", json={"rows": [ROW]}).status_code == 200
    assert server.tell("state")["failed"] == 1
    _, _, errors = server.stop()
    assert "secret detail" in errors
    assert answer.headers["x-request-id"] in errors


def tensor(name, values, datatype="FP64", shape=None):
    return {"name": name, "datatype": datatype, "shape": shape or [len(values)], "data": values}


def deep(levels):
    nested = []
    for _ in range(levels - 1):
        nested = [nested]
    return nested


def by_column(x):
    return [tensor(name, x[:, i].tolist()) for i, name in enumerate(ROW)]


def outputs(answer):
    assert answer.status_code == 200, answer.text
    return {each["name"]: each for each in answer.json()["outputs"]}


def test_v2_one_input_a_column(http, iris):
    x = iris.rows(5)
    answer = http.post(
        "/v2/models/iris/infer", json={"id": "42", "inputs": by_column(x), "model_name": "iris"}
    )
    body, found = answer.json(), outputs(answer)
    assert (body["model_name"], body["model_version"], body["id"]) == ("iris", "1", "42")
    expected = iris.answer(x)
    assert found["probabilities"]["shape"] == [5, 3]
    assert found["probabilities"]["datatype"] == "FP32"
    assert near(np.reshape(found["probabilities"]["data"], (5, 3)), expected)
    assert found["label"]["datatype"] == "BYTES"
    labels = ["setosa", "versicolor", "virginica"]
    assert found["label"]["data"] == [labels[i] for i in expected.argmax(1)]


def test_v2_shapes_nesting_and_the_table(http, iris):
    x = iris.rows(3)
    narrow = [tensor(name, x[:, i].tolist(), shape=[3, 1]) for i, name in enumerate(ROW)]
    nested = [{**each, "data": [[value] for value in each["data"]]} for each in narrow]
    flat = [tensor("input", x.ravel().tolist(), "FP32", [3, 4])]
    rows = [{**flat[0], "data": x.tolist()}]
    for inputs in (by_column(x), narrow, nested, flat, rows):
        found = outputs(http.post("/v2/models/iris/versions/1/infer", json={"inputs": inputs}))
        assert near(np.reshape(found["probabilities"]["data"], (3, 3)), iris.answer(x))


def test_v2_mixed_columns(http):
    inputs = [
        tensor("amount", [10.5, None]),
        tensor("items", [1, None], "INT64"),
        tensor("member", [True, False], "BOOL"),
        tensor("branch", ["Deira", "never seen"], "BYTES"),
    ]
    found = outputs(http.post("/v2/models/shop/infer", json={"inputs": inputs}))
    rows = [
        {"amount": 10.5, "items": 1, "member": True, "branch": "Deira"},
        {"member": False, "branch": "never seen"},
    ]
    named = http.post("/predict/shop", json={"rows": rows}).json()["predictions"]
    assert found["label"]["data"] == [each["label"] for each in named]
    assert near(found["probabilities"]["data"][::2], [each["probabilities"]["no"] for each in named])


def test_v2_outputs_can_be_chosen(http):
    inputs = by_column(X)
    answer = http.post(
        "/v2/models/iris/infer", json={"inputs": inputs, "outputs": [{"name": "probabilities"}]}
    )
    assert list(outputs(answer)) == ["probabilities"]
    answer = http.post("/v2/models/iris/infer", json={"inputs": inputs, "outputs": [{"name": "logits"}]})
    assert answer.status_code == 400
    assert "no output 'logits'" in answer.json()["error"]
    assert "label, probabilities" in answer.json()["hint"]


def test_v2_nan_tokens_in_and_null_out(http, iris):
    body = json.dumps({"inputs": by_column(np.array([[np.nan, 1, 2, 3]]))})
    assert "NaN" in body
    found = outputs(http.post("/v2/models/iris/infer", content=body))
    expected = iris.answer(np.array([[np.nan, 1, 2, 3]], np.float32))
    assert near(found["probabilities"]["data"], expected.ravel())
    for value in (math.nan, None):
        body = json.dumps({"inputs": [tensor("input", [value, 2.0], "FP32", [1, 2])]})
        found = outputs(http.post("/v2/models/price/infer", content=body))
        assert found["prediction"] == {"name": "prediction", "shape": [1], "datatype": "FP32", "data": [None]}


def test_v2_metadata(http):
    assert http.get("/v2/models").json() == {"models": ["iris", "price", "shop", "slow"]}
    shop = http.get("/v2/models/shop").json()
    assert shop["versions"] == ["1"]
    assert [(i["name"], i["datatype"], i["shape"]) for i in shop["inputs"]] == [
        ("amount", "FP64", [-1]),
        ("items", "INT64", [-1]),
        ("member", "BOOL", [-1]),
        ("branch", "BYTES", [-1]),
    ]
    assert "parameters" not in shop
    iris = http.get("/v2/models/iris/versions/1").json()
    assert json.loads(iris["parameters"]["alternative_input"])["shape"] == [-1, 4]
    assert iris["outputs"][1] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}
    assert http.get("/v2/models/price").json()["outputs"] == [
        {"name": "prediction", "datatype": "FP32", "shape": [-1]}
    ]
    assert http.get("/v2/models/iris/ready").json() == {"name": "iris", "ready": True}


V2_MISTAKES = [
    ("iris", {}, "no 'inputs'", None),
    ("iris", {"inputs": []}, "no 'inputs'", None),
    ("iris", {"inputs": [5]}, "must be an object", None),
    ("iris", {"inputs": [tensor("sl", [1.0])], "id": 5}, "'id'", None),
    ("iris", {"inputs": [tensor("sl", [1.0])], "outputs": ["label"]}, "'outputs'", None),
    ("iris", {"inputs": [{"name": "sl", "shape": [1], "datatype": "FP64"}]}, "must be a list", "sl"),
    (
        "iris",
        {"inputs": [{"name": "sl", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}]},
        "binary tensor",
        "sl",
    ),
    ("iris", {"inputs": [tensor("sl", [1.0, 2.0], shape=[3])]}, "has 2 values", "sl"),
    ("iris", {"inputs": [tensor("sl", [1.0], shape=[-1])]}, "'shape'", "sl"),
    ("iris", {"inputs": [tensor("sl", [1.0], shape=[1, 1, 1])]}, "'shape'", "sl"),
    ("iris", {"inputs": [tensor("sl", [], shape=[10**18])]}, "has 0 values", "sl"),
    ("iris", {"inputs": [tensor("sl", [], shape=[2**63, 2**63])]}, "has 0 values", "sl"),
    ("iris", {"inputs": [tensor("sl", [], shape=[12_000_000, 0])]}, "rows without columns", "sl"),
    ("iris", {"inputs": [tensor("input", [], shape=[12_000_000, 0])]}, "rows without columns", "input"),
    ("iris", {"inputs": [tensor("input", [], shape=[0, 0])]}, "rows without columns", "input"),
    ("iris", {"inputs": [tensor("input", [[]] * 3, shape=[3, 0])]}, "rows without columns", "input"),
    ("iris", {"inputs": [tensor("input", [], shape=[0, 10**18])]}, "4 columns", None),
    ("iris", {"inputs": [tensor("input", [], shape=[0, 0, 12_000_000])]}, "'shape'", "input"),
    ("iris", {"inputs": [tensor("input", [], shape=[-12_000_000, 0])]}, "'shape'", "input"),
    ("iris", {"inputs": [tensor("input", [1.0] * 4, shape=[-1, -4])]}, "'shape'", "input"),
    ("iris", {"inputs": [tensor("input", [1.0] * 4, shape=[4, 1])]}, "4 columns", None),
    ("iris", {"inputs": [tensor("input", [1.0] * 4, shape=[2, 4])]}, "has 4 values", "input"),
    ("iris", {"inputs": [tensor("sl", []), tensor("sw", [], shape=[0, 7])]}, "'sw' has 7 columns", "sw"),
    ("iris", {"inputs": [tensor("sl", [1.0]), tensor("sw", [[]], shape=[1])]}, "shape [1]", "sw"),
    ("iris", {"inputs": [tensor("sl", [1.0], "FP16")]}, "datatype", "sl"),
    ("iris", {"inputs": [tensor("sl", [1.0], ["FP64"])]}, "read: a list", "sl"),
    ("iris", {"inputs": [tensor("sl", [deep(500)], shape=[1])]}, "holds a list", "sl"),
    ("iris", {"inputs": [{**tensor("sl", [1.0]), "data": None, "parameters": 5}]}, "must be a list", "sl"),
    ("iris", {"inputs": [tensor("sl", [math.nan])], "id": "\ud800"}, "surrogate", None),
    ("iris", {"inputs": [tensor("\ud800", [math.nan])]}, "surrogate", None),
    ("iris", {"inputs": [tensor("sl", [math.nan, 2**64])]}, "64-bit", None),
    ("iris", {"inputs": [tensor("sl", [1.5], "INT64")]}, "declared INT64, but holds 1.5", "sl"),
    ("iris", {"inputs": [tensor("sl", [True], "FP32")]}, "declared FP32, but holds true", "sl"),
    ("iris", {"inputs": [tensor("sl", ["x"], "BYTES")]}, "sl", "sl"),
    ("iris", {"inputs": [tensor("sl", [1.0]), tensor("sl", [1.0])]}, "given twice", "sl"),
    ("iris", {"inputs": [tensor("sl", [1.0]), tensor("sw", [1.0, 2.0])]}, "differ in rows", "sw"),
    ("iris", {"inputs": [tensor("depth", [1.0])]}, "no column 'depth'", "depth"),
    ("iris", {"inputs": [tensor("input", [1.0] * 6, shape=[2, 3])]}, "4 columns", None),
    ("iris", {"inputs": [tensor("table", [1.0] * 8, shape=[2, 4])]}, "'table' has 4 columns", "table"),
    ("iris", {"inputs": [tensor("input", [[1.0], [1.0, 2.0]], shape=[2, 4])]}, "shape [2, 4]", "input"),
    ("shop", {"inputs": [tensor("input", [1.0] * 4, shape=[1, 4])]}, "'branch' is categorical", "branch"),
    ("shop", {"inputs": [tensor("amount", [math.inf])]}, "finite", "amount"),
]


@pytest.mark.parametrize(("model", "body", "says", "column"), V2_MISTAKES)
def test_v2_mistakes_are_named(http, model, body, says, column):
    answer = http.post(f"/v2/models/{model}/infer", content=json.dumps(body))
    told = answer.json()
    assert answer.status_code in (400, 422), told
    assert says in told["error"]
    assert told.get("column") == column
    assert told["hint"]


def test_metrics_count_what_happened(launch, tmp_path):
    server = launch(models=["iris"], telemetry=str(tmp_path / "telemetry.db"))
    with server.client() as client:
        for _ in range(3):
            client.post("/predict/iris", json={"rows": [ROW]})
        client.post("/predict/iris", json={"rows": [{"sl": "x"}]})
        for name in ("a", "b", "c%22%0a"):
            client.post(f"/predict/{name}", json={"rows": []})
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.text
    assert 'falaj_requests_total{model="iris",status="200"} 3\n' in text
    assert 'falaj_requests_total{model="iris",status="422"} 1\n' in text
    assert 'falaj_requests_total{model="",status="404"} 3\n' in text  # invented names are no labels
    assert 'falaj_request_seconds_bucket{model="iris",le="+Inf"} 4\n' in text
    assert 'falaj_request_seconds_count{model="iris"} 4\n' in text
    counts = [int(each) for each in re.findall(r'bucket\{model="iris",le="[^"]+"\} (\d+)', text)]
    assert counts == sorted(counts)
    assert server.tell("state") == {"in_flight": 0, "served": 7, "failed": 0, "reading": 0, "buffered": 0}
