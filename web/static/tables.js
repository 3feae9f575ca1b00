// Tables that sort and filter. Without script they are plain tables. What to sort by is a cell's data-value, else its text.

const words = JSON.parse(document.body.dataset.words);
const lang = document.documentElement.lang;
const collator = new Intl.Collator(lang, { numeric: true, sensitivity: "base" });
const count = new Intl.NumberFormat(lang);

document.addEventListener("htmx:load", (event) => {
  const root = event.detail.elt;
  const tables = root.matches?.("table[data-sort]") ? [root] : root.querySelectorAll("table[data-sort]");
  tables.forEach(enhance);
});

function enhance(table) {
  if (table.dataset.ready) return;
  table.dataset.ready = "yes";
  table.querySelectorAll("thead th[data-kind]").forEach((head) => {
    if (head.dataset.kind) addSorting(table, head);
  });
  const box = table.closest(".table")?.querySelector("[data-filter]");
  if (box) addFilter(table, box);
}

// A button inside the header is what keyboards and screen readers expect; aria-sort on the header says how it stands.
function addSorting(table, head) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "sort";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    head.parentElement.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction);
    sort(table, head.cellIndex, head.dataset.kind, direction === "ascending" ? 1 : -1);
  });
}

function sort(table, column, kind, sign) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: key(row.cells[column], kind) }));
  rows.sort((a, b) => {
    // What has no value stays at the end, whichever way the rest is sorted.
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return sign * (typeof a.key === "number" ? a.key - b.key : collator.compare(a.key, b.key));
  });
  body.append(...rows.map(({ row }) => row));
}

function key(cell, kind) {
  const text = (cell?.dataset.value ?? cell?.querySelector("time")?.dateTime ?? cell?.textContent ?? "").trim();
  if (!text || text === "–") return null;
  if (kind === "text") return text.slice(0, 500);
  const value = kind === "date" ? Date.parse(text) : Number(text.replace(/[\s,%]/g, ""));
  return Number.isNaN(value) ? null : value;
}

function addFilter(table, box) {
  const rows = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLocaleLowerCase(lang)]);
  const shown = box.closest(".filter").querySelector("[data-shown]");
  const apply = () => {
    const wanted = box.value.toLocaleLowerCase(lang).split(/\s+/).filter(Boolean);
    let left = 0;
    for (const [row, text] of rows) {
      row.hidden = !wanted.every((word) => text.includes(word));
      left += row.hidden ? 0 : 1;
    }
    shown.textContent = wanted.length
      ? words.shown.replace("{shown}", count.format(left)).replace("{all}", count.format(rows.length))
      : "";
  };
  box.addEventListener("input", apply);
  // The browser may have kept the box's text over a reload.
  if (box.value) apply();
}
