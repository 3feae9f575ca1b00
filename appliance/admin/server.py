"""The Flask application of the admin role."""

from __future__ import annotations

from typing import Any

from flask import Flask, jsonify
from werkzeug.exceptions import HTTPException

from appliance.app import App
from appliance.errors import FalajError, Unavailable
from appliance.verbs import perform
from appliance.verbs.call import Call


def build(app: App) -> Flask:
    """Routes of the admin port, given the appliance."""
    flask = Flask("falaj-admin", static_folder=None)

    @flask.get("/healthz")
    def healthz() -> dict[str, bool]:
        return {"live": True}

    @flask.get("/readyz")
    def readyz() -> dict[str, bool]:
        if not perform(app, Call("status", "system"))["ready"]:
            raise Unavailable("Not every part of the appliance is ready.", "See: falaj status")
        return {"ready": True}

    @flask.errorhandler(FalajError)
    def told(error: FalajError) -> Any:
        return jsonify(error.as_json()), error.status

    @flask.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        hint = "The admin page is not built yet; use the falaj command." if error.code == 404 else ""
        return jsonify({"error": str(error.name), "hint": hint}), error.code or 500

    return flask
