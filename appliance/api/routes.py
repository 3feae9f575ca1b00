"""Every route of the management API as a row: address, verb, and what the body may hold.

The view, the permission and the OpenAPI document are made from this table, so none can lack a route.
A path argument is one of the verb's arguments; so is each key of the JSON body, or of the query of a GET.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
REFERENCE = "NAME, or NAME:VERSION for one version"


@dataclass(frozen=True)
class Route:
    """One operation. `path` is below /api/v1, with arguments in braces; `needed` keys must be in the body."""

    method: str
    path: str
    verb: str
    summary: str
    body: dict[str, Schema] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    status: int = 200

    @property
    def rule(self) -> str:
        """The path as Flask writes it."""
        return self.path.replace("{", "<").replace("}", ">")

    @property
    def tag(self) -> str:
        return self.path.split("/")[1]


ROUTES = (
    Route("GET", "/status", "status", "Whether every part is there and ready"),
    Route("GET", "/gpu", "gpu.show", "The graphics cards of the machine, and whether they are used"),
    Route("GET", "/upgrade", "upgrade.show", "Which version runs, what holds a newer one, and snapshots"),
    Route("GET", "/doctor", "doctor", "Look for trouble; every check with its fix",
          {"quick": FLAG | {"description": "leave out what reads whole databases and every stored file"}}),
    Route("GET", "/settings", "config.ls", "Every setting, where it comes from, and what differs",
          {"section": TEXT}),
    Route("GET", "/datasets", "dataset.ls", "All versions of all datasets, or of one", {"dataset": TEXT}),
    Route("GET", "/datasets/{dataset}", "dataset.show", "Columns of a dataset and what the import assumed"),
    Route("GET", "/datasets/{dataset}/profile", "dataset.profile", "What is in each column"),
    Route("DELETE", "/datasets/{dataset}", "dataset.rm", "Remove one version (NAME:VERSION)"),
    Route(
        "POST", "/runs", "train", "Train a new version of a model; the job's id",
        {
            "model": TEXT, "dataset": TEXT, "target": TEXT, "drop": TEXTS, "keep": TEXTS,
            "task": {"enum": ["auto", "binary", "multiclass", "regression"]},
            "algorithm": {"enum": ["auto", "lightgbm", "linear", "mlp"]},
            "budget": NUMBER | {"description": "seconds"}, "seed": INTEGER,
        },
        ("model", "dataset", "target"), 202,
    ),
    Route("GET", "/models", "model.ls", "All models, and what answers"),
    Route("GET", "/models/{model}", "model.show", "One version: what it reads, how good it is"),
    Route("GET", "/models/{model}/versions", "model.versions", "All versions of a model"),
    Route("GET", "/models/{model}/report", "model.report", "What validation found, as JSON and as a page"),
    Route("POST", "/models/{model}/export", "model.export", "The graph (ONNX, base64) and the signature"),
    Route(
        "POST", "/models/{model}/approval", "model.approve", "Allow what the gate refused",
        {"reason": TEXT}, ("reason",),
    ),
    Route("DELETE", "/models/{model}", "model.rm", "Remove one version (NAME:VERSION)"),
    Route("GET", "/deployments", "deployment.ls", "What answers now"),
    Route(
        "POST", "/deployments", "deploy", "Make a version answer",
        {"model": TEXT | {"description": REFERENCE}, "runtime": {"enum": ["onnxruntime", "openvino"]}},
        ("model",),
    ),
    Route("GET", "/deployments/{model}", "deployment.show", "What answers for a model, and did before"),
    Route("POST", "/deployments/{model}/rollback", "rollback", "Go back to the version before"),
    Route("DELETE", "/deployments/{model}", "undeploy", "Stop answering"),
    Route(
        "POST", "/predictions", "predict", "Ask a deployed model",
        {"model": TEXT, "rows": {"type": "array", "items": OBJECT}}, ("model", "rows"),
    ),
    Route("GET", "/models/{model}/predictions", "prediction.ls", "The newest kept predictions of a model",
          {"limit": INTEGER}),
    Route("GET", "/predictions/{request_id}", "prediction.show", "One kept prediction: asked, said, by whom"),
    Route("GET", "/traffic", "traffic", "Requests, errors and latency, of one model or of all",
          {"model": TEXT, "hours": NUMBER}),
    Route("GET", "/models/{model}/drift", "drift", "Whether live rows still look like the training data",
          {"windows": INTEGER | {"description": "how many judged windows to tell of, newest first"}}),
    Route("GET", "/alerts", "alert.ls", "Alerts that still hold, or the newest of all", {"all": FLAG}),
    Route("POST", "/alerts/{alert}/acknowledgement", "alert.ack", "Say that somebody knows of it"),
    Route("POST", "/alerts/{alert}/resolution", "alert.resolve", "Say that it is dealt with"),
    Route("GET", "/jobs", "job.ls", "The newest jobs"),
    Route("GET", "/jobs/{job}", "job.show", "How far a job is, or how it ended"),
    Route("GET", "/jobs/{job}/log", "job.logs", "The end of a job's log"),
    Route("POST", "/jobs/{job}/cancel", "job.cancel", "Stop a job"),
    Route("GET", "/tokens", "token.ls", "All tokens, without their secrets"),
    Route(
        "POST", "/tokens", "token.create", "Make a token; the secret is told once",
        {
            "models": TEXTS, "role": {"enum": ["viewer", "operator", "approver"]},
            "expires": TEXT | {"description": "a span such as 90d"}, "name": TEXT,
        },
        (), 201,
    ),
    Route("DELETE", "/tokens/{id}", "token.revoke", "End a token at once"),
    Route("GET", "/audit", "audit.ls", "The newest entries of the audit chain",
          {"limit": INTEGER, "before": INTEGER}),
    Route("GET", "/audit/verification", "audit.verify", "Check the whole chain"),
    Route("POST", "/audit/export", "audit.export", "All entries, oldest first"),
    Route("GET", "/users", "user.ls", "Everybody who may sign in"),
    Route(
        "POST", "/users", "user.add", "Make a user; the one-time password is told once",
        {"name": TEXT, "role": {"enum": ["viewer", "operator", "approver", "admin"]}}, ("name", "role"), 201,
    ),
    Route(
        "PATCH", "/users/{user}", "user.role", "Give a user another role",
        {"role": {"enum": ["viewer", "operator", "approver", "admin"]}}, ("role",),
    ),
    Route("POST", "/users/{user}/password", "user.reset", "Give a user a new one-time password"),
    Route("DELETE", "/users/{user}", "user.rm", "Remove a user"),
    Route("GET", "/roles", "role.ls", "What each role may do"),
    Route("GET", "/sessions", "session.ls", "Signed-in browsers"),
    Route("DELETE", "/sessions/{session}", "session.revoke", "End a session at once"),
    Route(
        "POST", "/account/password", "account.password", "Change one's own password",
        {"old": TEXT, "new": TEXT}, ("old", "new"),
    ),
    Route("GET", "/recovery", "recovery.show", "Whether there is a recovery key, and who checked it last"),
    Route("POST", "/recovery", "recovery.make", "Make a new recovery key; it is told once", {}, (), 201),
    Route("POST", "/recovery/check", "recovery.check", "Whether this is the recovery key",
          {"key": TEXT}, ("key",)),
    Route("GET", "/certificate", "certificate.show", "The certificate that is served, and its authority"),
    Route("GET", "/certificate/authority", "certificate.ca", "The authority's certificate (PEM)"),
    Route(
        "POST", "/certificate/renew", "certificate.renew", "Make a new certificate now",
        {"new_authority": FLAG},
    ),
    Route(
        "PUT", "/certificate", "certificate.use", "Serve a certificate of one's own",
        {"certificate": TEXT, "key": TEXT}, ("certificate", "key"),
    ),
    Route("DELETE", "/certificate", "certificate.forget", "Go back to the appliance's own certificate"),
    Route("GET", "/egress", "egress.ls", "What this machine may call, and what was called and refused"),
    Route(
        "POST", "/egress/rules", "egress.allow", "Allow an address outside",
        {"address": TEXT | {"description": "HOST or HOST:PORT"}, "purpose": TEXT}, ("address", "purpose"),
        201,
    ),
    Route("DELETE", "/egress/rules/{address}", "egress.deny", "Take the rule for HOST:PORT back"),
    Route("POST", "/egress/test", "egress.test", "Get a URL once, and say how that ended",
          {"url": TEXT}, ("url",)),
)  # fmt: skip
