// Inside the frame: say how tall the widget is, what it answers and what was clicked. It stores nothing, fetches nothing
// and works where the frame is sandboxed with scripts alone: forms then navigate the frame, links go through the host.
(() => {
  const root = document.documentElement;
  const main = document.getElementById("main");
  const form = document.getElementById("run");
  const hash = new URLSearchParams(location.hash.replace(/^#\??/, ""));
  const secret = (hash.get("secret") || "").replace(/[^A-Za-z0-9]/g, "");
  const isFramed = parent !== window;
  let height = 0;

  /** Our own messages: everything in them is public, so any host may read them. */
  function say(event, more) {
    if (isFramed) parent.postMessage({ source: "vram-fit", event, ...more }, "*");
  }

  /** WordPress's messages for embeds it found by discovery. */
  function tell(message, value) {
    if (isFramed && secret) parent.postMessage({ message, value, secret }, "*");
  }

  function measure() {
    const now = Math.ceil(root.getBoundingClientRect().height);
    if (now === height) return;
    height = now;
    say("resize", { height });
    tell("height", height);
  }

  function introduce() {
    height = 0;
    say("ready", {});
    measure();
    say("result", { result: JSON.parse(main.dataset.result) });
  }

  /** The form as an address: a sandboxed frame may not submit, but it may go elsewhere by itself. */
  function navigate(focused) {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value.trim()) query.append(name, value.trim());
    const after = new URLSearchParams();
    if (secret) after.set("secret", secret);
    if (focused) after.set("focus", focused);
    location.replace(`${form.getAttribute("action")}?${query}#?${after}`);
  }

  if (form) {
    form.addEventListener("change", (event) => navigate(event.target.id));
    form.addEventListener("click", (event) => {
      if (!event.target.closest("button")) return;
      event.preventDefault();
      navigate("");
    });
    document.getElementById(hash.get("focus") || "")?.focus({ preventScroll: true });
  }

  addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link) return;
    if (link.dataset.order) say("order_click", { order: JSON.parse(link.dataset.order) });
    if (secret && link.origin === location.origin && link.target) {
      event.preventDefault();
      tell("link", link.href);
    }
  });

  // The host may have started listening after us, or WordPress may ask once it is ready itself.
  addEventListener("message", (event) => {
    if (event.source !== parent || !event.data) return;
    if (event.data.source === "vram-fit-host" || event.data.message === "ready") introduce();
  });

  new ResizeObserver(measure).observe(root);
  introduce();
})();
