// VRAM Fit widgets: puts a frame into every <vram-fit> and [data-vram-fit] of this page, lazily, and keeps its height.
// Attributes are the API's fields with hyphens; see docs/embedding.md. No dependency, no cookie, no inline style sheet.
(() => {
  if (window.VramFit) return;
  const base = new URL(".", document.currentScript.src);
  const SELECTOR = "vram-fit,[data-vram-fit]";
  const KINDS = { result: 420, calculator: 900, table: 400 };
  const HOST_ONLY = /^(id|class|style|slot|title|lang|dir|hidden|role|kind|vram-fit|height|aria-.*)$/;
  const NEAR = "500px";
  const MOST = 20000;
  const frames = new WeakMap();

  /** The widget's attributes by field name: data-model or, on <vram-fit>, model as well. */
  function options(host) {
    const found = {};
    for (const { name, value } of host.attributes) {
      const key = name.startsWith("data-") ? name.slice(5) : host.localName === "vram-fit" ? name : "";
      if (key && value && (key === "kind" || !HOST_ONLY.test(key))) found[key.replace(/-/g, "_")] = value;
    }
    return found;
  }

  /** Unless told otherwise a widget is as light or dark as the page around it can be. */
  function themeOf(host) {
    const computed = getComputedStyle(host).colorScheme;
    const scheme = computed === "normal" ? document.querySelector("meta[name=color-scheme]")?.content || "" : computed;
    return scheme.includes("dark") ? (scheme.includes("light") ? "auto" : "dark") : "light";
  }

  function address(host) {
    const { kind, ...fields } = options(host);
    fields.theme ||= themeOf(host);
    const known = Object.keys(KINDS).includes(kind) ? kind : "result";
    const url = new URL(`embed/${known}`, base);
    url.search = new URLSearchParams(fields);
    return { url: url.href, theme: fields.theme, kind: known };
  }

  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      const frame = frames.get(target);
      frame.src ||= frame.dataset.src;
    }
  }, { rootMargin: NEAR });

  function dress(frame, host) {
    const { url, theme, kind } = address(host);
    const px = parseInt(host.getAttribute("data-height") || host.getAttribute("height"), 10) || KINDS[kind];
    frame.title = host.title || `GPU memory for fine-tuning (${kind})`;
    // A frame shows its page's ground through only where both have the same colour scheme.
    Object.assign(frame.style, { display: "block", width: "100%", border: 0, colorScheme: theme === "auto" ? "light dark" : theme });
    frame.style.height ||= `${px}px`;
    return url;
  }

  function adopt(host) {
    if (frames.has(host)) return;
    const given = [...host.children].find((child) => child.localName === "iframe");
    const frame = given || document.createElement("iframe");
    if (host.localName === "vram-fit") host.style.display = "block";
    frames.set(host, frame);
    if (given) {
      if (given.height) given.style.height = `${parseInt(given.height, 10)}px`;
      Object.assign(given.style, { display: "block", border: 0 });
      // It may have spoken before anybody listened.
      given.contentWindow?.postMessage({ source: "vram-fit-host" }, "*");
    } else {
      frame.dataset.src = dress(frame, host);
      host.replaceChildren(frame);
      near.observe(host);
    }
    new MutationObserver(() => {
      const url = dress(frame, host);
      if (url === frame.dataset.src) return;
      frame.dataset.src = url;
      if (frame.src) frame.src = url;
    }).observe(host, { attributes: true });
  }

  function scan() {
    document.querySelectorAll(SELECTOR).forEach(adopt);
  }

  addEventListener("message", ({ data, origin, source }) => {
    if (!data || data.source !== "vram-fit" || (origin !== base.origin && origin !== "null")) return;
    for (const host of document.querySelectorAll(SELECTOR)) {
      const frame = frames.get(host);
      // A message counts only from the window of the very frame that it is about.
      if (!frame || frame.contentWindow !== source) continue;
      const { source: _, event, ...detail } = data;
      if (event === "resize" && detail.height > 0) frame.style.height = `${Math.min(Math.ceil(detail.height), MOST)}px`;
      host.dispatchEvent(new CustomEvent(`vram-fit:${event}`, { bubbles: true, detail }));
    }
  });

  window.VramFit = { scan };
  scan();
  new MutationObserver(scan).observe(document.documentElement, { childList: true, subtree: true });
})();
