// The result follows the form: fetch the same page for the form's query, put its live parts in place, keep the address in
// step. Without this script the Update button does the same by loading the page.
const form = document.getElementById("run");
const announcement = document.getElementById("announce");
const TYPING_PAUSE_MS = 250;
let pending;
let timer;
/** The query last asked for: leaving a field that was already answered must not replace the page under a click. */
let asked;

/** The form as a query: nothing empty, nothing that only repeats a default. */
function query() {
  const params = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value.trim() && value !== form.elements[name].dataset?.default) params.append(name, value.trim());
  }
  return params;
}

/** The words that name an open fold, by which it is found again in the new page. */
const foldName = (fold) => fold.querySelector("summary").firstChild.textContent;

function put(next) {
  const top = form.getBoundingClientRect().top;
  const open = new Set([...document.querySelectorAll("#results details[open]")].map(foldName));
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = next.getElementById(part.id);
    if (fresh && !part.isEqualNode(fresh)) part.replaceWith(document.adoptNode(fresh));
  }
  for (const fold of document.querySelectorAll("#results details")) {
    if (open.size) fold.open = open.has(foldName(fold));
  }
  for (const control of form.querySelectorAll("[aria-describedby]")) {
    const error = document.getElementById(`${control.id}-error`);
    if (error?.textContent) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
  document.title = next.title;
  // What stands above the form may have grown: keep the form where the reader's eyes are.
  scrollBy(0, form.getBoundingClientRect().top - top);
}

async function refresh() {
  clearTimeout(timer);
  pending?.abort();
  pending = new AbortController();
  asked = query().toString();
  const address = `${form.getAttribute("action")}?${asked}`;
  try {
    const response = await fetch(address, { signal: pending.signal, headers: { accept: "text/html" } });
    if (!response.ok && response.status !== 422) throw new Error(response.statusText);
    put(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch (problem) {
    if (problem.name === "AbortError") return;
    asked = undefined;
    announcement.textContent = form.dataset.offline;
    return;
  }
  const verdict = document.getElementById("verdict");
  history.replaceState(null, "", verdict.dataset.permalink || address);
  announcement.textContent = verdict.querySelector("h1").textContent;
  remember();
}

// What was tried in this visit, the latest first; the browser forgets it with the tab.
const MOST_KEPT = 20;

function remember() {
  const verdict = document.getElementById("verdict");
  const fold = document.getElementById("visit");
  const link = verdict.dataset.permalink;
  let tried = [];
  try {
    tried = JSON.parse(sessionStorage.getItem("tried") ?? "[]");
    if (link) {
      const words = `${verdict.querySelector(".say p").textContent.split(". ")[0]}: ${verdict.querySelector("h1").textContent}`;
      tried = [[link, words], ...tried.filter(([known]) => known !== link)].slice(0, MOST_KEPT);
      sessionStorage.setItem("tried", JSON.stringify(tried));
    }
  } catch { /* Storage is refused or full: nothing is kept. */ }
  if (!fold) return;
  fold.hidden = tried.length < 2;
  fold.querySelector("ul").replaceChildren(...tried.map(([address, words]) => {
    const item = document.createElement("li");
    const anchor = document.createElement("a");
    anchor.href = address;
    anchor.textContent = words;
    item.append(anchor);
    return item;
  }));
}
remember();

form.addEventListener("input", (event) => {
  // A half-typed model is not an error; it counts once it is chosen or left.
  if (event.target.name === "model") return;
  clearTimeout(timer);
  timer = setTimeout(refresh, TYPING_PAUSE_MS);
});
form.addEventListener("change", () => {
  if (query().toString() !== asked) refresh();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});

// Copy buttons work only with a script, so only a script shows them.
function showCopyButtons() {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}
new MutationObserver(showCopyButtons).observe(document.getElementById("main"), { childList: true, subtree: true });
showCopyButtons();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  source.select?.();
  await navigator.clipboard?.writeText(source.value ?? source.textContent);
  announcement.textContent = button.dataset.done;
  const words = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = words; }, 1500);
});
