package browser

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestHostileNamesAndData: names, data and errors that try to become something else stay text, and every button acts on what it stands at.
func TestHostileNamesAndData(t *testing.T) {
	names := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `{{.Base}}`, `javascript:alert(1)`,
		`' onmouseover='alert(1)`, `%2e%2e%2f`, `a"b\c`, "\u202eevil\u202c",
		`../../jobs`, `a/b?c#d&e=f`, `</title><b>`, `</textarea><script>alert(1)</script>`,
	}
	each(t, func(t *testing.T, s *site) {
		names := names
		if s.server {
			names = names[4:8] // those that mean something to a database, or may be kept otherwise
		}
		b := newTab(t)
		whole := func(path string) {
			t.Helper()
			b.open(s.url + path)
			if n := is[int](b, `document.querySelectorAll(`+
				`"main script, main img, main [onerror], main [onload], main [onmouseover]").length +
				document.querySelectorAll("title *, textarea *").length`); n > 0 {
				t.Errorf("%s: %d nodes were injected", path, n)
			}
		}
		for _, name := range names {
			id := s.push(name, name, fmt.Sprintf(`{%q: "</textarea><script>alert(1)</script>", "deep": %s1%s, "n": 9223372036854775808,
				"rtl": "\u202e", "nul": "\\u0000"}`, "<b>k", strings.Repeat("[", 25), strings.Repeat("]", 25)))
			s.push(name, name, `{}`)
			s.fail(name, 1, `<svg onload=alert(1)> `+name, "<script>alert(1)</script>\x1b[31m")
			left, err := s.o.Jobs(t.Context(), operator.JobFilter{Queue: name, Limit: 1})
			if err != nil || len(left) != 1 || left[0].ID == id {
				t.Fatalf("%v, %v", left, err)
			}
		}
		s.push("big", "big", `{"big": "`+strings.Repeat("<b>", 300_000)+`"}`)
		s.beat("w1", names[1], names[0], names[3])
		for _, path := range []string{
			"", "jobs", "failed", "workers", "push", "bulk/cancel", "bulk/retry", "jobs?q=%3Cscript%3Ealert(1)", "queue?name=%3Cscript%3E",
			"?said=%3Cb%3E&n=%3Cb%3E", "jobs?q=name:big",
		} {
			whole(path)
		}
		failed, err := s.o.FailedJobs(t.Context(), operator.FailedFilter{Limit: 100})
		if err != nil || len(failed) != len(names) {
			t.Fatalf("%d, %v", len(failed), err)
		}
		for _, f := range failed {
			whole(fmt.Sprintf("failed/%d", f.ID))
		}
		jobs, err := s.o.Jobs(t.Context(), operator.JobFilter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range jobs {
			whole(fmt.Sprintf("jobs/%d", job.ID))
		}
		for _, name := range names {
			b.open(s.url)
			row := quoted(`[...document.querySelectorAll("table.queues tr")].find((r) => new URL(r.querySelector("a")?.href ?? "x:").
				searchParams.get("name") === %s)`, []any{name})
			b.until(row)
			is[bool](b, row+`.querySelector("form button").click(), true`)
			b.shows("Paused.")
			if !s.paused(name) {
				t.Errorf("the button of %q paused something else", name)
			}
			b.until(row)
			is[bool](b, row+`.querySelector("a").click(), true`)
			b.until(`location.pathname.endsWith("/queue") && document.querySelector(".kpi a[href^=jobs]")`)
			is[bool](b, `document.querySelector(".kpi a[href^=jobs]").click(), true`)
			b.until(`location.pathname.endsWith("/jobs")`)
			b.shows("1 shown")
		}
	})
}

