"use strict";
/* Sound and notifications of the duty view. A browser plays nothing before somebody has pressed
   something, so there is a button; what was chosen is remembered. Critical alarms and emergencies
   are sounded again and again until each is acknowledged or hushed. */
(() => {
  const CHOICE = "chargewatch.sound";
  const AGAIN_MS = { emergency: 2600, critical: 5000, check: 8000 };
  const RANK = { warning: 0, check: 1, critical: 2, emergency: 3 };
  const TUNES = { // tones of [hertz, from, until] in seconds: known apart with closed eyes
    emergency: [[960, 0, 0.28], [640, 0.3, 0.58], [960, 0.6, 0.88], [640, 0.9, 1.18], [960, 1.2, 1.48], [640, 1.5, 1.78]],
    critical: [[880, 0, 0.16], [880, 0.24, 0.4], [880, 0.48, 0.64]],
    check: [[520, 0, 0.18], [660, 0.2, 0.38], [780, 0.4, 0.7]],
    warning: [[660, 0, 0.14], [520, 0.16, 0.36]],
  };
  const controls = document.getElementById("duty-controls");
  const sound = document.getElementById("sound");
  const hush = document.getElementById("hush");
  const notify = document.getElementById("notify");
  const words = controls.dataset;
  const hushed = new Set(); // by number and severity: what becomes worse sounds again
  let audio = null;
  let timer = 0;
  let sounded = "";

  const remembered = () => { try { return localStorage.getItem(CHOICE) === "on"; } catch { return false; } };
  const remember = (choice) => { try { localStorage.setItem(CHOICE, choice); } catch { /* asked again next time */ } };
  let wanted = remembered();

  const nameOf = (alert) => `${alert.dataset.alert} ${alert.dataset.severity}`;

  function gravest() {
    const unseen = [...document.querySelectorAll("[data-unseen]")].filter((each) => !hushed.has(nameOf(each)));
    const levels = unseen.map((each) => each.dataset.severity).filter((level) => level in AGAIN_MS);
    return levels.sort((a, b) => RANK[b] - RANK[a])[0];
  }

  function play(level) {
    if (!wanted || !audio || audio.state !== "running") return;
    for (const [hertz, from, until] of TUNES[level]) {
      const tone = audio.createOscillator();
      const gain = audio.createGain();
      tone.type = level in { warning: 1, check: 1 } ? "sine" : "square";
      tone.frequency.value = hertz;
      gain.gain.setValueAtTime(0, audio.currentTime + from);
      gain.gain.linearRampToValueAtTime(0.25, audio.currentTime + from + 0.01);
      gain.gain.setValueAtTime(0.25, audio.currentTime + until - 0.02);
      gain.gain.linearRampToValueAtTime(0, audio.currentTime + until);
      tone.connect(gain).connect(audio.destination);
      tone.start(audio.currentTime + from);
      tone.stop(audio.currentTime + until);
    }
    document.dispatchEvent(new CustomEvent("chargewatch:sound", { detail: level }));
  }

  function keepSounding() {
    clearTimeout(timer);
    timer = 0;
    const level = gravest();
    sounded = level;
    show();
    if (!level) return;
    play(level);
    timer = setTimeout(keepSounding, AGAIN_MS[level]);
  }

  function show() {
    const runs = Boolean(audio) && audio.state === "running";
    const blocked = wanted && !runs;
    sound.setAttribute("aria-pressed", String(wanted && runs));
    sound.toggleAttribute("data-blocked", blocked);
    sound.querySelector("span").textContent = blocked ? words.soundBlocked : wanted ? words.soundOn : words.soundOff;
    hush.hidden = !(wanted && runs && gravest());
  }

  async function wake() {
    if (!wanted || !window.AudioContext) return;
    audio = audio || new AudioContext();
    if (audio.state !== "running") await Promise.race([audio.resume(), new Promise((done) => { setTimeout(done, 300); })]);
    keepSounding();
  }

  sound.addEventListener("click", async () => {
    const runs = audio && audio.state === "running";
    wanted = !(wanted && runs);
    remember(wanted ? "on" : "off");
    if (!wanted) return keepSounding();
    await wake();
    if (!gravest()) play("warning"); // so that one hears that it can be heard
  });
  hush.addEventListener("click", () => {
    for (const each of document.querySelectorAll("[data-unseen]")) hushed.add(nameOf(each));
    keepSounding();
    sound.focus();
  });
  for (const gesture of ["pointerdown", "keydown"]) {
    document.addEventListener(gesture, (event) => {
      if (wanted && audio && audio.state !== "running" && !sound.contains(event.target)) wake();
    });
  }

  /* --- notifications --- */
  const possible = "Notification" in window && "serviceWorker" in navigator;
  let worker = null;

  async function prepare() {
    if (!possible) return;
    notify.hidden = Notification.permission === "granted";
    notify.disabled = Notification.permission === "denied";
    if (notify.disabled) notify.querySelector("span").textContent = words.denied;
    if (Notification.permission !== "granted" || worker) return;
    await navigator.serviceWorker.register(words.worker, { scope: "/" });
    worker = await navigator.serviceWorker.ready;
  }

  notify.addEventListener("click", async () => {
    await Notification.requestPermission();
    await prepare();
  });

  function tell(alert) {
    const options = {
      tag: `alert-${alert.dataset.alert}`,
      lang: document.documentElement.lang,
      requireInteraction: alert.dataset.severity !== "warning",
      data: { path: alert.dataset.path || `/alerts/${alert.dataset.alert}` },
    };
    worker.showNotification(alert.dataset.title, options);
  }

  document.addEventListener("chargewatch:news", (event) => {
    const fresh = event.detail;
    if (worker) fresh.forEach(tell);
    if (fresh.length && !gravest()) play("warning");
    const level = gravest();
    if (!level || fresh.length || !timer || level !== sounded) keepSounding();
    else show();
  });

  controls.hidden = false;
  show();
  wake();
  prepare();
})();
