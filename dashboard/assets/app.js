"use strict";
(() => {
  const $ = (s, e = document) => e.querySelector(s), root = document.documentElement;
  const policy = window.trustedTypes?.createPolicy("sqlqueue", { createHTML: (s) => s }) ?? { createHTML: (s) => s };

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
  const busy = () => document.hidden || !getSelection().isCollapsed || $("#live input[type=checkbox]:checked, #live .ask[open]") || live().contains(document.activeElement) && document.activeElement.matches("input");
  async function renew() {
    const url = new URL(location.href);
    url.searchParams.set("part", "live"); url.searchParams.delete("said"); url.searchParams.delete("n"); url.hash = "";
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
      catch { lost ??= new Date(); wait = Math.min(wait * 2, 30000); state.dataset.off = ""; state.lastElementChild.textContent = "not live since " + lost.toLocaleTimeString(); }
    }
    setTimeout(tick, wait * (0.9 + 0.2 * Math.random()));
  }
  if (state && document.body.hasAttribute("data-live")) { state.dataset.live = state.lastElementChild.textContent; setTimeout(tick, wait); }

  // What was done is said once: not again when the page is loaded anew.
  const here = new URL(location.href);
  if (here.searchParams.has("said")) { here.searchParams.delete("said"); here.searchParams.delete("n"); history.replaceState(null, "", here); }

  $("#theme").addEventListener("click", () => {
    root.dataset.theme = (root.dataset.theme || (matchMedia("(prefers-color-scheme:dark)").matches ? "dark" : "light")) === "dark" ? "light" : "dark";
    try { localStorage.setItem("sqlqueue-theme", root.dataset.theme); } catch {}
  });
  addEventListener("keydown", (e) => {
    if (e.key === "/" && !e.ctrlKey && !e.metaKey && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName) && $("input[type=search]")) { e.preventDefault(); $("input[type=search]").focus(); }
    if (e.key === "Escape") for (const d of document.querySelectorAll(".ask[open]")) d.open = false;
  });

  // A bulk operation goes step by step, each its own request, until it is finished or stopped.
  addEventListener("submit", async (e) => {
    const form = e.target, url = form.dataset.steps;
    if (!url) return;
    e.preventDefault();
    const [finished, stopped, doneText, leftText] = form.dataset.words.split("|"), bar = $("progress", form), out = $("output", form), stop = $("[data-stop]", form), go = $("button:not([type])", form);
    const total = Number(form.dataset.total); let on = true;
    if (total > 0) bar.max = total;
    bar.hidden = stop.hidden = false; go.disabled = true; stop.onclick = () => { on = false; };
    const tell = (end) => { const left = Number(form.elements.left.value); out.textContent = doneText.replace("0", form.elements.done.value) + (left ? ", " + leftText.replace("0", left) : "") + (end ? ". " + end : ""); };
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
    out().textContent = `${when}: ${done} done, ${failed} failed, ${pushed} pushed`;
  }
  const leave = () => { $(".cross", chart()).setAttribute("visibility", "hidden"); out().textContent = out().dataset.rest; index = -1; };
  if (chart()) {
    const main = $("#main"), inside = (e) => e.target.closest?.("#chart");
    main.addEventListener("pointermove", (e) => { if (!inside(e)) return index >= 0 && document.activeElement !== chart() ? leave() : undefined; const b = $(".plot", chart()).getBoundingClientRect(); point(Math.round(((e.clientX - b.left) / b.width) * (chart().querySelectorAll("tbody tr").length - 1))); });
    main.addEventListener("focusout", (e) => { if (inside(e)) leave(); });
    main.addEventListener("keydown", (e) => { const d = { ArrowLeft: -1, ArrowRight: 1 }[e.key]; if (d && e.target === chart()) { e.preventDefault(); point(index < 0 ? chart().querySelectorAll("tbody tr").length - 1 : index + d); } });
  }
})();
