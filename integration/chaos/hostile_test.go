package chaos

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sqlqueue/sqlqueue/integration/internal/opened"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// badRows writes rows that no push of ours would write, beside the workload, and deletes them in the end. A row that the schema refuses is
// as good as one that hurts nobody.
func badRows(w *world) {
	const payload = `{"job": "bad-row"}`
	values := []string{"attempts = 2147483647", "priority = 32767", "priority = -32768", "queue = ''", "exceptions = 2147483647"}
	switch w.engine {
	case "postgres":
		values = append(values, "available_at = 'infinity'", "available_at = '-infinity'", "created_at = '-infinity'",
			"created_at = '294276-12-31'", "available_at = '4713-01-01 BC'")
	case "sqlite":
		values = append(values, "available_at = 9223372036854775807", "available_at = -9223372036854775808",
			"created_at = 9223372036854775807", "attempts = 9223372036854775807")
	default:
		values = append(values, "available_at = '9999-12-31 23:59:59.999999'", "available_at = '1000-01-01'", "created_at = '1000-01-01'")
	}
	database := w.open(w.direct)
	for _, value := range values {
		for _, text := range []string{payload, `{"job": "bad-row", "tries": -1}`, `["bad-row"]`, `"bad-row"`} {
			w.try(database, fmt.Sprintf("INSERT INTO jobs (payload) VALUES ('%s')", text))
		}
		w.try(database, "UPDATE jobs SET "+value+" WHERE NOT reserved AND queue = 'default' AND "+w.isBad())
		w.pass(100 * time.Millisecond)
	}
	w.pass(2 * time.Second)
	for _, table := range []string{"jobs", "failed_jobs"} {
		var err error
		if !w.await(30*time.Second, func(ctx context.Context) bool {
			err = deleteBad(ctx, database.DB, table, w.isBad())
			return err == nil
		}) {
			w.Errorf("the bad rows of %s could not be deleted: %v", table, err)
		}
	}
}

// deleteBad looks for the rows without locks, and deletes each by its id: a statement that looks at all rows waits, on MySQL and MariaDB,
// for every transaction that has one.
func deleteBad(ctx context.Context, executor sqldb.Executor, table, bad string) error {
	db := sqldb.SQL(executor, func(err error) error { return err })
	var ids []int64
	err := sqldb.Each(ctx, db, "SELECT id FROM "+table+" WHERE "+bad, nil, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	for _, id := range ids {
		if err == nil {
			_, err = db.Exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, id))
		}
	}
	return err
}

func (w *world) isBad() string {
	if w.engine == "postgres" {
		return "payload::text LIKE '%bad-row%'"
	}
	return "payload LIKE '%bad-row%'"
}

// try runs a statement that may be refused.
func (w *world) try(database *opened.Database, query string) {
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
	defer cancel()
	_, _ = database.ExecContext(ctx, query)
}

// pushHuge pushes jobs whose payloads are larger than all others.
func pushHuge(w *world, n, size int) {
	text := strings.Repeat("x", size)
	sum := sha256.Sum256([]byte(text))
	w.push(w.open(w.direct).Queue, some(n, func(i int) pushJob {
		return pushJob{kind: Plain, Token: fmt.Sprintf("huge-%d-%d", w.random.Uint32(), i), Text: text, Sum: hex.EncodeToString(sum[:])}
	}))
}

// lateCommit pushes in a transaction that is committed after the server has stood still.
func lateCommit(w *world) {
	database := w.open(w.direct)
	var late []*sql.Tx
	var jobs [][]pushJob
	for i := range 3 {
		tx, err := database.BeginTx(w.Context(), nil)
		w.must(err)
		j := pushJob{kind: Plain, Token: fmt.Sprintf("late-%d-%d", w.random.Uint32(), i)}
		_, err = database.Bind(database.Queue, tx).Push(w.Context(), j)
		w.must(err)
		late, jobs = append(late, tx), append(jobs, []pushJob{j})
	}
	w.pass(500 * time.Millisecond)
	thaw := w.own.Freeze(w.T)
	w.pass(2 * expire)
	thaw()
	for i, tx := range late {
		what := Committed
		if err := tx.Commit(); err != nil {
			what = Unknown
		}
		w.must(w.produced.Write(Event{What: what, Kind: Plain, Token: jobs[i][0].Token}))
	}
}

// starve leaves workers without descriptors, so that they can open neither files nor connections.
func starve(w *world) {
	limit := func(m *member, set *unix.Rlimit) (had unix.Rlimit) {
		w.team.mu.Lock()
		defer w.team.mu.Unlock()
		if m.process != nil {
			_ = unix.Prlimit(m.process.Pid, unix.RLIMIT_NOFILE, set, &had)
		}
		return had
	}
	for _, m := range w.team.members {
		had := limit(m, nil)
		if had.Max == 0 {
			continue // between two processes
		}
		limit(m, &unix.Rlimit{Cur: 4, Max: had.Max})
		if w.engine != "sqlite" {
			w.killConnections()
		}
		w.pass(time.Second)
		limit(m, &had)
	}
}
