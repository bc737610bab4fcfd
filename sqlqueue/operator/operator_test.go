package operator_test

import (
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

func openSQLite(t *testing.T) *sqlqueue.Queue {
	t.Helper()
	return sqlqueuetest.New(t, sqlqueue.Config{}).Queue
}

// execute runs a statement on the database of a queue.
func execute(t *testing.T, q *sqlqueue.Queue, statement string) {
	t.Helper()
	var store driver.Store
	q.Bind(func(s driver.Store) (driver.Store, error) { store = s; return s, nil })
	db, err := sqldb.Of(store)
	if err == nil {
		_, err = db.DB.Exec(t.Context(), statement)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// register writes the row of a worker.
func register(t *testing.T, q *sqlqueue.Queue, id, queue string) {
	t.Helper()
	if err := q.Beat(t.Context(), driver.Beat{Worker: driver.Worker{
		ID: id, Name: id, Host: "host", PID: 1, Queues: []string{queue}, Concurrency: 1,
	}}); err != nil {
		t.Fatal(err)
	}
}

// reserve reserves n jobs of the queue default.
func reserve(t *testing.T, q *sqlqueue.Queue, n int, number string) []sqlqueue.Job {
	t.Helper()
	answer, err := q.Exchange(t.Context(), driver.Exchange{
		Number: number, Limit: n, Reserve: []driver.Reserve{{Queue: "default", Expire: time.Minute}},
	})
	if err != nil || len(answer.Reserved) != n {
		t.Fatalf("reserved %d of %d, %v", len(answer.Reserved), n, err)
	}
	return answer.Reserved
}

type invoice struct {
	OrderID int64 `json:"order_id"`
}

func (invoice) JobName() string { return "send_invoice" }