// TestKeyboard: what a mouse can do, keys can: find a job, open it, edit it, retry what failed, cancel all that match.
func TestKeyboard(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.fill()
		id := s.push("mail", "remind", `{"n": 1}`, sqlqueue.Delay(time.Hour))
		b := newTab(t)
		b.open(s.url)
		b.keys("\t") // to the link that leads past the navigation
		b.keys(kb.Enter)
		b.until(`location.hash === "#main"`)
		b.open(s.url + "jobs")
		b.run(input.DispatchKeyEvent(input.KeyDown).WithKey("/").WithCode("Slash").WithText("/"), // KeyEvent would type it all the same
			input.DispatchKeyEvent(input.KeyUp).WithKey("/").WithCode("Slash"))
		b.until(`document.activeElement.matches("input[type=search]")`)
		b.keys(fmt.Sprintf("id:%d", id))
		b.keys(kb.Enter)
		b.shows("1 shown")
		b.tabTo(`e.pathname === %s`, fmt.Sprintf("/jobs/%d", id))
		b.keys(kb.Enter)
		b.shows(fmt.Sprintf("Job %d", id))

		b.tabTo(`e.matches("summary.head")`)
		b.keys(kb.Enter)
		b.tabTo(`e.name === "priority"`)
		b.keys("7")
		b.tabTo(`e.textContent === "Save"`)
		b.keys(kb.Enter)
		b.shows("Saved.")
		if job := s.job(id); job.Priority != 7 {
			t.Errorf("the priority is %d", job.Priority)
		}

		b.open(s.url + "failed")
		b.tabTo(`e.textContent.startsWith("Retry") && e.closest("tr")?.textContent.includes("disk full")`)
		b.keys(kb.Enter)
		b.shows("Retry failed jobs")
		b.tabTo(`e.textContent === "Retry them"`)
		b.keys(kb.Enter)
		b.shows("Finished.")
		if n := s.count(operator.JobFilter{Queue: "exports", NotReserved: true}); n != 3-1+1 {
			t.Errorf("%d jobs wait", n)
		}

		b.open(s.url + "jobs?q=name:send_newsletter")
		b.tabTo(`e.textContent.startsWith("Cancel") && e.search?.includes("send_newsletter")`)
		b.keys(kb.Enter)
		b.shows("How many")
		b.tabTo(`e.name === "confirm"`)
		b.keys("cancel")
		b.keys(kb.Enter)
		b.shows("60 done")
		if n := s.count(operator.JobFilter{Name: "send_newsletter"}); n > 0 {
			t.Errorf("%d are left", n)
		}
		b.tabTo(`e.textContent === "Undo"`)
		b.keys(kb.Enter)
		b.shows("60 done Finished.")
		if n := s.count(operator.JobFilter{Name: "send_newsletter"}); n != 60 {
			t.Errorf("%d are back", n)
		}
	})
}

// TestNoJavaScript: pages without script do the same.
func TestNoJavaScript(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.fill()
		id := s.push("mail", "remind", `{"n": 1}`)
		b := newTab(t, emulation.SetScriptExecutionDisabled(true))
		b.open(s.url)
		b.follow(`nav a[href$=jobs]`)
		b.run(chromedp.SendKeys("input[type=search]", fmt.Sprintf("id:%d%s", id, kb.Enter), chromedp.ByQuery))
		b.shows("1 shown")
		b.follow(fmt.Sprintf(`a[href="jobs/%d"]`, id))
		b.click("summary.head")
		b.run(chromedp.SetValue(`input[name=queue]`, "other", chromedp.ByQuery))
		b.follow("form.fields button")
		b.shows("Saved.")
		if job := s.job(id); job.Queue != "other" {
			t.Errorf("the queue is %s", job.Queue)
		}
		b.click(".ask:last-of-type summary")
		b.follow(`form[action$=cancel] button`)
		b.shows("The job is cancelled.")
		b.follow("form[action*=restore] button")
		b.shows("1 done")
		if n := s.count(operator.JobFilter{Queue: "other", Name: "remind"}); n != 1 {
			t.Errorf("%d are back", n)
		}
		b.open(s.url + "bulk/retry?q=queue:exports")
		b.follow("form.fields button.primary")
		b.shows("2 done")
		b.open(s.url)
		b.follow(`tr[id="q-images"] form button, tr[id="q-mail"] form button`)
		b.shows("Paused.")
		b.open(s.url + "push")
		b.run(chromedp.SetValue("input[name=queue]", "q1", chromedp.ByQuery), chromedp.SetValue("input[name=name]", "n1", chromedp.ByQuery),
			chromedp.SetValue("textarea[name=data]", `{"a": `, chromedp.ByQuery))
		b.follow("form.fields button.primary")
		b.shows("not JSON")
		b.heard() // an answer of 422 is a line in the console
		b.run(chromedp.SetValue("textarea[name=data]", `{"a": 1}`, chromedp.ByQuery))
		b.follow("form.fields button.primary")
		b.shows("Pushed.")
		if n := s.count(operator.JobFilter{Queue: "q1", Name: "n1"}); n != 1 {
			t.Errorf("%d were pushed", n)
		}
	})
}

