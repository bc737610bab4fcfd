package worker_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" } // stored with the job: never rename

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "app.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Up(ctx); err != nil {
		log.Fatal(err)
	}

	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := q.Push(ctx, SendInvoice{42}); err != nil {
		log.Fatal(err)
	}

	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[SendInvoice]) error {
		fmt.Printf("invoice for order %d, attempt %d\n", job.Data.OrderID, job.Attempts)
		if job.Attempts == 1 {
			return errors.New("the mail server is busy")
		}
		return nil
	})
	err = worker.New(q, mux, worker.Config{
		Queues:        []string{"high", "default"},
		Backoff:       worker.FixedBackoff(0),
		StopWhenEmpty: true,
		MaxTime:       time.Minute,
		Logger:        slog.New(slog.NewTextHandler(io.Discard, nil)),
	}).Run(ctx)
	fmt.Println("stopped:", err)
	// Output:
	// invoice for order 42, attempt 1
	// invoice for order 42, attempt 2
	// stopped: <nil>
}

type Visit struct {
	Page string `json:"page"`
}

func (Visit) JobName() string { return "visit" }

func ExampleHandleMany() {
	q, closeQueue := openQueue()
	defer closeQueue()
	for _, page := range []string{"/", "/shop", "/cart"} {
		if _, err := q.Push(context.Background(), Visit{page}); err != nil {
			log.Fatal(err)
		}
	}

	mux := worker.NewMux()
	worker.HandleMany(mux, 500, 50*time.Millisecond, func(_ context.Context, jobs []*worker.Job[Visit]) []error {
		fmt.Println("insert", len(jobs), "rows") // with one statement
		errs := make([]error, len(jobs))
		for i, job := range jobs {
			if job.Data.Page == "/cart" {
				errs[i] = worker.Fail(errors.New("no such page")) // this job only
			}
		}
		return errs
	})
	err := worker.New(q, mux, worker.Config{
		Concurrency:   500,
		StopWhenEmpty: true,
		Logger:        slog.New(slog.DiscardHandler),
	}).Run(context.Background())
	fmt.Println("stopped:", err)
	// Output:
	// insert 3 rows
	// stopped: <nil>
}

// openQueue returns a queue in a new SQLite file.
func openQueue() (q *sqlqueue.Queue, closeQueue func()) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "app.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Up(ctx); err != nil {
		log.Fatal(err)
	}
	if q, err = sqlitequeue.New(db, sqlqueue.Config{}); err != nil {
		log.Fatal(err)
	}
	return q, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}
