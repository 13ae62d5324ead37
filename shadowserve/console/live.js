// Renews a console page: takes what has changed from a stream of server-sent events, and says how old it is.
"use strict";
(() => {
  const MOST_STREAMS = 4; // a browser opens six connections to a host, and pages must load beside the streams
  const main = document.querySelector("main");
  const banner = document.getElementById("banner");
  const pulse = document.getElementById("pulse");
  const challenger = main.dataset.challenger;
  let tick = main.dataset.tick || "";
  let every = Number(main.dataset.every) || 5;
  let heard = Date.now();
  const empty = main.querySelector("[data-part]") ? null : main.querySelector(".empty"); // a page that waits for a report
  let source = null, poll = 0, newer = 0, trouble = "", cut = false;

  const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
  const address = (path) => `${path}?challenger=${encodeURIComponent(challenger)}&tick=${encodeURIComponent(tick)}`;

  function show() {
    const age = Math.max(0, Math.round((Date.now() - heard) / 1000));
    const late = age > 3 * every + 5;
    let said = "";
    if (trouble && empty) empty.textContent = trouble; // nothing else is seen that could be old
    else if (trouble) said = `${trouble} What you see is from ${clock(heard)}.`;
    else if (late && cut) said = `Disconnected. Trying again; what you see is from ${clock(heard)}.`;
    else if (late) said = `No news for ${age} s; what you see is from ${clock(heard)}.`;
    if (banner.textContent !== said) banner.textContent = said;
    banner.hidden = !said;
    main.classList.toggle("old", Boolean(said));
    pulse.classList.toggle("stale", Boolean(said || trouble) || cut);
    pulse.textContent = `Updated ${clock(heard)}` + (age > 1 ? `, ${age} s ago` : "") + (cut ? ", reconnecting" : "");
  }

  function keep(part) {
    const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    const href = active && active.getAttribute("href");
    return () => {
      for (const id of open) { const one = document.getElementById(id); if (one) one.open = true; }
      const again = href && [...part.querySelectorAll("a")].find((one) => one.getAttribute("href") === href);
      const target = again || (active && (active.id ? document.getElementById(active.id) : part.querySelector(active.localName)));
      if (target) target.focus({ preventScroll: true });
    };
  }

  const pending = {};
  function busy(part) { // somebody types, or reads out of it
    const active = document.activeElement, selection = getSelection();
    return (part.contains(active) && active.localName === "input")
      || (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
  }

  function take(told) {
    heard = Date.now(); cut = false; trouble = told.trouble || "";
    if (told.every) every = told.every;
    Object.assign(pending, told.parts);
    for (const [name, html] of Object.entries(pending)) {
      const part = main.querySelector(`[data-part="${name}"]`);
      if (!part) { location.reload(); return; }
      if (busy(part)) continue;
      delete pending[name];
      const restore = keep(part);
      part.innerHTML = html; // written by our own server, which escapes every name
      restore();
    }
    if (told.tick) tick = told.tick;
    if (told.title) document.title = told.title;
    show();
  }

  async function fetched() {
    try {
      const answer = await fetch(address("live.json"), { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      take(await answer.json());
    } catch { cut = true; show(); }
  }

  function close() {
    if (source) source.close();
    clearInterval(poll);
    source = null; poll = 0;
  }

  function open() {
    close();
    if (document.hidden) return;
    if (newer >= MOST_STREAMS) { // other tabs, opened later, hold the streams
      poll = setInterval(fetched, 1000 * every);
      fetched();
      return;
    }
    source = new EventSource(address("events"));
    source.onmessage = (event) => take(JSON.parse(event.data));
    source.onerror = () => {
      cut = true; show();
      // A refusal ends an EventSource for good.
      if (source && source.readyState === EventSource.CLOSED) { close(); setTimeout(open, 1000 * every); }
    };
  }

  const others = new BroadcastChannel("shadowserve");
  others.onmessage = () => { newer += 1; if (newer === MOST_STREAMS && source) open(); };
  function enter() { newer = 0; others.postMessage("opened"); open(); show(); }

  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else enter(); });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) enter(); });

  document.addEventListener("submit", async (event) => {
    const form = event.target, button = form.querySelector("button");
    event.preventDefault();
    button.disabled = true;
    try {
      const fields = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
      const asJson = form.dataset.json !== undefined;
      const answer = await fetch(form.getAttribute("action"), {
        method: "POST",
        body: asJson ? JSON.stringify(fields) : new URLSearchParams(fields),
        headers: { Accept: "application/json", ...(asJson ? { "Content-Type": "application/json" } : {}) },
      });
      if (answer.status === 403 && fields.mark) { location.reload(); return; } // the mark is of an earlier console
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.error ? told.error.message : String(answer.status));
      button.blur();
      if (document.activeElement) document.activeElement.blur();
      open();
    } catch (error) {
      button.disabled = false;
      trouble = `That was not done: ${error.message}.`;
      show();
    }
  });

  document.documentElement.classList.add("js");
  setInterval(show, 1000);
  enter();
})();
