package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// looks are each width, and each theme.
var looks = []struct {
	theme string
	width int64
}{{"light", 390}, {"dark", 1280}, {"light", 1920}}

// look sets the theme and the width of the window.
func (b *tab) look(theme string, width int64) {
	b.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}
	b.run(emulation.SetEmulatedMedia().WithFeatures(features), chromedp.EmulateViewport(width, 900))
}

// TestEveryPage: each page, at three widths and in both themes, breaks no rule of accessibility, scrolls in no wrong direction, and says
// nothing in the console.
func TestEveryPage(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		empty := []string{
			"", "jobs", "failed", "workers", "push", "queue?name=nothing", "schedules", "schedules/new", "batches", "errors", "activity", "names",
			"subscriptions",
		}
		b := newTab(t)
		for _, path := range empty {
			if b.open(s.url + path); !s.server {
				b.accessible("empty " + path)
			}
		}
		s.fill()
		id := s.push("mail", "send_invoice", `{"order_id": 1, "lines": [{"sku": "a", "n": 1}]}`,
			sqlqueue.Then(sqlqueue.Chain(sqlqueue.Named("pack", 1), sqlqueue.Named("ship", 2))), sqlqueue.Catch(sqlqueue.Named("apologize", 3)))
		for _, path := range []string{
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
				b.look(look.theme, look.width)
				b.accessible(fmt.Sprintf("/%s, %s, %d wide", path, look.theme, look.width))
			}
		}
	})
}
