// The model's input as a combobox over the catalogue (WAI-ARIA "list autocomplete with manual selection").
// Without this script the input has the browser's own list of names.
const input = document.getElementById("f-model");
const SEARCH_PAUSE_MS = 120;
const MOST_FOUND = 8;
let timer;
let pending;
let active = -1;

const box = document.createElement("div");
box.className = "combo";
input.replaceWith(box);
box.append(input);
input.removeAttribute("list");

const list = document.createElement("ul");
list.id = "model-list";
list.className = "list";
list.role = "listbox";
list.hidden = true;
list.setAttribute("aria-label", document.querySelector(`label[for="${input.id}"]`).textContent.trim());
box.append(list);

for (const [name, value] of Object.entries({
  role: "combobox",
  "aria-autocomplete": "list",
  "aria-controls": list.id,
  "aria-expanded": "false",
  spellcheck: "false",
})) input.setAttribute(name, value);

/** No later answer may change the list under the reader's hand. */
function settle() {
  clearTimeout(timer);
  pending?.abort();
}

function close() {
  settle();
  list.hidden = true;
  active = -1;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function mark(index) {
  settle();
  const options = list.children;
  active = (index + options.length) % options.length;
  for (const [position, option] of [...options].entries()) {
    option.setAttribute("aria-selected", String(position === active));
  }
  options[active].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", options[active].id);
}

function choose(option) {
  input.value = option.dataset.name;
  close();
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function show(models) {
  list.replaceChildren(...models.map((model, index) => {
    const option = document.createElement("li");
    option.id = `model-option-${index}`;
    option.role = "option";
    option.dataset.name = model.name;
    option.setAttribute("aria-selected", "false");
    const id = document.createElement("small");
    id.textContent = model.hf_id;
    option.append(model.name, id);
    return option;
  }));
  list.hidden = !models.length;
  active = -1;
  input.setAttribute("aria-expanded", String(!list.hidden));
  input.removeAttribute("aria-activedescendant");
}

async function search() {
  pending?.abort();
  pending = new AbortController();
  const text = input.value.trim();
  if (!text) return close();
  try {
    const address = `/api/v1/models?${new URLSearchParams({ q: text, limit: MOST_FOUND })}`;
    const response = await fetch(address, { signal: pending.signal });
    if (response.ok && document.activeElement === input) show((await response.json()).items);
  } catch (problem) {
    if (problem.name !== "AbortError") close();
  }
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, SEARCH_PAUSE_MS);
});
input.addEventListener("focus", () => input.select());
input.addEventListener("blur", close);
input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) search();
    else mark(event.key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
  } else if (event.key === "Enter" && active >= 0) {
    event.preventDefault();
    choose(list.children[active]);
  } else if (event.key === "Escape" && !list.hidden) {
    event.preventDefault();
    close();
  }
});
// The list must not take the focus from the input, or blur would close it before the click arrives.
list.addEventListener("mousedown", (event) => event.preventDefault());
list.addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option) choose(option);
});
