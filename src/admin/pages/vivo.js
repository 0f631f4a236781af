// Fetches the page again when something changed, and puts the parts that are marked in the place of the old ones.
// Without it the page is whole; it is only as old as its hour says.
"use strict";
(() => {
  const parts = () => document.querySelectorAll("[data-vivo]");
  // The answer to a form is the page too: its address is the page's.
  const here = "/" + location.search;
  if (location.pathname !== "/") history.replaceState(null, "", here);
  let busy = false, again = false;
  async function fetchAgain() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(here, { credentials: "same-origin" });
      if (answer.status === 401) { location.assign(here); return; }
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of parts()) {
        const one = fresh.getElementById(old.id);
        // Nobody's typing and nobody's place is taken away.
        if (!one || old.contains(document.activeElement)) continue;
        const open = new Set([...old.querySelectorAll("details[open]")].map((d) => d.id));
        for (const d of one.querySelectorAll("details")) if (open.has(d.id)) d.open = true;
        if (old.innerHTML !== one.innerHTML) old.replaceWith(document.adoptNode(one));
      }
    } catch { /* the next event tries again */ }
    finally {
      busy = false;
      if (again) { again = false; fetchAgain(); }
    }
  }
  const events = new EventSource("/eventos");
  events.addEventListener("cambio", fetchAgain);
  events.addEventListener("open", () => document.documentElement.classList.add("en-vivo"));
  events.addEventListener("error", () => document.documentElement.classList.remove("en-vivo"));
})();
