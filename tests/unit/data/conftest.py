"""Importing a table in a test, and making a small real Excel workbook without a library."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import polars as pl
import pytest

from appliance.data.options import ImportOptions
from appliance.data.snapshot import ImportedTable, import_table, read_chunks
from appliance.data.types import Kind
from appliance.errors import BadInput


@dataclass
class Imported:
    table: ImportedTable
    chunks: list[bytes]
    progress: list[tuple[float, str]] = field(default_factory=list)

    @property
    def frame(self) -> pl.DataFrame:
        return pl.concat(list(read_chunks(self.chunks)))

    @property
    def kinds(self) -> dict[str, Kind]:
        return {column.name: column.kind for column in self.table.columns}

    @property
    def notes(self) -> str:
        return "\n".join(self.table.notes)


Import = Callable[..., Imported]


def _import(content: bytes | str | Path, name: str = "table.csv", **options: Any) -> Imported:
    chunks: list[bytes] = []
    progress: list[tuple[float, str]] = []
    if isinstance(content, Path):
        content, name = content.read_bytes(), content.name
    data = content.encode() if isinstance(content, str) else content
    table = import_table(
        io.BytesIO(data),
        name,
        ImportOptions(**options),
        chunks.append,
        lambda share, what: progress.append((share, what)),
    )
    return Imported(table, chunks, progress)


@pytest.fixture(name="load")
def load_fixture() -> Import:
    return _import


@pytest.fixture(name="refused")
def refused_fixture() -> Callable[..., BadInput]:
    """Import what must be refused: gives the error, and proves that nothing was written."""

    def refused(content: bytes | str, name: str = "table.csv", **options: Any) -> BadInput:
        chunks: list[bytes] = []
        data = content.encode() if isinstance(content, str) else content
        with pytest.raises(BadInput) as caught:
            import_table(io.BytesIO(data), name, ImportOptions(**options), chunks.append, lambda _s, _w: None)
        assert chunks == []
        assert "\n" not in caught.value.message
        assert caught.value.message.endswith(".")
        assert caught.value.hint
        return caught.value

    return refused


def _cell(value: Any, place: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    if isinstance(value, ZeroDivisionError):
        return f'<c r="{place}" t="e"><v>#DIV/0!</v></c>'
    if isinstance(value, tuple):  # (days since 1899-12-30,): a date
        return f'<c r="{place}" s="1"><v>{value[0]}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def _workbook(sheets: dict[str, Sequence[Sequence[Any]]]) -> bytes:
    """The bytes of an .xlsx with these sheets; a one-element tuple is a date's serial number."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    names = "".join(
        f'<sheet name="{name}" sheetId="{i}" r:id="rId{i}"/>' for i, name in enumerate(sheets, start=1)
    )
    links = "".join(
        f'<Relationship Id="rId{i}" Type="{office}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(1, len(sheets) + 1)
    )
    styles = (
        f'<styleSheet xmlns="{main}"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>'
        '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
        '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs>'
        "</styleSheet>"
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{links}<Relationship '
        f'Id="rId99" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": styles,
    }
    for number, rows in enumerate(sheets.values(), start=1):
        body = "".join(
            f'<row r="{r}">' + "".join(_cell(v, f"{chr(64 + c)}{r}") for c, v in enumerate(row, 1)) + "</row>"
            for r, row in enumerate(rows, start=1)
        )
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in parts.items():
            archive.writestr(path, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return buffer.getvalue()


@pytest.fixture(name="workbook")
def workbook_fixture() -> Callable[[dict[str, Sequence[Sequence[Any]]]], bytes]:
    return _workbook
