"use strict";
/* Draws the charts of a page again, to zoom in and to point at. The picture that the service
   drew is there before, and stays if anything goes wrong. By a finger: drag to read values, pinch
   to zoom. By a mouse: move to read, drag to zoom. By keys: the buttons. */
(() => {
  const AGAIN_MS = 10000;
  const HEIGHT_MIN = 190;
  const HEIGHT_MAX = 280;
  const SPAN_S_MIN = 60;
  const DRAWN_PX = 12;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const LEVELS = { warning: "warning-fill", critical: "critical", emergency: "critical" };
  const LOOKS = { firing: "critical", raised: "critical", acknowledged: "link", cut: "ink", latch_cleared: "link", resolved: "fine" };

  function begin(figure) {
    const canvas = figure.querySelector(".chart-canvas");
    const readout = figure.querySelector(".chart-readout");
    const lang = figure.dataset.lang === "zh" ? "zh-CN" : "en-GB";
    let said = null;
    let plot = null;
    let fetched = 0;
    let asking = false;

    const time = (span) => new Intl.DateTimeFormat(lang, {
      timeZone: said.zone, hourCycle: "h23",
      ...(span > 172800 ? { month: "2-digit", day: "2-digit" } : { hour: "2-digit", minute: "2-digit" }),
      ...(span < 600 ? { second: "2-digit" } : {}),
    });
    const exact = () => new Intl.DateTimeFormat(lang, { timeZone: said.zone, hourCycle: "h23", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const number = (value) => `${new Intl.NumberFormat(lang, { maximumFractionDigits: 1 }).format(value)} ${said.unit}`;

    function tell(index) {
      const value = index === null || index === undefined ? null : said.values[index];
      readout.textContent = value === null ? " " : `${exact().format(said.at[index] * 1000)}   ${number(value)}`;
    }

    function across(u, at, ink, dash, text) {
      const y = Math.round(u.valToPos(at, "y", true)) + 0.5;
      const { ctx, bbox } = u;
      ctx.strokeStyle = ctx.fillStyle = colour(ink);
      ctx.setLineDash(dash);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.textAlign = "right";
      ctx.textBaseline = "bottom";
      ctx.fillText(text, bbox.left + bbox.width - 4 * devicePixelRatio, y - 2 * devicePixelRatio);
    }

    function decorate(u) {
      const { ctx, bbox } = u;
      ctx.save();
      ctx.font = `${DRAWN_PX * devicePixelRatio}px system-ui, sans-serif`;
      ctx.lineWidth = 1.5 * devicePixelRatio;
      for (const limit of said.limits) across(u, limit.value, LEVELS[limit.level] || "unknown", [6, 4], limit.text);
      for (const mark of said.marks) {
        if (mark.at < u.scales.x.min || mark.at > u.scales.x.max) continue;
        const x = Math.round(u.valToPos(mark.at, "x", true)) + 0.5;
        ctx.strokeStyle = colour(LOOKS[mark.look] || "unknown");
        ctx.setLineDash(mark.look === "cut" ? [2, 3] : []);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.restore();
    }

    function zoom(from, to) {
      const span = Math.max(to - from, SPAN_S_MIN);
      const middle = (from + to) / 2;
      plot.setScale("x", { min: Math.max(said.since, middle - span / 2), max: Math.min(said.until, middle + span / 2) });
    }

    function byFactor(factor) {
      const { min, max } = plot.scales.x;
      const middle = plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : (min + max) / 2;
      zoom(middle - (middle - min) * factor, middle + (max - middle) * factor);
    }

    function byFingers(over) {
      const down = new Map();
      let pinched = null;
      const place = (event) => event.clientX - over.getBoundingClientRect().left;
      over.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "mouse") return;
        down.set(event.pointerId, place(event));
        pinched = down.size === 2 ? [...down.values()].map((x) => plot.posToVal(x, "x")) : null;
        point(event);
      });
      over.addEventListener("pointermove", (event) => {
        if (!down.has(event.pointerId)) return;
        down.set(event.pointerId, place(event));
        if (!pinched || down.size !== 2) return point(event);
        const [a, b] = [...down.values()];
        if (Math.abs(a - b) < 20) return;
        const perPx = (pinched[0] - pinched[1]) / (a - b);
        zoom(pinched[0] - a * perPx, pinched[0] + (over.clientWidth - a) * perPx);
      });
      for (const name of ["pointerup", "pointercancel"]) over.addEventListener(name, (event) => { down.delete(event.pointerId); });
      function point(event) { plot.setCursor({ left: place(event), top: over.clientHeight / 2 }); }
    }

    function options(shown) {
      const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: `${DRAWN_PX}px system-ui, sans-serif` };
      const width = Math.floor(canvas.clientWidth);
      return {
        width,
        height: Math.round(Math.min(HEIGHT_MAX, Math.max(HEIGHT_MIN, width * 0.5))),
        legend: { show: false },
        padding: [14, 10, 0, 0],
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), said.zone),
        cursor: { y: false, drag: { x: true, y: false, dist: 8 } },
        scales: { x: { time: true, min: shown.since, max: shown.until, range: (u, min, max) => [min, max] }, y: { range: () => [said.low, said.high] } },
        series: [{}, { stroke: colour("charging"), width: 2, points: { show: said.at.length < 40, size: 5, fill: colour("charging") } }],
        axes: [
          { ...axis, space: 64, values: (u, at) => at.map((each) => time(u.scales.x.max - u.scales.x.min).format(each * 1000)) },
          { ...axis, size: 52, values: (u, found) => found.map((each) => new Intl.NumberFormat(lang).format(each)) },
        ],
        hooks: { draw: [decorate], setCursor: [(u) => tell(u.cursor.idx)] },
      };
    }

    function draw() {
      const shown = plot ? { since: plot.scales.x.min, until: plot.scales.x.max } : said;
      canvas.replaceChildren();
      if (plot) plot.destroy();
      plot = new uPlot(options(shown), [said.at, said.values], canvas);
      byFingers(canvas.querySelector(".u-over"));
      tell(said.at.length - 1);
      figure.querySelector(".chart-buttons").hidden = readout.hidden = false;
      figure.dataset.drawn = String(said.at.length);
    }

    function take(fresh) {
      const zoomed = plot && (plot.scales.x.min > said.since || plot.scales.x.max < said.until);
      const kept = zoomed ? { min: plot.scales.x.min, max: plot.scales.x.max } : { min: fresh.since, max: fresh.until };
      said = fresh;
      const summary = figure.querySelector(".chart-summary");
      summary.textContent = said.summary;
      if (said.found !== "points") return summary.classList.remove("visually-hidden");
      if (!plot) return draw();
      plot.setData([said.at, said.values], false);
      plot.setScale("x", kept);
      figure.dataset.drawn = String(said.at.length);
    }

    async function ask() {
      if (asking) return;
      asking = true;
      let fresh = null;
      try {
        const answer = await fetch(figure.dataset.chart, { headers: { Accept: "application/json" }, redirect: "error" });
        if (!answer.ok) throw new Error(String(answer.status));
        fresh = await answer.json();
        fetched = Date.now();
        figure.removeAttribute("data-old");
      } catch {
        figure.setAttribute("data-old", ""); // what is drawn stays, and is pale because it is old
      }
      asking = false;
      if (fresh) take(fresh);
    }

    figure.addEventListener("click", (event) => {
      const button = event.target.closest("[data-zoom]");
      if (!button || !plot) return;
      if (button.dataset.zoom === "all") return zoom(said.since, said.until);
      byFactor(button.dataset.zoom === "in" ? 0.5 : 2);
    });
    dark.addEventListener("change", () => { if (plot) draw(); });
    new ResizeObserver(() => {
      if (plot && Math.abs(plot.width - Math.floor(canvas.clientWidth)) > 2) draw();
    }).observe(canvas);
    document.addEventListener("chargewatch:news", () => {
      if (figure.hasAttribute("data-lively") && Date.now() - fetched > AGAIN_MS) ask();
    });
    ask();
  }

  for (const figure of document.querySelectorAll("[data-chart]")) begin(figure);
})();
