package guide

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

func work(ctx context.Context, q *sqlqueue.Queue, mux *worker.Mux) error {
	return worker.New(q, mux, worker.Config{
		Queues:      []string{"high", "default", "mail/*"},
		Concurrency: 20,
	}).Run(ctx) // until ctx ends
}

func TestWork(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ran := make(chan string, 3)
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[SendInvoice]) error {
		ran <- job.Queue
		if len(ran) == 3 {
			stop()
		}
		return nil
	})
	if _, err := q.Push(ctx, SendInvoice{OrderID: 42}, sqlqueue.OnQueue("default", "high", "mail/7")); err != nil {
		t.Fatal(err)
	}
	if err := work(ctx, q.Queue, mux); err != nil {
		t.Fatal(err)
	}
	if len(ran) != 3 {
		t.Errorf("%d jobs ran, want one of each queue", len(ran))
	}
}

func pauseMail(ctx context.Context, q *sqlqueue.Queue) error {
	return operator.New(q).As("ada", "admin page").Control(ctx, "mail", operator.ControlChange{
		Pause:    true,
		PauseFor: 10 * time.Minute, // without it the queue is paused until somebody resumes it
	})
}

func TestPauseMail(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	if err := pauseMail(t.Context(), q.Queue); err != nil {
		t.Fatal(err)
	}
	queues, err := operator.New(q.Queue).Queues(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range queues {
		if queue.Queue == "mail" && queue.Control.Paused {
			return
		}
	}
	t.Errorf("mail is not paused: %+v", queues)
}

type Visit struct {
	Page string `json:"page"`
}

func (Visit) JobName() string { return "visit" }

func insertVisits(ctx context.Context, db *sql.DB, visits []*worker.Job[Visit]) error {
	values := make([]any, len(visits))
	for i, job := range visits {
		values[i] = job.Data.Page
	}
	_, err := db.ExecContext(ctx, `INSERT INTO visits (page) VALUES (?)`+strings.Repeat(`, (?)`, len(visits)-1), values...)
	return err
}

func handleVisits(mux *worker.Mux, db *sql.DB) {
	worker.HandleMany(mux, 500, 50*time.Millisecond, func(ctx context.Context, jobs []*worker.Job[Visit]) []error {
		if err := insertVisits(ctx, db, jobs); err != nil { // one INSERT for all of them
			return slices.Repeat([]error{err}, len(jobs)) // each job runs again later
		}
		return nil // all are done
	})
}

func TestInsertManyRows(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	db, err := sql.Open("sqlite", "file:"+t.TempDir()+"/visits.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // SQLite has one writer: of two connections one would get an error
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE visits (page TEXT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	visits := slices.Repeat([]sqlqueue.Pushable{Visit{Page: "/"}}, 700)
	if _, err := q.PushMany(t.Context(), visits); err != nil {
		t.Fatal(err)
	}
	mux := worker.NewMux()
	handleVisits(mux, db)
	if err := worker.New(q.Queue, mux, worker.Config{Concurrency: 500, StopWhenEmpty: true}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM visits`).Scan(&rows); err != nil || rows != len(visits) {
		t.Errorf("%d rows were inserted: %v", rows, err)
	}
}
