"""What each column of text is, judged over the whole file and not over its first rows.

A `Guess` is fed a column piece by piece and counts what fits; `decide` then answers once. Where a
person would hesitate - nearly all numbers, dates that read both ways - it asks (BadInput with the
ways out) and never picks; a value is never dropped to make a column fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

import polars as pl

from appliance.data import casts, words
from appliance.data.options import ImportOptions
from appliance.data.pieces import Place
from appliance.data.types import DatasetColumn, Kind
from appliance.errors import BadInput

NEARLY_ALL = 0.95
SETTLED_AFTER = 1000  # values, after which a column that is mostly words is words
SAMPLE = 5000
_SAMPLE_EACH = 500
_CODE = r"^[+-]?0\d|^\+\d{7}|^00"  # 00123, 0501234567, +971501234567: written so on purpose
_LONG_WHOLE = r"^[+-]?\d{19,}$"
_LONGEST_DATE = len("31 September 2026 10:00:00.000000 AM")


@dataclass(frozen=True)
class Example:
    value: str
    place: str


@dataclass
class Guess:
    """The evidence about one column of text. `words`: its file says it is text, so no numbers in it."""

    name: str
    options: ImportOptions
    words: bool = False
    known: int = 0  # values that are not missing
    numeric: int = 0
    whole: int = 0
    coded: Example | None = None
    too_long: Example | None = None
    true_false: int = 0
    not_number: Example | None = None
    not_whole: Example | None = None
    not_boolean: Example | None = None
    low: float | None = None
    high: float | None = None
    forms: dict[casts.DateForm, int] | None = None
    not_date: dict[casts.DateForm, Example] = field(default_factory=dict)
    date_spans: dict[str, tuple[float, float]] = field(default_factory=dict)  # format: smallest, largest
    settled: bool = False
    sample: list[str] = field(default_factory=list)

    @property
    def said(self) -> Kind | None:
        return self.options.types.get(self.name)

    def update(self, text: pl.Series, place: Place) -> None:
        """Count one piece. `text` is String as it stands in the file, null where nothing stands."""
        if not self.words and not self.settled and self._all_numbers(text):
            self._keep_sample(text)
            return
        text = casts.clean(text, self.options.missing)
        self._keep_sample(text)
        count = len(text) - text.null_count()
        self.known += count
        if self.words or self.settled or not count or self.said in (Kind.CATEGORICAL, Kind.TEXT):
            return
        self._count_numbers(text, place)
        self._count_truths(text, place)
        if self.forms is None or self.forms:
            self._count_dates(text, place)
        mostly_words = self.numeric < self.known / 2 and self.true_false < self.known / 2
        self.settled = self.said is None and self.known >= SETTLED_AFTER and mostly_words and not self.forms

    def _all_numbers(self, text: pl.Series) -> bool:
        """The quick way for a piece that is nothing but plain numbers, as most numeric columns are."""
        if self.options.decimal != "." or self.options.thousands:
            return False
        if self.said not in (None, Kind.NUMBER, Kind.INTEGER):
            return False
        values = text.cast(pl.Float64, strict=False)
        if values.null_count() != text.null_count() or not values.is_finite().all():
            return False
        count = len(text) - text.null_count()
        whole = text.cast(pl.Int64, strict=False)
        if text.str.contains(_CODE).any():
            return False
        broken = whole.null_count() != text.null_count()
        if broken and (self.said is Kind.INTEGER or text.str.contains(_LONG_WHOLE).any()):
            return False
        self.whole += len(text) - whole.null_count()
        self.known += count
        self.numeric += count
        self._widen(values)
        return True

    def _widen(self, values: pl.Series) -> None:
        low, high = values.min(), values.max()
        if isinstance(low, float) and isinstance(high, float):
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)

    def _count_numbers(self, text: pl.Series, place: Place) -> None:
        values = casts.numbers(text, self.options)
        whole = casts.integers(text, self.options)
        self.numeric += len(text) - values.null_count()
        self.whole += len(text) - whole.null_count()
        self._widen(values)
        self.not_number = self.not_number or _first(text, values.is_null() & text.is_not_null(), place)
        self.not_whole = self.not_whole or _first(text, whole.is_null() & text.is_not_null(), place)
        self.coded = self.coded or _first(text, text.str.contains(_CODE).fill_null(False), place)
        self.too_long = self.too_long or _first(text, text.str.contains(_LONG_WHOLE).fill_null(False), place)

    def _count_truths(self, text: pl.Series, place: Place) -> None:
        said = self.said is Kind.BOOLEAN
        truths = casts.booleans(text, said)
        self.true_false += len(text) - truths.null_count()
        if said:
            self.not_boolean = self.not_boolean or _first(text, truths.is_null() & text.is_not_null(), place)

    def _count_dates(self, text: pl.Series, place: Place) -> None:
        if self.forms is None:
            self.forms = _likely_forms(text.drop_nulls().head(200))
            if self.known > len(text) - text.null_count():  # earlier pieces were numbers: no dates
                self.forms = {}
        for form, fitted in list(self.forms.items()):
            found = casts.moments(text, form.format)
            self.forms[form] = fitted + len(text) - found.null_count()
            self._widen_dates(form.format, found.to_physical())
            if form not in self.not_date:
                bad = _first(text, found.is_null() & text.is_not_null(), place)
                if bad is not None:
                    self.not_date[form] = bad
            if self.forms[form] < self.known / 2:
                del self.forms[form]

    def _widen_dates(self, format: str, micros: pl.Series) -> None:
        low, high = micros.min(), micros.max()
        if isinstance(low, int) and isinstance(high, int):
            before = self.date_spans.get(format, (low, high))
            self.date_spans[format] = (float(min(low, before[0])), float(max(high, before[1])))

    def _keep_sample(self, text: pl.Series) -> None:
        room = min(SAMPLE - len(self.sample), _SAMPLE_EACH if self.sample else SAMPLE // 2)
        if room > 0:
            self.sample += text.head(4 * room).drop_nulls().head(room).to_list()

    def decide(self) -> tuple[DatasetColumn, list[str]]:
        """The column and what to tell its owner about it. Raises BadInput where only the owner knows."""
        if self.said is not None:
            return self._as_said(self.said), []
        if self.known == 0:
            return DatasetColumn(self.name, Kind.CATEGORICAL), [f"'{self.name}' has no values at all."]
        if not self.words and not self.settled:
            if self.true_false == self.known:
                return DatasetColumn(self.name, Kind.BOOLEAN), []
            numeric = self._as_number()
            if numeric is not None:
                return numeric
            date = self._as_date()
            if date is not None:
                return DatasetColumn(self.name, Kind.DATETIME, date.format), self._date_notes(date)
        return DatasetColumn(self.name, words.kind_of(self.sample)), self._hints()

    def _as_number(self) -> tuple[DatasetColumn, list[str]] | None:
        words = DatasetColumn(self.name, Kind.CATEGORICAL)
        if self.coded is not None:
            if self.numeric < NEARLY_ALL * self.known:
                return None
            return words, [
                f"'{self.name}' is taken as codes, not numbers: it has values like {self.coded.value!r}."
            ]
        if self.numeric == self.known:
            if self.whole == self.known:
                return DatasetColumn(self.name, Kind.INTEGER), []
            if self.too_long is not None:
                return words, [
                    f"'{self.name}' is taken as codes: {self.too_long.value} is too long for an exact number."
                ]
            return DatasetColumn(self.name, Kind.NUMBER), []
        if self.numeric >= NEARLY_ALL * self.known:
            self._ask_nearly_numbers()
        return None

    def _ask_nearly_numbers(self) -> NoReturn:
        assert self.not_number is not None
        count, bad = self.known - self.numeric, self.not_number
        ways = [f"--missing {_quoted(bad.value)}", f"--type {_quoted(self.name + '=categorical')}"]
        notation = words.number_notation([bad.value])
        if notation is not None:
            ways.insert(0, notation.option)
        are = "value is" if count == 1 else "values are"
        raise BadInput(
            f"The column '{self.name}' is nearly all numbers, but {count} {are} not: "
            f"{bad.value!r} in {bad.place}.",
            f"Correct the file, or say what is meant: {' or '.join(ways)}.",
            column=self.name,
        )

    def _as_date(self) -> casts.DateForm | None:
        forms = self.forms or {}
        fitting = [form for form, count in forms.items() if count == self.known]
        wanted = self.options.dates
        usable = [form for form in fitting if not wanted or form.order in ("", wanted)]
        if usable:
            if len({form.order for form in usable}) > 1:
                self._ask_order()
            return usable[0]
        if fitting:
            bad = next((b for form, b in self.not_date.items() if form.order == wanted), None)
            shown = f": {bad.value!r} in {bad.place}" if bad else f", for example {self.sample[0]!r}"
            raise BadInput(
                f"The dates in '{self.name}' are not {wanted}{shown}.",
                f"Leave --dates {wanted} out, or correct the file.",
                column=self.name,
            )
        best = max(forms, key=lambda form: forms[form], default=None)
        if best is not None and forms[best] >= NEARLY_ALL * self.known:
            bad = self.not_date[best]
            count = self.known - forms[best]
            raise BadInput(
                f"The column '{self.name}' is nearly all dates, but {count} "
                f"{'value is' if count == 1 else 'values are'} not: {bad.value!r} in {bad.place}.",
                f"Correct the file, or say what is meant: --missing {_quoted(bad.value)} or "
                f"--type {_quoted(self.name + '=categorical')}.",
                column=self.name,
            )
        return None

    def _ask_order(self) -> NoReturn:
        example = self.sample[0] if self.sample else ""
        raise BadInput(
            f"The dates in '{self.name}' can be read in two ways: {example!r} may begin with day or month.",
            "Say which it is: --dates day-first or --dates month-first.",
            column=self.name,
        )

    def _date_notes(self, form: casts.DateForm) -> list[str]:
        if not form.order:
            return []
        why = "as asked" if self.options.dates else "no other order fits all of them"
        return [f"The dates in '{self.name}' are read {form.order} ({form.format}): {why}."]

    def _as_said(self, kind: Kind) -> DatasetColumn:
        bad, format = None, ""
        match kind:
            case Kind.NUMBER:
                bad = self.not_number
            case Kind.INTEGER:
                bad = self.not_whole
            case Kind.BOOLEAN:
                bad = self.not_boolean
            case Kind.DATETIME:
                form = self._as_date()
                if form is None:
                    bad = next(iter(self.not_date.values()), None) or self.not_number
                    bad = bad or (Example(self.sample[0], "the first row") if self.sample else None)
                format = form.format if form else ""
        if bad is not None:
            raise BadInput(
                f"The column '{self.name}' is not all of kind {kind.value}: {bad.value!r} in {bad.place}.",
                f"Correct the file, or use --missing {_quoted(bad.value)} if it stands for no value.",
                column=self.name,
            )
        return DatasetColumn(self.name, kind, format)

    def _hints(self) -> list[str]:
        notation = words.number_notation(self.sample)
        if notation is not None:
            return [
                f"'{self.name}' looks like {notation.shown}; "
                f"import it again with {notation.option} to read it so."
            ]
        bad = self.not_number
        if bad is not None and self.coded is None and self.numeric >= self.known / 2:
            count = f"{self.known - self.numeric} of its {self.known} values"
            return [
                f"'{self.name}' is taken as categories: {count} are no numbers "
                f"({bad.value!r} in {bad.place})."
            ]
        return []


def _first(text: pl.Series, mask: pl.Series, place: Place) -> Example | None:
    at = mask.arg_true().head(1) if mask.any() else None
    return None if at is None else Example(str(text[int(at[0])]), place(int(at[0])))


def _likely_forms(sample: pl.Series) -> dict[casts.DateForm, int]:
    """The date forms that fit at least half of the first values."""
    dated = sample.str.contains(r"\d.*[-/. ].*\d") & (sample.str.len_chars() <= _LONGEST_DATE)
    if not len(sample) or dated.sum() < len(sample) / 2:
        return {}
    most = len(sample) / 2
    return {form: 0 for form in casts.date_forms() if casts.moments(sample, form.format).null_count() <= most}


def _quoted(text: str) -> str:
    """As one types it in a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
