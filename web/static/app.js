// What every page needs beyond HTML: the CSRF header of htmx, uploads with progress, copying, dialogs, local times,
// and one quiet voice for screen readers. Listens on the document, so parts that htmx swaps in need no set-up.

const words = JSON.parse(document.body.dataset.words);
const csrf = () => document.querySelector("meta[name=csrf]").content;

// A polite live region must be in the page before its text changes, so there is one for all.
let lastSaid = "";
function say(text) {
  if (text && text !== lastSaid) document.getElementById("announce").textContent = text;
  lastSaid = text;
}

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = csrf();
});

// Polling goes on when the server is away for a moment; the page says so instead of showing old news as new.
for (const trouble of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(trouble, (event) => {
    event.target.closest?.(".polled")?.setAttribute("data-lost", words.lost);
    say(words.lost);
  });
}

// A part that came as it was before is left alone: what is open, sorted or under the keyboard stays so. One that
// has changed keeps what was open.
const polledBefore = new Map();
let opened = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target;
  if (!part.classList.contains("polled")) return;
  if (polledBefore.get(part.id) === event.detail.serverResponse) event.detail.shouldSwap = false;
  polledBefore.set(part.id, event.detail.serverResponse);
  opened = [...part.querySelectorAll("details[id][open]")].map((one) => one.id);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) event.target.closest?.(".polled")?.removeAttribute("data-lost");
});

// htmx:load comes once for the page and once for each part swapped in.
document.addEventListener("htmx:load", (event) => enhance(event.detail.elt));

function enhance(root) {
  const moments = root.matches?.("time[datetime]") ? [root] : root.querySelectorAll("time[datetime]");
  moments.forEach(showLocal);
  const told = root.closest?.("[data-announce]") ?? root.querySelector?.("[data-announce]");
  if (told && root !== document.body) say(told.dataset.announce);
}

const spoken = document.documentElement.lang;
const moment = new Intl.DateTimeFormat(spoken === "en" ? "en-GB" : spoken, { dateStyle: "medium", timeStyle: "short" });
function showLocal(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  // Where a table is narrow the time may stand below the date, but neither breaks within.
  element.textContent = moment.formatToParts(at)
    .map(({ type, value }, nth, all) => (type === "literal" && all[nth + 1]?.type === "hour" ? value : value.replaceAll(" ", "\u00a0")))
    .join("");
  element.title = element.dateTime;
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  // A click on the dialog itself is one on the darkened page around its article.
  if (event.target instanceof HTMLDialogElement) event.target.close();
  const copier = event.target.closest("[data-copy]");
  if (copier) copy(copier);
});

async function copy(button) {
  const label = button.querySelector("span") ?? button;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    // No clipboard without TLS: select the text, so that the keyboard can copy it.
    const code = button.parentElement.querySelector("code");
    if (code) getSelection().selectAllChildren(code);
    return;
  }
  const before = label.dataset.before ??= label.textContent;
  label.textContent = words.copied;
  say(words.copied);
  setTimeout(() => { label.textContent = before; lastSaid = ""; }, 2000);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.submitter?.getAttribute("formmethod") === "dialog") return;
  if (form.matches("[data-upload]")) {
    event.preventDefault();
    upload(form, event.submitter);
    return;
  }
  // A second click must not do it twice; a page that comes back from the browser's cache is usable again.
  if (form.method === "post" && !form.hasAttribute("hx-post")) {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    // Where the answer is a file to save, the page stays and the form is wanted again.
    setTimeout(() => delete form.dataset.sent, 3000);
  }
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// fetch() can't tell how much has been sent; XMLHttpRequest can.
function upload(form, submitter) {
  const state = form.querySelector("[data-state]");
  const bar = document.createElement("progress");
  const text = document.createElement("span");
  const label = document.createElement("label");
  label.className = "progress";
  label.append(text, bar);
  state.replaceChildren(label);
  text.textContent = words.uploading;
  bar.max = 1;
  bar.value = 0;
  if (submitter) submitter.disabled = true;

  const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
  const request = new XMLHttpRequest();
  request.upload.onprogress = ({ loaded, total }) => {
    bar.value = loaded / total;
    text.textContent = `${words.uploading} ${percent.format(loaded / total)}`;
  };
  request.upload.onload = () => {
    bar.removeAttribute("value");
    text.textContent = words.checking;
  };
  const fail = (reason) => {
    text.textContent = reason;
    bar.remove();
    if (submitter) submitter.disabled = false;
  };
  request.onload = () => {
    if (request.getResponseHeader("content-type")?.startsWith("text/html")) arrive(request);
    else fail(refusal(request.responseText)); // from the door itself, which has no pages
  };
  request.onerror = () => fail(words.upload_failed);
  request.open("POST", form.action);
  request.setRequestHeader("X-CSRF-Token", csrf());
  request.setRequestHeader("Accept", "text/html");
  request.send(new FormData(form, submitter));
}

function refusal(text) {
  try {
    const { error, hint } = JSON.parse(text);
    return `${error} ${hint}`;
  } catch {
    return words.upload_failed;
  }
}

// The answer, redirects followed, is the next page: show that very answer, since asking again would lose its notice.
function arrive(request) {
  if (request.status < 400) history.replaceState(null, "", request.responseURL);
  window.htmx.swap(document.body, request.responseText, { swapStyle: "innerHTML", swapDelay: 0, settleDelay: 0 });
  document.getElementById("content")?.focus();
  scrollTo(0, 0);
}
