"use strict";
/* What htmx cannot do for a page that is watched at night. htmx fetches a page again when an
   event says that it is old, and exchanges its live parts (data-live, with an id). Here: when the
   connection is lost, since when; nothing is exchanged under somebody's fingers; news is said
   aloud. Tells other scripts by "chargewatch:news" on document. Without scripts all pages work. */
(() => {
  const REFRESH_MS = 30000; // ages grow old too, and an event may be missed
  const RETRY_MS_MIN = 2000;
  const RETRY_MS_MAX = 30000;
  const TOAST_MS = 8000;
  const refresher = document.getElementById("refresher");
  const offline = document.getElementById("offline");
  const since = document.getElementById("offline-since");
  const announcer = document.getElementById("announcer");
  const toast = document.getElementById("toast");
  let retryMs = RETRY_MS_MIN;
  let retry = 0;
  let known = new Set();

  const live = () => [...document.querySelectorAll("[data-live][id]")];
  const alerts = () => [...document.querySelectorAll("[data-alert]")];
  const refresh = () => window.htmx && window.htmx.trigger(refresher, "refresh");

  function showOffline(isOffline) {
    const shown = document.querySelector("[data-shown-at]");
    if (isOffline === !offline.hidden) return;
    since.textContent = isOffline && shown ? shown.dataset.shownAt : "";
    offline.hidden = !isOffline;
    document.body.classList.toggle("is-offline", isOffline);
  }

  function lost() {
    showOffline(true);
    clearTimeout(retry);
    retry = setTimeout(refresh, retryMs * (0.75 + Math.random() / 2));
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  }

  function found() {
    showOffline(false);
    clearTimeout(retry);
    retryMs = RETRY_MS_MIN;
  }

  function isBusy(region) {
    const typed = [...region.querySelectorAll("textarea, input[type=text], input[type=file]")]
      .some((each) => each.value !== each.defaultValue);
    return typed || region.querySelector("form[aria-busy=true], dialog[open], textarea:focus, input:focus, select:focus") !== null;
  }

  function announce(fresh) {
    const words = document.body.dataset.newAlert;
    const said = ({ dataset }) => dataset.said || words.split("{title}").join(dataset.title);
    announcer.textContent = fresh.map(said).join("\n");
    if (navigator.vibrate && navigator.userActivation && navigator.userActivation.hasBeenActive) {
      navigator.vibrate([200, 100, 200]);
    }
  }

  function say(words) {
    toast.textContent = words;
    toast.hidden = false;
    setTimeout(() => { toast.hidden = true; }, TOAST_MS);
  }

  function release(form) {
    const button = form.querySelector("button");
    form.removeAttribute("aria-busy");
    if (button && button.dataset.words) button.textContent = button.dataset.words;
  }

  function done(form) {
    if (form.dataset.done) announcer.textContent = form.dataset.done;
    if (document.activeElement !== document.body) return; // its button is gone, so go on with the next
    const next = document.querySelector("[data-live] form button") || document.getElementById("main");
    next.focus({ preventScroll: true });
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = form.querySelector("button");
    if (form.getAttribute("aria-busy") === "true") {
      event.preventDefault(); // one press is enough
      event.stopPropagation();
      return;
    }
    form.setAttribute("aria-busy", "true");
    if (form.dataset.busy && button) {
      button.dataset.words = button.textContent;
      button.textContent = form.dataset.busy;
    }
  }, true);

  /* A button or link with data-opens="id" opens that <dialog>; one with data-closes closes its own. */
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    const dialog = opener && document.getElementById(opener.dataset.opens);
    if (dialog && dialog.showModal) {
      event.preventDefault();
      dialog.showModal();
    }
    const closer = event.target.closest("[data-closes]");
    if (closer) closer.closest("dialog").close();
  });

  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload(); // what a browser kept of a page is old
  });
  if (!refresher) return;

  refresher.setAttribute("hx-select-oob", live().map((region) => `#${region.id}`).join(","));
  known = new Set(alerts().map((each) => each.dataset.alert));

  const on = (name, what) => document.body.addEventListener(name, what);
  on("htmx:sseOpen", () => { if (!offline.hidden) refresh(); });
  on("htmx:sseError", refresh); // whether we are cut off, or only the stream is, is seen by that
  on("htmx:beforeRequest", (event) => {
    if (event.target === refresher) live().forEach((each) => each.setAttribute("aria-busy", "true"));
  });
  on("htmx:beforeSwap", (event) => {
    const answer = event.detail.xhr.responseURL;
    if (!answer || !new URL(answer).pathname.startsWith("/login")) return;
    event.detail.shouldSwap = false;
    location.reload(); // the login is over
  });
  on("htmx:beforeOnLoad", (event) => {
    if (event.target.tagName === "FORM" && event.detail.xhr.status < 400) event.target.removeAttribute("aria-busy");
  });
  on("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    if (isBusy(target)) event.detail.shouldSwap = false;
    for (const each of target.querySelectorAll("details[open][id]")) {
      const fresh = fragment.querySelector(`#${CSS.escape(each.id)}`);
      if (fresh) fresh.setAttribute("open", "");
    }
  });
  on("htmx:afterRequest", (event) => {
    const asked = event.detail.requestConfig.elt; // it may be gone by now
    const form = asked.tagName === "FORM" ? asked : null;
    live().forEach((each) => each.setAttribute("aria-busy", "false"));
    if (event.detail.successful) found();
    else if (event.detail.xhr.status === 0 || !form) lost();
    if (form && !event.detail.successful) {
      release(form);
      say(document.body.dataset.failed);
    }
    if (form && event.detail.successful) done(form);
    const fresh = alerts().filter((each) => !known.has(each.dataset.alert) && each.dataset.severity);
    known = new Set(alerts().map((each) => each.dataset.alert));
    if (fresh.length) announce(fresh);
    document.dispatchEvent(new CustomEvent("chargewatch:news", { detail: fresh }));
  });

  setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  window.addEventListener("offline", () => showOffline(true));
  window.addEventListener("online", refresh);
})();
