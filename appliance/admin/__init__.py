"""The admin page: server-rendered views of the same verbs that the command line and the API have."""

from appliance.admin import (
    account,
    alerts,
    assets,
    audit,
    checks,
    datasets,
    deployments,
    entry,
    jobs,
    models,
    monitoring,
    network,
    outside,
    overview,
    people,
    programs,
    settings,
    training,
    trying,
)
from appliance.admin.rendering import error_page, install

BLUEPRINTS = [
    one.blueprint
    for one in (
        assets,
        entry,
        overview,
        datasets,
        training,
        models,
        trying,
        deployments,
        monitoring,
        alerts,
        jobs,
        audit,
        people,
        programs,
        account,
        network,
        outside,
        settings,
        checks,
    )
]

__all__ = ["BLUEPRINTS", "error_page", "install"]