// TestRefreshKeeps: a page that renews itself takes away nothing that somebody reads, types, checks or has opened.
func TestRefreshKeeps(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.fill()
		s.url = serve(t, s.handler(dashboard.Config{Refresh: 500 * time.Millisecond}))
		id := s.push("late", "slow", `{"a": {"b": 1}}`, sqlqueue.Delay(time.Hour))
		b := newTab(t)
		renewed := func(times int) { // counts what the page asks for, of which it makes itself new
			t.Helper()
			is[bool](b, `window.seen = performance.getEntriesByType("resource").filter((e) => e.name.includes("part=live")).length, true`)
			b.until(`performance.getEntriesByType("resource").filter((e) => e.name.includes("part=live")).length >= window.seen + %s`,
				times)
		}
		b.open(s.url)
		b.until(`document.querySelector("#chart details").open = true`)
		b.run(chromedp.EmulateViewport(1280, 400))
		is[bool](b, `scrollTo(0, 150), document.querySelector("#chart").focus(), window.kept = document.querySelector("#q-mail"), true`)
		b.until(`scrollY > 0`)
		at := is[float64](b, `scrollY`)
		s.pushes(7, "late", "more")
		b.until(`[...document.querySelectorAll("tr")].some((r) => r.id === "q-late" && r.cells[1].textContent === "7")`)
		b.until(`document.activeElement.id === "chart" && document.querySelector("#chart details").open && window.kept.isConnected`)
		if now := is[float64](b, `scrollY`); now != at {
			t.Errorf("the page was scrolled by %v, and is by %v", at, now)
		}

		b.open(s.url + "jobs?q=queue:late")
		b.click(`tbody input[type=checkbox]`)
		s.pushes(1, "late", "hidden while checked")
		is[bool](b, `new Promise((r) => setTimeout(() => r(true), 1500))`) // more than two refreshes: nothing may happen
		if strings.Contains(b.text("main"), "hidden while checked") || !is[bool](b, `document.querySelector("tbody input").checked`) {
			t.Error("a list with a checked row was renewed")
		}
		b.click(`tbody input[type=checkbox]`)
		is[bool](b, `document.activeElement.blur(), true`)
		b.shows("hidden while checked")

		b.until(`((e) => { e.focus(); e.setSelectionRange(99, 99); return true; })(document.querySelector("input[type=search]"))`)
		b.keys(" typing")
		s.pushes(1, "late", "comes while typing")
		b.shows("comes while typing")
		if value := is[string](b, `document.activeElement.value`); value != "queue:late typing" {
			t.Errorf("what was typed is %q", value)
		}

		b.open(s.url + "jobs/" + strconv.FormatInt(id, 10))
		is[bool](b,
			`document.querySelector("details.raw").open = true, getSelection().selectAllChildren(document.querySelector("h1")), true`)
		is[bool](b, `new Promise((r) => setTimeout(() => r(true), 1500))`)
		if got := is[string](b, `getSelection().toString()`); got != fmt.Sprintf("Job %d", id) {
			t.Errorf("selected is %q", got)
		}
		is[bool](b, `getSelection().removeAllRanges(), true`)
		renewed(2)
		if !is[bool](b, `document.querySelector("details.raw").open`) {
			t.Error("open details were closed")
		}
	})
}

