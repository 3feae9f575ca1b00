"""Every shell block of the documentation is run, in order, against a real appliance.

The pages go on from each other, as a reader does: README first, then those of the index. Each page is one
shell that stops at its first error; an HTTP error counts as one. Only the ports are replaced.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.appliance import FALAJ, Appliance
from tests.unit.docs.pages import Block, blocks, pages

SETS_UP = ("./install.sh", "export PATH=")  # what a test can't do again: it is running inside of it
STRICT = """\
set -euo pipefail
curl() { command curl --fail-with-body --show-error "$@"; }
"""


def shell_blocks(page: Path) -> list[Block]:
    found = [block for block in blocks(page) if block.language == "sh"]
    return [block for block in found if not block.text.startswith(SETS_UP)]


def test_what_the_pages_tell_to_type_works(appliance_of_the_reader: Appliance, tmp_path: Path) -> None:
    assert shutil.which("curl"), "curl is needed to run what the documentation shows"
    environment = appliance_of_the_reader.environment
    environment["PATH"] = f"{Path(FALAJ).parent}{os.pathsep}{environment['PATH']}"
    ran = 0
    for page in pages():
        script = STRICT
        for block in shell_blocks(page):
            script += f"echo '@@ {block}'\n{block.text}"
            ran += 1
        script = script.replace("127.0.0.1:7601", f"127.0.0.1:{appliance_of_the_reader.port}")
        script = script.replace("127.0.0.1:7600", f"127.0.0.1:{appliance_of_the_reader.admin_port}")
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        last = done.stdout.rpartition("@@ ")[2]
        assert done.returncode == 0, f"{last}\n{done.stderr}"
    assert ran >= 10
    answers = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert len(answers) == 800
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert {entry.name for entry in (tmp_path / "churn-1").iterdir()} == {"model.onnx", "signature.json"}


@pytest.fixture
def appliance_of_the_reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    made = Appliance(tmp_path_factory.mktemp("reader") / "home").start()
    yield made
    made.stop()
