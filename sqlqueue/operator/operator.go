// Package operator is what people and programs ask that watch over queues: it lists, counts and changes jobs, failed jobs, queues, workers
// and subscriptions, and tells workers what to do.
package operator

import (
	"context"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Operator answers what people and programs that watch over queues ask. It is safe for concurrent use, as its Queue is.
type Operator struct {
	queue    *sqlqueue.Queue
	who, via string // see As
	undo     string // see Undoable
}

// New returns the Operator of a Queue.
func New(q *sqlqueue.Queue) *Operator { return &Operator{queue: q} }

// Now returns the time by the database's clock, which has written all times that operators see.
func (o *Operator) Now(ctx context.Context) (time.Time, error) {
	t, err := o.open(ctx)
	if err != nil {
		return time.Time{}, wrap("now", err)
	}
	now, err := t.Clock(ctx)
	return now, wrap("now", err)
}

// tables are those of the Operator's database, and who changes them.
type tables struct {
	*sqldb.Database
	who, via string
}

func (o *Operator) open(ctx context.Context) (*tables, error) {
	store, err := o.queue.Store(ctx)
	if err != nil {
		return nil, err
	}
	db, err := sqldb.Of(store)
	return &tables{db, o.who, o.via}, err
}

// statement is SQL with its arguments.
type statement struct{ *sqldb.Statement }

func (t *tables) statement(format string, a ...any) *statement {
	return &statement{t.Statement(format, a...)}
}

type (
	// Job is a row of the table of jobs.
	Job = driver.Job

	// Control is what operators have said about a queue.
	Control = driver.Control

	// Count is what happened in a queue in one minute.
	Count = driver.Count
)

const (
	defaultLimit = 100
	batch        = 1000 // rows of one transaction when there may be millions
)

func tell(progress []func(int), n int) {
	for _, told := range progress {
		told(n)
	}
}

func checkFilter(limit *int, ids []int64) error {
	if *limit == 0 {
		*limit = defaultLimit
	}
	if len(ids) > batch {
		return fmt.Errorf("%d ids at once: at most %d", len(ids), batch)
	}
	if *limit < 0 || *limit > batch {
		return fmt.Errorf("limit is %d: it must be between 1 and %d", *limit, batch)
	}
	return nil
}

func missing(wanted, got []int64) []int64 {
	have := make(map[int64]bool, len(got))
	for _, id := range got {
		have[id] = true
	}
	var not []int64
	for _, id := range wanted {
		if !have[id] {
			not = append(not, id)
		}
	}
	return not
}
