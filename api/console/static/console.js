"use strict";
/* Keeps a page up to date: an event says that it is old, then the page is fetched again and
   its live regions are exchanged. Without this script every page works, but stands still. */
(() => {
  const REFRESH_MS = 30000; // ages grow old too, and an event may be missed
  const FETCH_WITHIN_MS = 15000;
  const offline = document.getElementById("offline");
  const since = document.getElementById("offline-since");
  const announcer = document.getElementById("announcer");
  let fetching = false;
  let again = false;

  const regions = () => [...document.querySelectorAll("[data-live]")];
  const alertsOn = (page) => new Map(
    [...page.querySelectorAll("[data-alert]")].map((each) => [each.dataset.alert, each.dataset.title]),
  );

  function showOffline(isOffline) {
    const shown = document.querySelector("[data-shown-at]");
    since.textContent = shown ? shown.dataset.shownAt : "";
    offline.hidden = !isOffline;
    document.body.classList.toggle("is-offline", isOffline);
  }

  function isBeingEdited(region) {
    const typed = [...region.querySelectorAll("textarea")].some((each) => each.value !== "");
    const busy = region.querySelector("form[aria-busy=true]") !== null;
    return busy || typed || region.querySelector("textarea:focus") !== null;
  }

  function exchange(page) {
    const known = alertsOn(document);
    const focused = document.activeElement ? document.activeElement.id : "";
    for (const region of regions()) {
      const fresh = page.getElementById(region.id);
      if (fresh && !isBeingEdited(region)) region.replaceWith(document.adoptNode(fresh));
    }
    const refocus = focused && document.getElementById(focused);
    if (refocus && refocus !== document.activeElement) refocus.focus({ preventScroll: true });
    document.title = page.title;
    const news = [...alertsOn(document)].filter(([id]) => !known.has(id)).map(([, title]) => title);
    if (news.length) announce(news);
  }

  function announce(titles) {
    const words = document.body.dataset.newAlert;
    announcer.textContent = titles.map((title) => words.split("{title}").join(title)).join("\n");
    if (navigator.vibrate && navigator.userActivation && navigator.userActivation.hasBeenActive) {
      navigator.vibrate([200, 100, 200]);
    }
  }

  async function refresh() {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    regions().forEach((region) => region.setAttribute("aria-busy", "true"));
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(FETCH_WITHIN_MS) });
      if (answer.redirected) {
        location.reload(); // the login is over
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
      showOffline(false);
    } catch {
      showOffline(true);
    } finally {
      fetching = false;
      regions().forEach((region) => region.setAttribute("aria-busy", "false"));
      if (again) {
        again = false;
        refresh();
      }
    }
  }

  function listen() {
    const source = new EventSource(document.body.dataset.events);
    source.addEventListener("change", refresh);
    source.addEventListener("open", () => {
      if (!offline.hidden) refresh();
    });
    source.addEventListener("error", () => {
      showOffline(true);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => { refresh(); listen(); }, 5000);
    });
    window.addEventListener("pagehide", () => source.close(), { once: true });
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = form.querySelector("button");
    if (form.getAttribute("aria-busy") === "true") {
      event.preventDefault(); // one press is enough
      return;
    }
    form.setAttribute("aria-busy", "true");
    if (form.dataset.busy && button) button.textContent = form.dataset.busy;
  });

  if (document.body.dataset.events) {
    listen();
    setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
    window.addEventListener("offline", () => showOffline(true));
    window.addEventListener("online", refresh);
    window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }
})();
