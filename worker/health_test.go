package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// wantHealth checks what the handlers answer: the reason why not, or none.
func wantHealth(t *testing.T, h *worker.Health, notLive, notReady string) {
	t.Helper()
	for _, c := range []struct {
		what    string
		handler http.Handler
		reason  string
	}{{"live", h.Live(), notLive}, {"ready", h.Ready(), notReady}} {
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
		code, body := http.StatusOK, regexp.MustCompile(`^{"ok":true}\n$`)
		if c.reason != "" {
			code, body = http.StatusServiceUnavailable, regexp.MustCompile(`^{"ok":false,"reason":"`+c.reason+`"}\n$`)
		}
		if w.Code != code || !body.MatchString(w.Body.String()) {
			t.Errorf("%s: got %d %swant %d %v", c.what, w.Code, w.Body, code, body)
		}
		for header, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: the header %s is %q, want %q", c.what, header, got, want)
			}
		}
	}
}

func TestD13_HealthFromStartToStop(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		h := &worker.Health{}
		release := make(chan struct{})
		b.handle(func(context.Context, *worker.Job[json.RawMessage]) error {
			<-release
			return nil
		})
		pass(time.Hour)
		wantHealth(t, h, "", "the database has not answered yet")

		b.push()
		run := b.start(worker.Config{Health: h, Timeout: -1, Grace: -1})
		for range 3 {
			pass(time.Minute) // a job that runs for long is no reason
			wantHealth(t, h, "", "")
		}
		run.cancel()
		pass(time.Minute)
		wantHealth(t, h, "", "the worker is stopping") // and its job still runs
		close(release)
		if err := run.ended(); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		wantHealth(t, h, "the worker has not come round for 1m0s", "the worker is stopping")

		run = b.start(worker.Config{Health: h}) // again
		pass(time.Second)
		wantHealth(t, h, "", "")
		run.stop()
	})
}

func TestD13_ADatabaseThatIsAwayIsNoReasonToRestart(t *testing.T) {
	away := errors.New("connection refused")
	// An answer may be refused at once, or not come for as long as the worker waits for it.
	for name, exchange := range map[string]func(ctx context.Context) error{
		"refused": func(context.Context) error { return away },
		"silent":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				h := &worker.Health{}
				b.handle(func(context.Context, *worker.Job[json.RawMessage]) error { return nil })
				run := b.start(worker.Config{Health: h})
				pass(time.Minute)
				wantHealth(t, h, "", "")

				b.store.intercept(func(ctx context.Context, _ *driver.Exchange) error { return exchange(ctx) }, nil)
				pass(10 * time.Second)
				wantHealth(t, h, "", "")
				pass(10 * time.Second)
				for range 200 {
					wantHealth(t, h, "", `the database has not answered for \d+.*s`)
					pass(time.Second)
				}

				b.store.intercept(nil, nil)
				pass(time.Minute)
				wantHealth(t, h, "", "")
				run.stop()
			})
		})
	}
}

func TestD13_AwayFromTheStart(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		h := &worker.Health{}
		b.handle(func(context.Context, *worker.Job[json.RawMessage]) error { return nil })
		b.store.check = func() error { return errors.New("connection refused") }
		run := b.start(worker.Config{Health: h})
		for range 3 {
			pass(time.Minute)
			wantHealth(t, h, "", "the database has not answered yet")
		}
		b.store.mu.Lock()
		b.store.check = nil
		b.store.mu.Unlock()
		pass(time.Minute)
		wantHealth(t, h, "", "")
		run.stop()
	})
}

func TestD13_AWorkerThatHangsIsNotLive(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		h := &worker.Health{}
		b.handle(func(context.Context, *worker.Job[json.RawMessage]) error { return nil })
		run := b.start(worker.Config{Health: h})
		pass(time.Minute)
		goOn := make(chan struct{})
		b.store.intercept(func(context.Context, *driver.Exchange) error {
			<-goOn // whatever its context says
			return nil
		}, nil)
		pass(10 * time.Second)
		wantHealth(t, h, "", "")
		pass(25 * time.Second)
		wantHealth(t, h, `the worker has not come round for 3\ds`, `the database has not answered for 3\ds`)
		close(goOn)
		pass(time.Second)
		wantHealth(t, h, "", "")
		run.stop()
	})
}
