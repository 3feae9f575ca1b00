"""The report as one HTML file for people: owner first, then analyst, then auditor.

Self-contained (style and plots inline), no script, light and dark, prints well. Every text from outside -
column names, labels, notes - is escaped. Reads nothing but the report's JSON and the style sheet beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from appliance.validation import figures
from appliance.validation.words import ALGORITHMS, METRICS, RULES, between, figure

MOST_MATRIX_CLASSES = 12
MOST_CONFUSIONS = 12


def html(report: Mapping[str, Any]) -> str:
    """The whole page. `report` as `report.report` makes it."""
    style = files("appliance.validation").joinpath("report.css").read_text("utf-8")
    name = f"{report['model']} {report['version']}".strip()
    body = "".join(
        (
            _opening(report, name), _rules(report), _metrics(report), _confusion(report), _plots(report),
            _importance(report), _race(report), _serving(report), _origin(report),
        )
    )  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Report: {escape(name)}</title><style>{style}</style></head><body><main>{body}"
        "<footer>Made by Falaj on this machine. This file stands alone: it loads nothing and sends nothing."
        "</footer></main></body></html>\n"
    )


def _opening(report: Mapping[str, Any], name: str) -> str:
    verdict = report["gate"]["verdict"]
    reasons = [rule["why"] for rule in report["gate"]["rules"] if rule["verdict"] == verdict != "pass"]
    why = "".join(f"<p>{escape(reason)}</p>" for reason in reasons)
    when = f" · {escape(str(report['created']))}" if report["created"] else ""
    return (
        f"<header><h1>{escape(name)}</h1>"
        f'<p class="soft">Predicts {_task(report)}{when}</p></header>'
        f'<section class="verdict {escape(verdict)}"><p class="say">{escape(report["verdict"])}</p>'
        f"{why}<p>{escape(report['meaning'])}</p></section>"
    )


def _task(report: Mapping[str, Any]) -> str:
    target = f"<strong>{escape(str(report['target']))}</strong>"
    labels = [escape(label) for label in report["labels"]]
    if report["task"] == "regression":
        return f"{target}, a number"
    if report["task"] == "binary":
        return f"{target}: {labels[1]} or {labels[0]}"
    shown = ", ".join(labels[:8]) + (" …" if len(labels) > 8 else "")
    return f"{target}, one of {len(labels)}: {shown}"


def _rules(report: Mapping[str, Any]) -> str:
    items = "".join(
        f'<li><span class="tag {escape(rule["verdict"])}">{escape(rule["verdict"])}</span>'
        f"<span><strong>{escape(RULES.get(rule['rule'], rule['rule']))}.</strong> "
        f"{escape(rule['why'])}</span></li>"
        for rule in report["gate"]["rules"]
    )
    return f'<h2>What the gate checked</h2><div class="card"><ul class="rules">{items}</ul></div>'


def _metrics(report: Mapping[str, Any]) -> str:
    cards = []
    for name, value in report["metrics"].items():
        word = METRICS[name]
        against = [("guessing", report["baseline"].get(name))]
        if report["champion"]:
            against.append((report["champion_name"] or "model in use", report["champion"].get(name)))
        others = " · ".join(
            f"{escape(who)}: {figure(one['value'], word.share)}" for who, one in against if one is not None
        )
        span = f'<p class="soft">most likely {between(value, word.share)}</p>' if between(value) else ""
        cards.append(
            f'<div class="card"><h3>{word.plain} <span class="term">({word.term})</span></h3>'
            f'<p class="big">{figure(value["value"], word.share)}</p>{span}'
            f'<p class="soft">{others}</p><p class="soft">{word.reading}</p></div>'
        )
    rows, draws = report["holdout"]["rows"], report["holdout"]["resamples"]
    note = (
        f"Measured on {rows:,} rows kept aside from training (hold-out). The ranges are 95 % intervals from "
        f"{draws:,} random redraws of these rows (bootstrap)."
    )
    return f'<h2>How good it is</h2><div class="cards">{"".join(cards)}</div><p class="soft">{note}</p>'


def _confusion(report: Mapping[str, Any]) -> str:
    table = report["plots"].get("confusion")
    if not table:
        return ""
    labels = report["labels"]
    title = '<h2>Where it is right and wrong <span class="term">(confusion matrix)</span></h2>'
    if len(labels) > MOST_MATRIX_CLASSES:
        pairs = [
            (table[a][b], labels[a], labels[b])
            for a in range(len(labels)) for b in range(len(labels)) if a != b and table[a][b]
        ]  # fmt: skip
        worst = sorted(pairs, key=lambda pair: -pair[0])[:MOST_CONFUSIONS]
        rows = [[escape(a), escape(b), f"{count:,}"] for count, a, b in worst]
        head = ["really", "taken for", "rows"]
        return title + f'<div class="card one">{_table(head, rows, numeric=(2,))}</div>'
    top = "".join(f"<th>{escape(label)}</th>" for label in labels)
    body = ""
    for label, row in zip(labels, table, strict=True):
        total = max(1, sum(row))
        cells = "".join(
            f'<td style="--heat:{70 * cell / total:.0f}">{cell:,}<br><span class="soft">'
            f"{f'{100 * cell / total:.0f} %' if cell else ''}</span></td>"
            for cell in row
        )
        body += f"<tr><th>{escape(label)}</th>{cells}</tr>"
    return (
        f'{title}<div class="card"><p class="soft">Each line is what the rows really are, '
        "each column what the "
        'model said; the share is of the line.</p><div class="scroll"><table '
        'class="matrix"><tr><th>really ↓ said →'
        f"</th>{top}</tr>{body}</table></div></div>"
    )


def _plots(report: Mapping[str, Any]) -> str:
    cards = "".join(
        f'<div class="card"><h3>{plain} <span class="term">({term})</span></h3>'
        f'<p class="soft">{reading}</p>{svg}</div>'
        for plain, term, reading, svg in figures.of(report)
    )
    return f'<h2>Pictures</h2><div class="cards">{cards}</div>' if cards else ""


def _importance(report: Mapping[str, Any]) -> str:
    if not report["importance"]:
        return ""
    word = METRICS[report["metric"]]
    return (
        '<h2>What it goes by <span class="term">(permutation importance)</span></h2>'
        f'<div class="card one"><p class="soft">How much the {word.plain.lower()} '
        f"({word.term}) gets worse when a "
        "column's values are shuffled; the small line is its uncertainty. A column near "
        "zero could be left out. "
        "This shows what the model uses, not what causes what.</p>"
        f"{figures.importance(report)}</div>"
    )


def _race(report: Mapping[str, Any]) -> str:
    race: Sequence[Mapping[str, Any]] = report["training"].get("race") or []
    if not race:
        return ""
    word = METRICS[race[0]["metric"]]
    rows = [
        [
            escape(ALGORITHMS.get(one["algorithm"], one["algorithm"]))
            + (" <strong>✓ chosen</strong>" if one["won"] else ""),
            figure(one["score"], word.share),
            f"{one['seconds']:.1f} s",
            escape(one.get("why") or ""),
        ]
        for one in race
    ]  # fmt: skip
    head = ["Kind of model", f"{word.plain} ({word.term})", "Time", ""]
    return (
        '<h2>Which models were tried</h2><div class="card"><p class="soft">Compared on '
        "rows set aside within the "
        "training part; the hold-out took no part in the "
        f"choice.</p>{_table(head, rows, numeric=(1, 2))}</div>"
    )


def _serving(report: Mapping[str, Any]) -> str:
    rows = [
        [
            escape(f"{one['runtime']} {one.get('version') or ''}"),
            "yes" if one["ok"] else "no",
            _micro(one.get("p50_us")),
            _micro(one.get("p99_us")),
            escape(one.get("why") or ""),
        ]
        for one in report["latency"]
    ]
    head = ["Runtime", "Usable", "One answer, median", "99 of 100 within", ""]
    times = _table(head, rows, numeric=(2, 3)) if rows else '<p class="soft">Not measured.</p>'
    parity = report["parity"]
    proof = '<p class="soft">Export parity was not checked.</p>'
    if parity:
        proof = (
            f"<p>Export parity: largest difference {_power(parity.get('max_abs'))} over "
            f"{parity['rows']:,} rows, {parity['flips']} changed answers"
            f"{' (on ' + escape(str(parity['runtime'])) + ')' if parity.get('runtime') else ''}: "
            f"the exported model is {'faithful' if parity['ok'] else 'NOT faithful'}.</p>"
        )
    return f'<h2>How it answers on this machine</h2><div class="card">{times}{proof}</div>'


def _origin(report: Mapping[str, Any]) -> str:
    training = {key: value for key, value in report["training"].items() if key != "race"}
    facts = [
        *((f"data set {key}", value) for key, value in report["dataset"].items()),
        *((f"training {key.replace('_', ' ')}", value) for key, value in training.items()),
        *(report["environment"].items()),
    ]
    rows = "".join(
        f"<tr><th>{escape(str(key))}</th><td>{escape(_fact(value))}</td></tr>" for key, value in facts
    )
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in report["notes"])
    listed = f"<ul>{notes}</ul>" if notes else ""
    if not rows and not listed:
        return ""
    return (
        '<h2>Where it comes from</h2><div class="card">'
        f'{listed}<div class="scroll"><table class="facts">{rows}</table></div></div>'
    )


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_fact(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_fact(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)


def _micro(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f} µs" if value < 1000 else f"{value / 1000:.1f} ms"


def _power(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: tuple[int, ...] = ()) -> str:
    """Cells are HTML already."""

    def cell(tag: str, index: int, text: str) -> str:
        return f'<{tag} class="num">{text}</{tag}>' if index in numeric else f"<{tag}>{text}</{tag}>"

    top = "".join(cell("th", i, text) for i, text in enumerate(head))
    body = "".join("<tr>" + "".join(cell("td", i, t) for i, t in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'
