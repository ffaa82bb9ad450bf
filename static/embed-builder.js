// The builder follows its form: fetch the page for the new choices and put its preview and snippets in place.
const form = document.getElementById("builder");
const announcement = document.getElementById("announce");
let pending;

function query() {
  const params = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value.trim() && value !== form.elements[name].dataset?.default) params.append(name, value.trim());
  }
  return params;
}

function showCopyButtons() {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

async function refresh() {
  pending?.abort();
  pending = new AbortController();
  const address = `${form.getAttribute("action")}?${query()}`;
  try {
    const response = await fetch(address, { signal: pending.signal, headers: { accept: "text/html" } });
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of form.parentElement.querySelectorAll("[data-live]")) {
      const fresh = next.getElementById(part.id);
      if (fresh) part.replaceWith(document.adoptNode(fresh));
    }
  } catch (problem) {
    if (problem.name !== "AbortError") location.assign(address);
    return;
  }
  history.replaceState(null, "", address);
  showCopyButtons();
}

form.addEventListener("change", refresh);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard?.writeText(document.getElementById(button.dataset.copy).textContent);
  announcement.textContent = button.dataset.done;
  const words = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = words; }, 1500);
});

showCopyButtons();
