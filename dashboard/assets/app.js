"use strict";
(() => {
  const $ = (s, e = document) => e.querySelector(s), root = document.documentElement;
  const policy = window.trustedTypes?.createPolicy("sqlqueue", { createHTML: (s) => s }) ?? { createHTML: (s) => s };
  const showPlace = () => { // where it is narrow, it may be out of sight
    for (const at of document.querySelectorAll("nav.main [aria-current]")) at.parentNode.scrollLeft = at.offsetLeft - at.parentNode.offsetLeft - 40;
  };
  showPlace();
  for (const when of ["load", "resize"]) addEventListener(when, showPlace);

  // morph makes an element what another is, and keeps what need not change: nodes, focus, selection, what is open.
  function morph(old, now) {
    for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    for (const { name, value } of now.attributes) if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    if (old === document.activeElement && "value" in old) return;
    let at = old.firstChild;
    for (const next of [...now.childNodes]) {
      const same = next.id ? $("#" + CSS.escape(next.id), old) : at && at.nodeName === next.nodeName && !at.id ? at : null;
      if (!same || same.parentNode !== old || same.nodeName !== next.nodeName) { old.insertBefore(next, at); continue; }
      if (same !== at) old.insertBefore(same, at);
      if (same.nodeType === 1) morph(same, next); else if (same.data !== next.data) same.data = next.data;
      at = same.nextSibling;
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  }

  function parsed(text, selector) {
    const t = document.createElement("template");
    t.innerHTML = policy.createHTML(text);
    return t.content.querySelector(selector);
  }

  // The page renews itself while somebody looks, and neither selects text, nor has rows checked, nor an action open.
  const every = Number(document.body.dataset.refresh), state = $("#state"), live = () => $("#live");
  let wait = every, tag = "", lost = null;
  const busy = () => document.hidden || $("#palette").open || !getSelection().isCollapsed || $("#live input[type=checkbox]:checked, #live .ask[open]") || live().contains(document.activeElement) && document.activeElement.matches("input");
  async function renew() {
    const url = new URL(location.href);
    url.searchParams.set("part", "live"); url.searchParams.delete("said"); url.searchParams.delete("n"); url.searchParams.delete("undo"); url.hash = "";
    const answer = await fetch(url, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(answer.statusText);
    const text = await answer.text();
    if (busy()) return;
    if ($("#live.failure")) return location.reload();
    const next = parsed(text, "#live");
    if (!next) return location.reload();
    morph(live(), next);
    tag = answer.headers.get("ETag") ?? "";
  }
  async function tick() {
    if (!busy()) {
      try { await renew(); wait = every; lost = null; delete state.dataset.off; state.lastElementChild.textContent = state.dataset.live; }
      catch { lost ??= new Date(); wait = Math.min(wait * 2, 30000); state.dataset.off = ""; state.lastElementChild.textContent = state.dataset.lost.replace("%s", lost.toLocaleTimeString(root.lang)); }
    }
    setTimeout(tick, wait * (0.9 + 0.2 * Math.random()));
  }
  if (state && document.body.hasAttribute("data-live")) { state.dataset.live = state.lastElementChild.textContent; setTimeout(tick, wait); }

  // What was done is said once: not again when the page is loaded anew.
  const here = new URL(location.href);
  if (here.searchParams.has("said")) { here.searchParams.delete("said"); here.searchParams.delete("n"); here.searchParams.delete("undo"); history.replaceState(null, "", here); }

  $("#theme").addEventListener("click", () => {
    root.dataset.theme = (root.dataset.theme || (matchMedia("(prefers-color-scheme:dark)").matches ? "dark" : "light")) === "dark" ? "light" : "dark";
    try { localStorage.setItem("sqlqueue-theme", root.dataset.theme); } catch {}
  });
  addEventListener("keydown", (e) => {
    if (e.key === "/" && !e.ctrlKey && !e.metaKey && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName) && $("input[type=search]")) { e.preventDefault(); $("input[type=search]").focus(); }
    if (e.key === "Escape") for (const d of document.querySelectorAll(".ask[open]")) d.open = false;
  });

  // Ctrl-K: pages, queues, jobs by their ids, and searches that are saved in this browser.
  const palette = $("#palette"), field = $("input", palette), choices = $("#choices"), word = field.dataset, viewsKey = "sqlqueue-views";
  let queues = [], found = [], chosen = 0;
  const views = () => { try { return JSON.parse(localStorage.getItem(viewsKey)) ?? []; } catch { return []; } };
  const keepViews = (all) => { try { localStorage.setItem(viewsKey, JSON.stringify(all)); } catch {} };
  function choose(n) {
    chosen = Math.max(0, Math.min(found.length - 1, n));
    [...choices.children].forEach((e, i) => e.setAttribute("aria-selected", i === chosen));
    field.setAttribute("aria-activedescendant", "choice-" + chosen);
    choices.children[chosen]?.scrollIntoView({ block: "nearest" });
  }
  function fill() {
    const text = field.value.trim(), url = new URL(location.href), q = url.searchParams.get("q"), place = url.pathname.match(/(jobs|failed)$/)?.[1], saved = views();
    const all = [...document.querySelectorAll("nav.main a")].map((a) => [a.firstChild.data, a.href]), at = saved.findIndex(([p, s]) => p === place && s === q);
    if (q && place) all.unshift(at < 0 ? [word.save + ": " + q, () => keepViews([...saved, [place, q]])] : [word.drop + ": " + q, () => keepViews(saved.toSpliced(at, 1))]);
    for (const [p, s] of saved) all.push([word[p] + ": " + s, word.base + p + "?q=" + encodeURIComponent(s)]);
    for (const name of queues) all.push([word.queue + ": " + name, word.base + "queue?name=" + encodeURIComponent(name)]);
    found = all.filter(([t]) => t.toLowerCase().includes(text.toLowerCase())).slice(0, 12);
    if (/^\d+$/.test(text)) found.unshift([word.job + " " + text, word.base + "jobs/" + text]);
    else if (text) found.push([word.search + ": " + text, word.base + "jobs?q=" + encodeURIComponent(text)]);
    choices.replaceChildren(...found.map(([t], i) => Object.assign(document.createElement("li"), { id: "choice-" + i, role: "option", textContent: t, onclick: () => go(i) })));
    choose(0);
  }
  function go(i) {
    const to = found[i]?.[1];
    palette.close();
    if (typeof to === "function") to(); else if (to) location.href = to;
  }
  async function openPalette() {
    if (palette.open) return;
    field.value = ""; palette.showModal(); fill();
    const answer = await fetch(word.base + "api/v1/queues").catch(() => null);
    if (answer?.ok) { queues = (await answer.json()).map((q) => q.queue).filter(Boolean); if (palette.open) fill(); }
  }
  field.addEventListener("input", fill);
  field.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); choose(chosen + (e.key === "ArrowDown" ? 1 : -1)); }
    if (e.key === "Enter") { e.preventDefault(); go(chosen); }
  });
  palette.addEventListener("click", (e) => { if (e.target === palette) palette.close(); });
  $("#find").hidden = false;
  $("#find").addEventListener("click", openPalette);
  addEventListener("keydown", (e) => { if (e.key.toLowerCase() === "k" && (e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey) { e.preventDefault(); openPalette(); } });

  // A bulk operation goes step by step, each its own request, until it is finished or stopped.
  addEventListener("submit", async (e) => {
    const form = e.target, url = form.dataset.steps;
    if (!url) return;
    e.preventDefault();
    const [finished, stopped, doneText, leftText] = form.dataset.words.split("|"), bar = $("progress", form), out = $("output", form), stop = $("[data-stop]", form), go = $("button:not([type])", form);
    const total = Number(form.dataset.total); let on = true;
    if (total > 0) bar.max = total;
    bar.hidden = stop.hidden = false; go.disabled = true; stop.onclick = () => { on = false; };
    const tell = (end) => { const left = Number(form.elements.left.value); if (end && form.elements.done.value > 0 && $("[data-undo]")) $("[data-undo]").hidden = false; out.textContent = doneText.replace("0", form.elements.done.value) + (left ? ", " + leftText.replace("0", left) : "") + (end ? ". " + end : ""); };
    try {
      for (;;) {
        const answer = await fetch(url, { method: "POST", body: new URLSearchParams(new FormData(form)) }), step = await answer.json();
        if (!answer.ok) throw new Error(step.error);
        form.elements.done.value = Number(form.elements.done.value) + step.done;
        form.elements.left.value = Number(form.elements.left.value) + step.left;
        form.elements.cursor.value = step.cursor;
        if (total > 0) bar.value = Math.min(total, Number(form.elements.done.value) + Number(form.elements.left.value));
        tell("");
        if (step.finished) { go.hidden = bar.hidden = stop.hidden = true; return tell(finished); }
        if (!on) { go.disabled = false; bar.hidden = stop.hidden = true; return tell(stopped); }
      }
    } catch (err) { go.disabled = false; bar.hidden = stop.hidden = true; tell(err.message); }
  });

  // The next times of a schedule follow what is typed.
  const schedule = $("form[data-times]");
  if (schedule) {
    let asked = 0;
    $("[name=look]", schedule).remove();
    schedule.addEventListener("input", (e) => {
      if (!/^(when|zone)$/.test(e.target.name)) return;
      const mine = ++asked;
      setTimeout(async () => {
        const url = new URL(schedule.dataset.times, location.href);
        for (const name of ["when", "zone"]) url.searchParams.set(name, schedule.elements[name].value);
        if (mine !== asked) return;
        const answer = await fetch(url, { cache: "no-store" }).catch(() => null);
        if (answer?.ok && mine === asked) morph($(".times", schedule), parsed(await answer.text(), ".times"));
      }, 200);
    });
  }

  // The chart tells what stands under the pointer, or where arrow keys have led.
  let index = -1;
  const chart = () => $("#chart"), out = () => $("#readout");
  function point(i) {
    const rows = chart().querySelectorAll("tbody tr"), cross = $(".cross", chart()); index = Math.max(0, Math.min(rows.length - 1, i));
    const [when, done, failed, pushed] = [...rows[index].cells].map((c) => c.textContent), x = (1000 * index) / (rows.length - 1);
    cross.setAttribute("x1", x); cross.setAttribute("x2", x); cross.setAttribute("visibility", "visible");
    out().textContent = [when, done, failed, pushed].reduce((s, v) => s.replace("%s", () => v), out().dataset.point);
  }
  const leave = () => { $(".cross", chart()).setAttribute("visibility", "hidden"); out().textContent = out().dataset.rest; index = -1; };
  if (chart()) {
    const main = $("#main"), inside = (e) => e.target.closest?.("#chart");
    main.addEventListener("pointermove", (e) => { if (!inside(e)) return index >= 0 && document.activeElement !== chart() ? leave() : undefined; const b = $(".plot", chart()).getBoundingClientRect(); point(Math.round(((e.clientX - b.left) / b.width) * (chart().querySelectorAll("tbody tr").length - 1))); });
    main.addEventListener("focusout", (e) => { if (inside(e)) leave(); });
    main.addEventListener("keydown", (e) => { const d = { ArrowLeft: -1, ArrowRight: 1 }[e.key]; if (d && e.target === chart()) { e.preventDefault(); point(index < 0 ? chart().querySelectorAll("tbody tr").length - 1 : index + d); } });
  }
})();
