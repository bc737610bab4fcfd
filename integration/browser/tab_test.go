package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take on a busy machine to come to be what a test waits for.
const patience = 60 * time.Second

// tab is a page in a window of its own.
type tab struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // the browser's page

	mu    sync.Mutex
	lines []string // what the console said, refusals of the content policy too, and dialogs
}

// newTab opens a tab 1280 wide. At the test's end nothing may stand in its console: a test that expects something there takes it with
// heard.
func newTab(t *testing.T, before ...chromedp.Action) *tab {
	t.Helper()
	browser, err := theBrowser()
	if err != nil {
		t.Fatal(err)
	}
	executor := cdp.WithExecutor(browser, chromedp.FromContext(browser).Browser)
	own, err := target.CreateBrowserContext().Do(executor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.DisposeBrowserContext(own).Do(executor) })
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(own).WithNewWindow(true).Do(executor)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := chromedp.NewContext(browser, chromedp.WithTargetID(id))
	t.Cleanup(stop)
	b := &tab{t: t, ctx: ctx}
	b.run(chromedp.ActionFunc(func(context.Context) error { return nil }))
	chromedp.ListenTarget(ctx, b.listen)
	b.run(log.Enable(), emulation.SetFocusEmulationEnabled(true), chromedp.EmulateViewport(1280, 800))
	b.run(before...)
	t.Cleanup(func() {
		if lines := b.heard(); len(lines) > 0 {
			t.Errorf("the console says: %s", strings.Join(lines, "\n"))
		}
	})
	return b
}

// inChinese makes a tab ask for pages in Chinese.
var inChinese = chromedp.Tasks{network.Enable(), network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})}

func (b *tab) listen(event any) {
	line := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		line = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	case *runtime.EventConsoleAPICalled:
		line = string(e.Type)
		for _, a := range e.Args {
			line += " " + string(a.Value) + a.Description
		}
	case *runtime.EventExceptionThrown:
		line = e.ExceptionDetails.Error()
	case *page.EventJavascriptDialogOpening:
		line = "a dialog opened: " + e.Message
		go func() { _ = chromedp.Run(b.ctx, page.HandleJavaScriptDialog(false)) }()
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
}

// heard takes what the console has said.
func (b *tab) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := b.lines
	b.lines = nil
	return lines
}

//nolint:contextcheck // it has that of the tab
func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	if chromedp.FromContext(b.ctx).Target == nil { // the first run makes the tab, which ends with its context
		stop()
		ctx, stop = b.ctx, func() {}
	}
	defer stop()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to an address.
func (b *tab) open(url string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url))
}

// is evaluates an expression, which is awaited.
func is[T any](b *tab, expression string, a ...any) T {
	b.t.Helper()
	var value T
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	b.run(chromedp.Evaluate(quoted(expression, a), &value, await))
	return value
}

// quoted puts values into an expression as JavaScript writes them.
func quoted(expression string, a []any) string {
	if len(a) == 0 {
		return expression
	}
	texts := make([]any, len(a))
	for i, value := range a {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		texts[i] = text
	}
	return fmt.Sprintf(expression, texts...)
}

// until waits for a condition of the page.
func (b *tab) until(expression string, a ...any) {
	b.t.Helper()
	expression = quoted(expression, a)
	deadline := time.Now().Add(patience)
	for {
		holds, err := b.holds(expression)
		if holds {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the page does not come to %s (%v): %s", expression, err, b.text("body"))
		}
		<-time.After(50 * time.Millisecond)
	}
}

// holds says whether an expression is true of the page. While one page follows another nothing is, and err says why.
func (b *tab) holds(expression string) (holds bool, err error) {
	err = chromedp.Run(b.ctx, chromedp.Evaluate("!!("+expression+")", &holds))
	return holds && err == nil, err
}

// text is what people read of the first element that a selector finds.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return is[string](b, `document.querySelector(%s)?.innerText ?? ""`, selector)
}

// shows waits until the page has a text.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.until(`document.body?.innerText.includes(%s)`, text)
}

// click clicks an element as a mouse does. It is for links and buttons that lead to another page: until it is there.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// follow clicks, and waits for the page that comes.
func (b *tab) follow(selector string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible)); err != nil {
		b.t.Fatalf("%s leads nowhere: %v", selector, err)
	}
}

// keys presses keys, one after the other, wherever the focus is.
func (b *tab) keys(keys string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(keys))
}

// tabTo moves the focus on, by the tab key alone, until it is at an element of which an expression about e holds.
func (b *tab) tabTo(expression string, a ...any) {
	b.t.Helper()
	expression = quoted(expression, a)
	const most = 300
	for range most {
		b.keys("\t")
		if holds, _ := b.holds(`((e) => ` + expression + `)(document.activeElement)`); holds {
			return
		}
	}
	b.t.Fatalf("the tab key does not lead to %s", expression)
}

// accessible runs axe, all its rules, and wants no violation, and no scrolling sideways.
func (b *tab) accessible(where string) {
	b.t.Helper()
	script, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	if !is[bool](b, `"axe" in window`) {
		b.run(chromedp.Evaluate(script, nil))
	}
	found := is[[]string](b, `axe.run().then((r) => r.violations.map((v) => v.id + ": " + v.help + ": " +
		v.nodes.map((n) => n.html.slice(0, 200) + " " + n.failureSummary).join("; ")))`)
	for _, violation := range found {
		b.t.Errorf("%s: %s", where, violation)
	}
	if over := is[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
		b.t.Errorf("%s: it scrolls sideways, by %d pixels: %s", where, over, is[[]string](b,
			`[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest(".scroll")).
			slice(0, 5).map((e) => e.outerHTML.slice(0, 100))`))
	}
	if lines := is[int](b, `new Set([...document.querySelectorAll("nav.main a")].map((a) => a.offsetTop)).size`); lines > 1 {
		b.t.Errorf("%s: the navigation takes %d lines", where, lines)
	}
}
