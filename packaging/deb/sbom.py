"""Print the package's bill of materials, CycloneDX 1.6: sbom.py SITE REPORT WEB."""

from __future__ import annotations

import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import parts

from appliance import __version__


def main() -> None:
    site, report, web = map(Path, sys.argv[1:])
    components = [component(one) for one in [*parts.of_python(site, report), *parts.of_the_pages(web)]]
    falaj = f"pkg:deb/falaj@{__version__}"
    content = json.dumps(components, sort_keys=True)
    built = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # the same content has the same number
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, falaj + content)}",
        "version": 1,
        "metadata": {
            "timestamp": built.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": falaj,
                "name": "falaj",
                "version": __version__,
                "purl": falaj,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": [{"ref": falaj, "dependsOn": [one["bom-ref"] for one in components]}],
    }
    print(json.dumps(bill, indent=1))


def component(part: parts.Part) -> dict[str, Any]:
    purl = f"pkg:{part.kind}/{quote(part.name)}@{part.version}"
    named = part.licence == "public-domain"  # which is no SPDX name
    return {
        "type": "library",
        "bom-ref": purl,
        "name": part.name,
        "version": part.version,
        "purl": purl,
        "hashes": [{"alg": part.algorithm, "content": part.digest}],
        "licenses": [{"license": {"name": part.licence}}] if named else [{"expression": part.licence}],
    }


if __name__ == "__main__":
    main()
