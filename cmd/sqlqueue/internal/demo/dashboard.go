package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// kind is what the shop of the demo has done, again and again.
type kind struct {
	queue, name string
	rate        int // jobs a minute
	failing     int // percent of the runs
	tries       int
	errors      []string
	data        func(n int) map[string]any
}

var shop = []kind{
	{"mail", "send_invoice", 90, 2, 1, []string{"smtp: 421 try again later", "smtp: 550 no such user"}, func(n int) map[string]any {
		customer := map[string]any{"id": n % 977, "email": fmt.Sprintf("c%d@shop.example", n%977)}
		return map[string]any{"order_id": 40_000 + n, "customer": customer}
	}},
	{"mail", "send_newsletter", 240, 0, 1, nil, func(n int) map[string]any {
		return map[string]any{"customer_id": n, "issue": "2026-11"}
	}},
	{"images", "resize", 140, 1, 1, []string{"decode: unexpected EOF"}, func(n int) map[string]any {
		return map[string]any{"path": fmt.Sprintf("/photos/%d.jpg", n), "sizes": []int{64, 640, 1920}}
	}},
	{"billing", "charge_card", 60, 4, 1, []string{"card declined", "gateway: timeout after 10s"}, func(n int) map[string]any {
		return map[string]any{"order_id": 40_000 + n, "amount": "19.90", "card_token": "tok_1"}
	}},
	{"search", "reindex", 60, 0, 1, nil, func(n int) map[string]any { return map[string]any{"product_id": n} }},
}

// showDashboard fills a queue, works on it, and shows it in a browser, until ctx ends.
func showDashboard(ctx context.Context, out io.Writer, file string, listen string) error {
	db, q, err := open(file)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := fillShop(ctx, db, q); err != nil {
		return err
	}
	h, err := dashboard.New(q, dashboard.Config{Name: "demo shop"})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: longest}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = workInShop(ctx, q); stop() })
	wg.Go(func() { pushInShop(ctx, q) })
	wg.Go(func() { <-ctx.Done(); _ = server.Close() })
	fmt.Fprintf(out, "http://%s/\nCtrl-C ends it.\n", listener.Addr())
	err = server.Serve(listener)
	stop()
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, failed)
}

// fillShop makes the tables, an hour that has gone by, and what waits now.
func fillShop(ctx context.Context, db *sql.DB, q *sqlqueue.Queue) error {
	m, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		return err
	}
	if _, err := m.Up(ctx); err != nil {
		return err
	}
	beat := driver.Beat{Worker: driver.Worker{
		ID: "5f0c2a9d71be4863", Name: "app-2/worker", Host: "app-2", PID: 4711, Queues: []string{"search", "exports"}, Concurrency: 4,
	}}
	minute := time.Now().UTC().Truncate(time.Minute)
	for i := range 60 {
		for _, k := range shop {
			done := int64(k.rate*(70+rand.IntN(40))/100 + k.rate*(i%20)/40) //nolint:gosec // what looks like life
			failed := int64(0)
			if k.failing > 0 && rand.IntN(100) < 8*k.failing { //nolint:gosec // the same
				failed = int64(k.failing)
			}
			beat.Counts = append(beat.Counts, driver.Count{
				Queue: k.queue, Minute: minute.Add(-time.Duration(i+1) * time.Minute), Done: done, Failed: failed, Released: failed,
			})
			name := &driver.NameCount{
				Minute: minute.Add(-time.Duration(i+1) * time.Minute),
				Queue:  k.queue, Name: k.name, Done: done, Failed: failed, Released: failed,
			}
			for range done + 2*failed {
				name.Run.Add(time.Duration(rand.ExpFloat64() * float64(80*time.Millisecond))) //nolint:gosec // the same
				name.Wait.Add(time.Duration(rand.ExpFloat64() * float64(time.Second)))        //nolint:gosec // the same
			}
			beat.Names = append(beat.Names, name)
		}
	}
	if err := q.Beat(ctx, beat); err != nil {
		return err
	}
	for i := range 40 {
		remind := sqlqueue.Named("remind", map[string]any{"order_id": 40_000 + i})
		if _, err := q.Later(ctx, time.Duration(i+1)*7*time.Minute, remind, sqlqueue.OnQueue("mail")); err != nil {
			return err
		}
		for _, k := range shop {
			if _, err := q.Push(ctx, sqlqueue.Named(k.name, k.data(i)), sqlqueue.OnQueue(k.queue), sqlqueue.Tries(k.tries)); err != nil {
				return err
			}
		}
		export := sqlqueue.Named("export", map[string]any{"year": 2026, "part": i})
		if _, err := q.Push(ctx, export, sqlqueue.OnQueue("exports")); err != nil {
			return err
		}
	}
	return operator.New(q).Control(ctx, "exports", operator.ControlChange{Pause: true, PauseFor: time.Hour})
}

// pushInShop pushes what the shop would, until ctx ends.
func pushInShop(ctx context.Context, q *sqlqueue.Queue) {
	const perMinute = 60
	for n := 0; ; n++ {
		for _, k := range shop {
			for range (k.rate + rand.IntN(perMinute)) / perMinute { //nolint:gosec // what looks like life
				_, _ = q.Push(ctx, sqlqueue.Named(k.name, k.data(n)), sqlqueue.OnQueue(k.queue), sqlqueue.Tries(k.tries))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// workInShop runs the shop's jobs, most of them well, until ctx ends.
func workInShop(ctx context.Context, q *sqlqueue.Queue) error {
	mux := worker.NewMux()
	for _, k := range shop {
		mux.HandleFunc(k.name, func(ctx context.Context, _ *worker.Job[json.RawMessage]) error {
			const longestRun = 2000
			select {
			case <-time.After(time.Duration(50+rand.IntN(longestRun)) * time.Millisecond): //nolint:gosec // what looks like life
			case <-ctx.Done():
				return ctx.Err()
			}
			if rand.IntN(100) < k.failing { //nolint:gosec // the same
				return errors.New(k.errors[rand.IntN(len(k.errors))]) //nolint:gosec // the same
			}
			return nil
		})
	}
	const atOnce = 12
	return worker.New(q, mux, worker.Config{
		Queues: []string{"billing", "mail", "images", "search"}, Fair: true, Concurrency: atOnce, Logger: slog.New(slog.DiscardHandler),
	}).Run(ctx)
}
