package integration

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// TestMySQLCommitLost: when the connection breaks as a write is being committed, it is told apart what surely did not happen, which is
// repeated, from what may have happened, which is not.
func TestMySQLCommitLost(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		var breakAt string
		var pass bool
		var broken atomic.Int64
		tapped := mysqlQueue(t, (&tap{sent: func(statement string) (string, bool) {
			if breakAt == "" || !strings.HasPrefix(strings.TrimSpace(statement), breakAt) || !broken.CompareAndSwap(0, 1) {
				return statement, true
			}
			if !pass {
				return "", false
			}
			return statement, false
		}}).open(t, dsn))

		push := func(n int) func() error {
			jobs := make([]sqlqueue.Pushable, n)
			for i := range jobs {
				jobs[i] = sqlqueue.Named("x", nil)
			}
			return func() error {
				_, err := tapped.PushMany(t.Context(), jobs)
				return err
			}
		}
		exchange := func() error {
			err := tapped.Beat(t.Context(), driver.Beat{Worker: driver.Worker{ID: "w", Queues: []string{"default"}}})
			return err
		}
		hold := func() error {
			if err := tapped.Hold(t.Context(), sqlqueue.Reservation{ID: 1, By: "w-1"}); !errors.Is(err, sqlqueue.ErrReservationLost) {
				return err
			}
			return nil
		}
		const many = 2500 // rows: several statements in a transaction
		for _, c := range []struct {
			name    string
			call    func() error
			table   string
			breakAt string
			pass    bool
			unknown bool
			rows    int
		}{
			{"an INSERT that commits by itself, sent", push(1), "jobs", "INSERT", true, true, 1},
			{"the same, not sent", push(1), "jobs", "INSERT", false, false, 1},
			{"an INSERT in a transaction, sent", push(many), "jobs", "INSERT", true, false, many},
			{"the same, not sent", push(many), "jobs", "INSERT", false, false, many},
			{"COMMIT of a push, sent", push(many), "jobs", "COMMIT", true, true, many},
			{"the same, not sent", push(many), "jobs", "COMMIT", false, false, many},
			{"START TRANSACTION", push(many), "jobs", "START", true, false, many},
			{"a statement of an exchange", exchange, "job_workers", "INSERT", true, false, 1},
			{"COMMIT of an exchange, sent", exchange, "job_workers", "COMMIT", true, true, 1},
			{"the same, not sent", exchange, "job_workers", "COMMIT", false, false, 1},
			{"a statement of Hold", hold, "job_workers", "SELECT", true, false, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				mustExec(t, db, "DELETE FROM jobs", "DELETE FROM job_workers")
				if err := tapped.Check(t.Context()); err != nil { // what is asked once is asked
					t.Fatal(err)
				}
				breakAt, pass = c.breakAt, c.pass
				broken.Store(0)
				err := c.call()
				breakAt = ""
				if broken.Load() == 0 {
					t.Fatal("no connection was broken")
				}
				if errors.Is(err, sqlqueue.ErrOutcomeUnknown) != c.unknown || err != nil && !c.unknown {
					t.Errorf("the error is %v; must the outcome be unknown: %v", err, c.unknown)
				}
				var rows int
				if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+c.table).Scan(&rows); err != nil || rows != c.rows {
					t.Errorf("%d rows, %v; want %d", rows, err, c.rows)
				}
			})
		}
	})
}

// TestMySQLCancelled: a context that ends while the server has the COMMIT ends the wait, and the outcome is unknown.
func TestMySQLCancelled(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, _ *servers.Server, dsn string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		network := &tap{lost: func(statement string) bool {
			commit := strings.HasPrefix(statement, "COMMIT")
			if commit {
				cancel()
			}
			return commit
		}}
		q := mysqlQueue(t, network.open(t, dsn))
		err := q.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w", Queues: []string{"default"}}})
		if !errors.Is(err, sqlqueue.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
