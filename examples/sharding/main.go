// Command sharding spreads jobs over several databases, none of which knows of the others. A job goes to the database that its customer's
// number chooses, one process works on all of them, and what operators see is added up.
//
//	go run ./examples/sharding                                  # three SQLite files
//	go run ./examples/sharding shop-a.db shop-b.db shop-c.db shop-d.db
//
// With servers the queues come from pgqueue.New or mysqlqueue.New; nothing else changes. See docs/scaling.md for what this promises.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

func main() {
	customers := flag.Int("customers", 100, "how many jobs to push, one for each customer")
	flag.Parse()
	files := flag.Args()
	if len(files) == 0 {
		files = []string{"shard-a.db", "shard-b.db", "shard-c.db"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	done, err := run(ctx, files, *customers)
	if err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
	slog.Info("done", "jobs", done)
}

// run pushes a job for each customer, works until all databases are empty, and returns how many jobs have run.
func run(ctx context.Context, files []string, customers int) (int64, error) {
	var all shards
	defer all.close()
	for _, file := range files {
		if err := all.add(ctx, file); err != nil {
			return 0, err
		}
	}
	for customer := range customers {
		shard := all.of(fmt.Sprint("customer ", customer))
		if _, err := shard.queue.Push(ctx, SendStatement{Customer: customer}); err != nil {
			return 0, fmt.Errorf("%s: %w", shard.name, err) // the others take their customers' jobs all the same
		}
	}
	ready, err := all.ready(ctx)
	if err != nil {
		return 0, err
	}
	slog.Info("pushed", "ready", ready, "databases", len(all))
	var done atomic.Int64
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *worker.Job[SendStatement]) error {
		done.Add(1)
		return nil
	})
	err = all.work(ctx, mux)
	return done.Load(), err
}

// SendStatement is a job.
type SendStatement struct {
	Customer int `json:"customer"`
}

// JobName is stored with the job.
func (SendStatement) JobName() string { return "send_statement" }

// shard is one of the databases. Its name is its own for ever: it decides which keys the shard has.
type shard struct {
	name  string
	db    *sql.DB
	queue *sqlqueue.Queue
}

type shards []shard

func (s *shards) add(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return err
	}
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err == nil {
		_, err = migrator.Up(ctx)
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	queue, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	*s = append(*s, shard{file, db, queue})
	return nil
}

func (s shards) close() {
	for _, shard := range s {
		_ = shard.db.Close()
	}
}

// of returns the shard of a key: the one whose name and the key have the highest hash together. With a shard more, only the keys move that
// are the new one's, a part of each other's. Jobs that wait stay where they are and run there, as all shards are worked on.
func (s shards) of(key string) shard {
	var chosen shard
	var highest uint64
	for _, shard := range s {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%s\x00%s", shard.name, key)
		if sum := mix(h.Sum64()); cmp.Compare(sum, highest) >= 0 {
			chosen, highest = shard, sum
		}
	}
	return chosen
}

// mix spreads the last bytes of what FNV has read over the whole hash.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// work runs a worker for each shard, with the same handlers. One whose database does not answer waits for it; the others go on.
func (s shards) work(ctx context.Context, mux *worker.Mux) error {
	var group sync.WaitGroup
	errs := make([]error, len(s))
	for i, shard := range s {
		group.Go(func() {
			config := worker.Config{StopWhenEmpty: true, Logger: slog.With("shard", shard.name), LogDone: slog.LevelDebug}
			errs[i] = worker.New(shard.queue, mux, config).Run(ctx)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// ready adds up what waits, for whoever watches over the whole.
func (s shards) ready(ctx context.Context) (ready int64, err error) {
	for _, shard := range s {
		queues, err := operator.New(shard.queue).Queues(ctx, 0)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", shard.name, err)
		}
		for _, queue := range queues {
			ready += queue.Ready
		}
	}
	return ready, nil
}
