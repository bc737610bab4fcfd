package integration

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// everything is an exchange that does all that an exchange can do, and what it does it to.
func everything(tb testing.TB, db *sql.DB, q *sqlqueue.Queue) driver.Exchange {
	tb.Helper()
	const each = 60
	ctx := tb.Context()
	push := func(n int, options func(i int) []sqlqueue.PushOption) {
		jobs := make([]sqlqueue.Pushable, n)
		for i := range jobs {
			jobs[i] = sqlqueue.With(sqlqueue.Named("x", i), options(i)...)
		}
		if _, err := q.PushMany(ctx, jobs, sqlqueue.OnQueue("mail")); err != nil {
			tb.Fatal(err)
		}
	}
	reserve := func(number string) []sqlqueue.Job {
		return mustExchange(tb, q, driver.Exchange{Number: number, Limit: each, Reserve: fromQueue("mail", time.Hour)}).Reserved
	}
	push(each, func(i int) []sqlqueue.PushOption { return []sqlqueue.PushOption{sqlqueue.Unique(fmt.Sprint("key", i))} })
	settled := reserve("w-1")
	push(4*each, func(int) []sqlqueue.PushOption { return nil })
	touched := reserve("w-2")
	reserve("w-3")
	expired := reserve("w-4")
	push(each, func(int) []sqlqueue.PushOption { return []sqlqueue.PushOption{sqlqueue.Priority(5)} })
	mustExec(tb, db, "UPDATE jobs SET expires_at = UTC_TIMESTAMP(6) WHERE reserved_by = 'w-4'")

	x := driver.Exchange{
		Abandoned: []string{"w-3"}, Requeue: len(expired),
		Number: "w-5", Limit: 5 * each,
		Reserve: []driver.Reserve{{Queue: "high", Expire: time.Minute}, {Queue: "mail", Expire: time.Minute}},
	}
	for i, j := range settled {
		x.Settle = append(x.Settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Outcome(1 + i%3), Error: "e"})
	}
	for _, j := range touched {
		x.Touch = append(x.Touch, driver.Touch{Reservation: j.Reservation(), Expire: time.Minute})
	}
	return x
}

// TestMySQLPlans: every statement of an exchange looks rows up by an index, in a small table, where the server likes to scan and would
// lock the rows of others, and beside a hundred thousand delayed jobs, where it reads few rows.
func TestMySQLPlans(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		var sent []string
		record := false
		db := watch(func(statement string) {
			if record {
				sent = append(sent, statement)
			}
		}).open(t, dsn)
		db.SetMaxOpenConns(1)
		q := mysqlQueue(t, db)
		digits := "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL " +
			"SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
		for _, delayed := range []int{0, 1_000, 100_000} {
			t.Run(fmt.Sprint(delayed), func(t *testing.T) {
				mustExec(t, db, "DELETE FROM jobs", "DELETE FROM job_workers")
				if delayed > 0 {
					from := strings.TrimSuffix(strings.Repeat(digits+" %c, ", len(fmt.Sprint(delayed))-1), ", ")
					for name := 'a'; strings.Contains(from, "%c"); name++ {
						from = strings.Replace(from, "%c", string(name), 1)
					}
					mustExec(t, db, `INSERT INTO jobs (queue, payload, available_at)
						SELECT 'mail', '{"job":"x"}', UTC_TIMESTAMP(6) + INTERVAL 1 DAY FROM `+from)
				}
				x := everything(t, db, q)
				before := rowsRead(t, db)
				record, sent = true, nil
				anew := mysqlQueue(t, db)
				answer := mustExchange(t, anew, x) // which looks for lanes first
				record = false
				const settled, touched, abandoned, requeued, reserved = 60, 60, 60, 60, 260
				if len(answer.Lost)+len(answer.Locked) > 0 || answer.Requeued != requeued || len(answer.Reserved) != reserved {
					t.Fatalf("lost %d, locked %d, requeued %d, reserved %d",
						len(answer.Lost), len(answer.Locked), answer.Requeued, len(answer.Reserved))
				}
				const most = 20 * (settled + touched + abandoned + requeued + reserved)
				if read := rowsRead(t, db) - before; read > most {
					t.Errorf("the exchange read %d rows, want at most %d", read, most)
				}
				const kinds = 24
				if len(sent) < kinds {
					t.Errorf("the exchange sent %d statements, want %d at least: has one gone, or was it not seen?", len(sent), kinds)
				}
				// And one that begins at the marks, and one that looks for lanes from there.
				if _, err := q.PushMany(t.Context(), named(100), sqlqueue.OnQueue("mail")); err != nil {
					t.Fatal(err)
				}
				for _, marked := range [][2]string{
					{"SELECT id", " AND available_at >= "},
					{"EXISTS", " AND expires_at >= "},
					{"(SELECT priority", " AND available_at >= "},
				} {
					with := len(sent)
					for try, start := 0, time.Now(); !slices.ContainsFunc(sent[with:], func(s string) bool {
						return strings.Contains(s, marked[0]) && strings.Contains(s, marked[1])
					}); try++ {
						if time.Since(start) > 3*time.Minute {
							t.Fatalf("no statement has %q", marked)
						}
						record, sent = true, sent[:with]
						before := rowsRead(t, db)
						mustExchange(t, anew, driver.Exchange{
							Requeue: 1, Number: fmt.Sprint("v-", with, "-", try), Limit: 1, Reserve: x.Reserve,
						})
						if read := rowsRead(t, db) - before; read > most {
							t.Errorf("the exchange read %d rows, want at most %d", read, most)
						}
					}
				}
				record = false
				if delayed == 0 { // nearly empty, a scan looks cheapest
					mustExec(t, db, "DELETE FROM jobs WHERE id % 50 <> 0", "ANALYZE TABLE jobs")
				}
				for _, statement := range sent {
					checkPlan(t, s, db, statement)
				}
			})
		}
	})
}

// rowsRead is how many rows and entries of indexes the only connection has read.
func rowsRead(t *testing.T, db *sql.DB) (total int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read%'")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return total
}

// checkPlan fails the test if a statement scans the table of jobs, or a whole index of it.
func checkPlan(t *testing.T, s *servers.Server, db *sql.DB, statement string) {
	t.Helper()
	if !strings.Contains(statement, "`jobs`") {
		return
	}
	for _, plan := range mysqlPlan(t, s, db, statement) {
		if table := plan["table"]; table != "jobs" && table != "j" {
			continue
		}
		if scans := plan["type"] == "ALL" || plan["type"] == "index"; scans && plan["select_type"] != "INSERT" {
			t.Errorf("%v for\n%.1000s", plan, statement)
		}
	}
}

// mysqlPlan returns the rows of a statement's plan, by the names of their columns.
func mysqlPlan(t *testing.T, s *servers.Server, db *sql.DB, statement string) (plan []map[string]string) {
	t.Helper()
	explain := "EXPLAIN "
	if s.Engine == "mysql" {
		explain += "FORMAT=TRADITIONAL "
	}
	rows, err := db.QueryContext(t.Context(), explain+statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, column := range columns {
			row[column] = values[i].String
		}
		plan = append(plan, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}
