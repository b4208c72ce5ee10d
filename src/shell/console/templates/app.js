"use strict";
// Keeps the live parts of a page fresh. Everything works without this file.
//
// The node sends notices without content. The page is then loaded again, by a request that does not
// count as activity of the user, and its live parts are replaced by id. The browser parses the answer
// as a document whose scripts do not run, and no text becomes HTML here: the content policy forbids it.

(() => {
  const live = () => Array.from(document.querySelectorAll("[data-live]"));
  if (live().length === 0 || !window.EventSource) return;

  let wanted = new Set();
  let isLoading = false;

  const isForUs = (kinds) =>
    live().some((part) => part.dataset.live.split(" ").some((kind) => kinds.has(kind)));

  // A part in which the user types, or has chosen something, is left alone.
  const isInUse = (part) => {
    const active = document.activeElement;
    const isTyping = active && part.contains(active) && active.matches("input, textarea, select");
    const selection = window.getSelection();
    const isSelecting = selection && !selection.isCollapsed && selection.containsNode(part, true);
    return isTyping || isSelecting;
  };

  const replace = (fresh) => {
    for (const part of live()) {
      const other = fresh.getElementById(part.id);
      if (!other || isInUse(part) || part.isEqualNode(other)) continue;
      const focused = part.contains(document.activeElement) ? indexOfFocus(part) : -1;
      const copy = document.importNode(other, true);
      part.replaceWith(copy);
      if (focused >= 0) focusable(copy)[focused]?.focus();
    }
  };

  const focusable = (part) => Array.from(part.querySelectorAll("a, button, summary"));
  const indexOfFocus = (part) => focusable(part).indexOf(document.activeElement);

  const load = () => {
    if (isLoading || !isForUs(wanted)) return;
    wanted = new Set();
    isLoading = true;
    const address = new URL(location.href);
    address.searchParams.delete("done");
    address.searchParams.set("auto", "1");
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.onload = () => {
      // The session has ended: what is on the screen goes too.
      if (request.status === 403) location.reload();
      else if (request.status === 200 && request.response) replace(request.response);
    };
    request.onloadend = () => {
      isLoading = false;
      load();
    };
    request.send();
  };

  let failures = 0;
  let poll = null;
  const events = new EventSource("/events");
  events.addEventListener("change", (event) => {
    event.data.split(" ").forEach((kind) => wanted.add(kind));
    load();
  });
  events.onopen = () => {
    failures = 0;
    clearInterval(poll);
    poll = null;
  };
  // Without the stream the page asks every 15 seconds, as it does without JavaScript.
  events.onerror = () => {
    failures += 1;
    if (events.readyState === EventSource.CLOSED) location.reload();
    if (failures >= 2 && poll === null) {
      poll = setInterval(() => {
        for (const part of live()) part.dataset.live.split(" ").forEach((kind) => wanted.add(kind));
        load();
      }, 15000);
    }
  };

  // A page from the back-forward cache shows what a session that has ended has shown.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  window.addEventListener("pagehide", () => events.close());
})();
