package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// look is how a page looks.
type look struct {
	theme string
	width int64
}

// looks are each width, and each theme.
var looks = []look{{"light", 390}, {"dark", 1280}, {"light", 1920}}

// look sets the theme and the width of the window.
func (b *tab) look(l look) {
	b.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.theme}}
	b.run(emulation.SetEmulatedMedia().WithFeatures(features), chromedp.EmulateViewport(l.width, 900))
}

// finish has a worker run a job that is kept, with a result, and cancels others. It returns the job's id and the address of the undo.
func (s *site) finish() (id int64, undo string) {
	s.t.Helper()
	ctx := s.t.Context()
	id = s.push("reports", "report", `{"month": "2026-10", "format": "pdf"}`, sqlqueue.Keep(24*time.Hour))
	s.push("reports", "report", `{"month": "2026-09"}`, sqlqueue.Keep(24*time.Hour))
	mux := worker.NewMux()
	mux.HandleFunc("report", func(_ context.Context, job *worker.Job[json.RawMessage]) error {
		return job.SetResult(map[string]any{
			"link": "https://files.example/reports/2026-10-with-a-long-name.pdf", "pages": 12, "token": "x",
		})
	})
	config := worker.Config{Queues: []string{"reports"}, StopWhenEmpty: true, Logger: slog.New(slog.DiscardHandler)}
	if err := worker.New(s.q, mux, config).Run(ctx); err != nil {
		s.t.Fatal(err)
	}
	s.pushes(3, "mail", "send_offer")
	const key = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if _, err := s.o.As("ann", "test").Undoable(key).CancelAll(ctx, operator.JobFilter{Name: "send_offer"}); err != nil {
		s.t.Fatal(err)
	}
	return id, "bulk/restore?q=" + key
}

// TestEveryPage: each page, at three widths and in both themes, breaks no rule of accessibility, scrolls in no wrong direction, and says
// nothing in the console.
func TestEveryPage(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		empty := []string{
			"", "jobs", "failed", "workers", "push", "queue?name=nothing", "schedules", "schedules/new", "batches", "errors", "activity",
			"names", "subscriptions", "done",
		}
		b := newTab(t)
		for _, path := range empty {
			if b.open(s.url + path); !s.server {
				b.accessible("empty " + path)
			}
		}
		s.fill()
		id := s.push("mail", "send_invoice", `{"order_id": 1, "lines": [{"sku": "a", "n": 1}]}`,
			sqlqueue.Then(sqlqueue.Chain(sqlqueue.Named("pack", 1), sqlqueue.Named("ship", 2))),
			sqlqueue.Catch(sqlqueue.Named("apologize", 3)))
		finished, undo := s.finish()
		for _, path := range []string{
			"done", "done?queue=reports", fmt.Sprintf("jobs/%d", finished), undo,
			"?said=cancelled&n=3&undo=" + strings.TrimPrefix(undo, "bulk/restore?q="),
			"", "?range=24h", "queue?name=mail", "queue?name=exports", "jobs", "jobs?q=state:delayed", "jobs?q=nonsense",
			fmt.Sprintf("jobs/%d", id), "failed", "failed?q=queue:images", "failed/1", "workers", "push", fmt.Sprintf("push?job=%d", id),
			"batches", "batches/1", "errors", "errors/1", "activity",
			"names", "names?sort=run95&range=24h", "names/show?queue=mail&name=send_invoice", "?range=30d", "queue?name=mail&range=7d",
			"subscriptions", "settings",
			"bulk/cancel?q=queue:mail", "bulk/retry?q=queue:images", "bulk/clear?q=queue:mail", "queue?name=tenants", "schedules",
			"schedules/show?name=report", "schedules/new?when=@daily",
		} {
			b.open(s.url + path)
			if s.server {
				continue // a page looks the same whatever database it is of
			}
			for _, look := range looks {
				b.look(look)
				b.accessible(fmt.Sprintf("/%s, %s, %d wide", path, look.theme, look.width))
				b.show(path, look, "en")
			}
		}
	})
}
