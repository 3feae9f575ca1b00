"""The documentation says what the code does: all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from appliance import __version__
from appliance.admin import navigation
from appliance.cli import main as falaj
from appliance.config import settings
from appliance.errors import FalajError
from appliance.inference import routes
from appliance.inference.bodies import BodyTooSlow
from appliance.inference.endpoint import HANGS_UP
from appliance.inference.routes import Door
from docs import generate
from tests.conftest import ROOT
from tests.unit.docs.pages import INDEX, anchors, blocks, linked, links, mentions, pages, site_of_a_new_home

WRITTEN = [page for page in pages() if page.name not in generate.PAGES]
TEMPLATES = {
    Door.LIVE: ["/healthz"],
    Door.READY: ["/readyz"],
    Door.METRICS: ["/metrics"],
    Door.SERVER: ["/v2"],
    Door.V2_LIVE: ["/v2/health/live"],
    Door.V2_READY: ["/v2/health/ready"],
    Door.MODELS: ["/v2/models"],
    Door.MODEL: ["/v2/models/MODEL"],
    Door.MODEL_READY: ["/v2/models/MODEL/ready"],
    Door.INFER: ["/v2/models/MODEL/infer"],
    Door.PREDICT: ["/predict/MODEL"],
}


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == generate.PAGES[name](), "run: python -m docs.generate"


def test_every_command_and_option_has_its_help() -> None:
    for path, command in generate.commands(falaj):
        assert command.help, path
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{path} {option.opts[0]}"


def test_no_line_of_the_map_is_cut_off() -> None:
    def groups(group: click.Group) -> list[click.Group]:
        below = [one for one in group.commands.values() if isinstance(one, click.Group)]
        return [group, *(found for one in below for found in groups(one))]

    for group in groups(falaj):
        told = group.get_help(click.Context(group, info_name="falaj", terminal_width=80))
        assert "..." not in told.partition("Commands:")[2], told


def test_every_command_is_on_a_page_that_somebody_wrote() -> None:
    said = {tuple(words) for page in WRITTEN for words in mentions(page)}
    for path, _ in generate.commands(falaj):
        words = tuple(path.split())
        assert any(one[: len(words)] == words for one in said), f"no page tells of '{path}'"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    for words in mentions(page):
        command: click.Command = falaj
        rest = words[1:]
        context = click.Context(falaj)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-") and rest[0].islower():
            found = command.get_command(context, rest[0])
            assert found is not None, f"{page.name}: {' '.join(words)}"
            command, rest = found, rest[1:]
        known = {name for one in command.params for name in one.opts} | {"--help", "-h"}
        given = {word.partition("=")[0] for word in rest if re.fullmatch(r"--?[a-z-]+(=.*)?", word)}
        assert given <= known, f"{page.name}: {' '.join(words)}"


def test_every_setting_that_a_page_names_exists() -> None:
    known = {f"{section}.{key}" for section, key, *_ in settings()}
    known |= {f"FALAJ_{section}_{key}".upper() for section, key, *_ in settings()}
    known |= {"FALAJ_HOME", "FALAJ_RUN_DIR", "FALAJ_PICTURES", "FALAJ_PACKAGE"}
    sections = "|".join(sorted({section for section, *_ in settings()}))
    for page in pages():
        named = re.findall(
            rf"(?<![\w/.])(?:{sections})\.(?!(?:py|md|json|db)\b)[a-z][a-z_]+|FALAJ_[A-Z_]+", page.read_text()
        )
        assert set(named) <= known, page.name


def test_every_status_is_explained() -> None:
    def tree(kind: type[FalajError]) -> set[int]:
        return {kind.status}.union(*(tree(one) for one in kind.__subclasses__()))

    assert BodyTooSlow.status in HANGS_UP
    every = tree(FalajError) | HANGS_UP | {405}
    told = set(map(int, re.findall(r"^\| (\d{3}) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)))
    assert told == every | {200}
    endpoint = (ROOT / "docs/serving.md").read_text()
    told_there = set(map(int, re.findall(r"^\| (\d{3}) \|", endpoint, re.MULTILINE)))
    assert told_there < told
    assert told_there | {200, 409, 499, 507} == told


def test_every_address_of_the_endpoint_is_documented() -> None:
    assert set(TEMPLATES) == set(Door)
    said = (ROOT / "docs/serving.md").read_text()
    for door, paths in TEMPLATES.items():
        for path in paths:
            assert routes.find(path).door is door
            assert (
                re.search(rf"{re.escape(path)}(?![/\w])", said) or f"`{path.removeprefix('/v2')}`" in said
            ), path
    assert {*routes._FIXED} <= {path for paths in TEMPLATES.values() for path in paths}


def test_every_page_of_the_navigation_is_documented() -> None:
    said = (ROOT / "docs/admin-page.md").read_text()
    for href, label, *_ in navigation.PAGES:
        assert f"| {label} | `{href}` |" in said, href


def test_every_request_of_the_management_api_is_documented() -> None:
    said = (ROOT / "docs/api.md").read_text()
    for rule in site_of_a_new_home().url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            path = generate.shown(rule.rule.replace("<", "{").replace(">", "}"))
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                assert f"`{method} {path}`" in said or path in said, path


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        assert "://" not in target, f"{page.name}: {target} leads out of the repository"
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(found), f"{page.name}: {target}"


def test_every_page_is_in_the_index() -> None:
    assert set(linked(INDEX)) | {INDEX} == set(pages())
    assert INDEX in linked(ROOT / "README.md")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_fits_any_machine(page: Path) -> None:
    """No path or address of the machine it was written on, and no block that only looks as if it were run."""
    text = page.read_text()
    assert not re.search(
        r"/work/|/root\b|/home/|/tmp/|pypi|localhost|https?://(?!127\.0\.0\.1:|192\.168\.1\.20:)", text
    ), page.name
    assert {block.language for block in blocks(page)} <= {"sh", "json", "toml"}
    assert text.count("\n```") % 2 == 0 or text.startswith("```")


def test_the_changes_begin_with_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__