// TestTwoOperators: of two who edit one job, the second is told what the first has changed, and keeps what was typed.
func TestTwoOperators(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		id := s.push("mail", "remind", `{"n": 1}`)
		url := s.url + "jobs/" + strconv.FormatInt(id, 10)
		first, second := newTab(t), newTab(t)
		for _, b := range []*tab{first, second} {
			b.open(url)
			b.click("summary.head")
		}
		first.run(chromedp.SetValue("input[name=priority]", "5", chromedp.ByQuery))
		first.follow("form.fields button")
		first.shows("Saved.")
		second.run(chromedp.SetValue("textarea[name=data]", `{"n": 2}`, chromedp.ByQuery))
		second.follow("form.fields button")
		second.shows("changed by somebody else: priority")
		second.heard() // an answer of 422 is a line in the console
		if value := is[string](second, `document.querySelector("textarea[name=data]").value`); value != `{"n": 2}` {
			t.Errorf("what was typed is %q", value)
		}
		second.run(chromedp.SetValue("input[name=priority]", "5", chromedp.ByQuery))
		second.follow("form.fields button")
		second.shows("Saved.")
		job := s.job(id)
		if data := string(job.Payload); job.Priority != 5 || !strings.Contains(data, `"n": 2`) && !strings.Contains(data, `"n":2`) {
			t.Errorf("priority %d, %s", job.Priority, data)
		}
		first.open(s.url)
		second.open(s.url)
		if _, err := s.o.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		first.open(url)
		first.shows("not there any more")
		first.heard()
	})
}

// TestBulkStops: a bulk change that is stopped has done what it says, and goes on from there.
func TestBulkStops(t *testing.T) {
	const all = 11_000 // more than are counted before
	each(t, func(t *testing.T, s *site) {
		for range all / 1000 {
			s.pushes(1000, "mail", "send_newsletter")
		}
		s.pushes(10, "mail", "send_invoice")
		b := newTab(t)
		b.open(s.url + "bulk/cancel?q=name:send_newsletter")
		b.shows("10,000+")
		b.run(chromedp.SendKeys("input[name=confirm]", "cancel", chromedp.ByQuery))
		is[bool](b, `new MutationObserver((_, observer) => { // stops after the second step
			if (document.querySelector("[name=done]").value < 2000) return;
			observer.disconnect();
			document.querySelector("[data-stop]").click();
		}).observe(document.querySelector("output"), {childList: true, characterData: true, subtree: true}), true`)
		b.click("form.fields button.danger")
		b.shows("Stopped.")
		done := is[int](b, `Number(document.querySelector("[name=done]").value)`)
		if left := s.count(operator.JobFilter{Name: "send_newsletter"}); done < 2000 || done > all/2 || left != all-done {
			t.Errorf("%d are done, and %d left", done, left)
		}
		s.pushes(5, "mail", "send_newsletter") // later than the page
		b.click("form.fields button.danger")
		b.shows("Finished.")
		b.shows(fmt.Sprintf("%d done", all))
		if left := s.count(operator.JobFilter{}); left != 15 {
			t.Errorf("%d jobs are left, not the 10 others and the 5 that came later", left)
		}
		b.open(s.url + "activity")
		b.follow(`a[href^="bulk/restore"]`)
		b.shows("Undo a cancellation")
		b.click("form.fields button.primary")
		b.shows(fmt.Sprintf("%d done", all))
		if n := s.count(operator.JobFilter{Name: "send_newsletter"}); n != all+5 {
			t.Errorf("%d are back", n)
		}
	})
}

// TestNames: names are sorted by the column that is clicked, and lead to their charts, without JavaScript too.
func TestNames(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.beat("w1", "app-1/worker", "mail")
		for _, disabled := range []bool{false, true} {
			b := newTab(t, emulation.SetScriptExecutionDisabled(disabled))
			b.open(s.url + "names")
			if got := b.text("tbody tr td a"); got != "send_invoice" {
				t.Errorf("without JavaScript: %v: the name with the most runs is %q", disabled, got)
			}
			b.follow(`th a[href*="sort=run95"]`)
			if got := b.text("tbody tr td a"); got != "remind" {
				t.Errorf("without JavaScript: %v: the slowest name is %q", disabled, got)
			}
			b.follow("tbody tr td a")
			b.shows("As a table")
			if n := is[int](b, `document.querySelectorAll("[aria-labelledby=h-names-run] polyline.line-b").length`); n == 0 {
				t.Errorf("without JavaScript: %v: the page of a name has no line of p95", disabled)
			}
		}
	})
}
