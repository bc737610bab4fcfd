// Command httpserver is a web server and a worker in one process. An order and the job that sends its invoice are written in one
// transaction; at TERM or INT the process stops accepting requests, answers those that it has, finishes the jobs that run, and exits 0.
//
//	go run ./examples/httpserver
//	curl -d tea localhost:8080/orders    # {"order":1}
//	curl localhost:8080/orders/1         # {"invoiced":true,"item":"tea","order":1}
//	curl localhost:8080/readyz           # {"ok":true}
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

const finishWithin = 30 * time.Second // how long jobs that run may take, after the requests: the supervisor must wait for both

func main() {
	address := flag.String("address", "localhost:8080", "where to listen")
	file := flag.String("database", "shop.db", "SQLite file")
	takes := flag.Duration("invoice-takes", 100*time.Millisecond, "how long an invoice takes to send")
	answerWithin := flag.Duration("answer-within", 10*time.Second, "how long requests that are under way may take after a signal")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, func() {
		stop()
		slog.Info("signal: finishing; a second one ends it at once")
	})
	if err := run(ctx, *address, *file, *takes, *answerWithin); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, or the server or the worker does by itself.
func run(ctx context.Context, address, file string, takes, answerWithin time.Duration) (err error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := migrate(ctx, db); err != nil {
		return err
	}
	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		return err
	}
	s := &shop{db: db, queue: q, takes: takes, health: &worker.Health{}}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}

	// The worker has a context of its own, because it stops after the server.
	working, stopWorker := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorker()
	worked := make(chan error, 1)
	go func() {
		worked <- worker.New(q, s.jobs(), worker.Config{Grace: finishWithin, Health: s.health}).Run(working)
	}()
	server := &http.Server{Handler: s.requests(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	slog.Info("listening", "address", listener.Addr().String())

	var ended error
	select {
	case <-ctx.Done():
	case ended = <-served:
	case ended = <-worked: // nil if an operator has told workers to restart: the whole process then does
		worked <- nil
	}
	answering, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	notAnswered := server.Shutdown(answering)
	stopWorker()
	return errors.Join(ended, notAnswered, <-worked)
}

func migrate(ctx context.Context, db *sql.DB) error {
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		return err
	}
	if _, err := migrator.Up(ctx); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx,
		"CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, invoiced INTEGER NOT NULL DEFAULT 0)")
	return err
}

// SendInvoice is the job that follows an order.
type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

// JobName is stored with the job: it never changes.
func (SendInvoice) JobName() string { return "send_invoice" }

type shop struct {
	db     *sql.DB
	queue  *sqlqueue.Queue
	takes  time.Duration
	health *worker.Health
}

func (s *shop) requests() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.placeOrder)
	mux.HandleFunc("GET /orders/{id}", s.showOrder)
	mux.Handle("GET /livez", s.health.Live())
	mux.Handle("GET /readyz", s.health.Ready())
	return mux
}

func (s *shop) jobs() *worker.Mux {
	mux := worker.NewMux()
	worker.Handle(mux, s.sendInvoice)
	return mux
}

func (s *shop) placeOrder(w http.ResponseWriter, r *http.Request) {
	item, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1000))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, err := s.insertOrder(r.Context(), string(item))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, map[string]any{"order": id})
}

// insertOrder writes the order and its job: both are there, or neither.
func (s *shop) insertOrder(ctx context.Context, item string) (int64, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	var id int64
	if err := tx.QueryRowContext(ctx, "INSERT INTO orders (item) VALUES (?) RETURNING id", item).Scan(&id); err != nil {
		return 0, err
	}
	if _, err := sqlitequeue.WithTx(s.queue, tx).Push(ctx, SendInvoice{OrderID: id}); err != nil {
		return 0, err
	}
	return id, tx.Commit()
}

func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	var id int64
	var item string
	var invoiced bool
	err := s.db.QueryRowContext(r.Context(), "SELECT id, item, invoiced FROM orders WHERE id = ?", r.PathValue("id")).
		Scan(&id, &item, &invoiced)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		http.NotFound(w, r)
	case err != nil:
		refuse(w, err)
	default:
		answer(w, map[string]any{"order": id, "item": item, "invoiced": invoiced})
	}
}

// sendInvoice goes on after a signal, until it is done or finishWithin is over: then ctx ends.
func (s *shop) sendInvoice(ctx context.Context, job *worker.Job[SendInvoice]) error {
	slog.Info("sending", "order", job.Data.OrderID)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if _, err := s.db.ExecContext(ctx, "UPDATE orders SET invoiced = 1 WHERE id = ?", job.Data.OrderID); err != nil {
		return fmt.Errorf("order %d: %w", job.Data.OrderID, err)
	}
	return nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}

func refuse(w http.ResponseWriter, err error) {
	slog.Error("request failed", "error", err)
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}
