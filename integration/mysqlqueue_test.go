package integration

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// eachMySQL runs a test on every MySQL and MariaDB, with the address of tables of its own.
func eachMySQL(t *testing.T, test func(t *testing.T, s *servers.Server, dsn string)) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine == "postgres" {
			t.Skip("for MySQL and MariaDB")
		}
		test(t, s, migrated(t, s, ""))
	})
}

func mysqlQueue(tb testing.TB, db *sql.DB) *sqlqueue.Queue {
	tb.Helper()
	q, err := mysqlqueue.New(db, sqlqueue.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func mustExec(tb testing.TB, db *sql.DB, statements ...string) {
	tb.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

func mustExchange(tb testing.TB, q *sqlqueue.Queue, x driver.Exchange) driver.Exchanged {
	tb.Helper()
	answer, err := q.Exchange(tb.Context(), x)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

func fromQueue(queue string, expire time.Duration) []driver.Reserve {
	return []driver.Reserve{{Queue: queue, Expire: expire}}
}

// tap is a place to see and change what goes to a server and comes back. Its zero value lets everything pass.
type tap struct {
	// sent is called with each statement, and returns what to send instead, of the same length, or nothing, and then whether the
	// connection lives on: if not, it breaks before the statement or, when there is one, before its answer.
	sent     func(statement string) (send string, stay bool)
	received func(p []byte)

	// lost is called with each statement, and reports whether it is lost on its way, and all that follows, until the connection is closed.
	lost func(statement string) bool
}

// watch lets statements pass after a look at them.
func watch(look func(statement string)) *tap {
	return &tap{sent: func(statement string) (string, bool) {
		look(statement)
		return statement, true
	}}
}

// open opens an address with the tap in its connections.
func (tp *tap) open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal("the address of the test's database is not one")
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName = "tcp", address.Host, address.Path[1:]
	config.User = address.User.Username()
	config.Passwd, _ = address.User.Password()
	config.InterpolateParams = true // so that every statement is seen as text
	config.Logger = &mysql.NopLogger{}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &tappedConn{Conn: conn, tap: tp, closed: make(chan struct{})}, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

type tappedConn struct {
	net.Conn
	tap    *tap
	closed chan struct{}
	once   sync.Once
}

func (c *tappedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Write is called by the driver with whole packets: a length of three bytes, a number, the command (3 for a statement) and its text.
func (c *tappedConn) Write(p []byte) (int, error) {
	const header, query = 4, 3
	if len(p) > header && p[header] == query && c.tap.lost != nil && c.tap.lost(string(p[header+1:])) {
		<-c.closed
		return 0, net.ErrClosed
	}
	if len(p) <= header || p[header] != query || c.tap.sent == nil {
		return c.Conn.Write(p)
	}
	statement := string(p[header+1:])
	send, stay := c.tap.sent(statement)
	if send == "" {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	if len(send) != len(statement) {
		return 0, errors.New("the test changed the length of a statement")
	}
	n, err := c.Conn.Write(append(bytes.Clone(p[:header+1]), send...))
	if !stay {
		var answer [1]byte // the server has done it: only the answer is lost
		_, _ = c.Read(answer[:])
		_ = c.Close()
	}
	return n, err
}

func (c *tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.tap.received != nil {
		c.tap.received(p[:n])
	}
	return n, err
}

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
		Number: "w-5", Limit: 5 * each, Reserve: []driver.Reserve{{Queue: "high", Expire: time.Minute}, {Queue: "mail", Expire: time.Minute}},
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
		digits := "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
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
					t.Fatalf("lost %d, locked %d, requeued %d, reserved %d", len(answer.Lost), len(answer.Locked), answer.Requeued, len(answer.Reserved))
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
				for _, marked := range [][2]string{{"SELECT id", " AND available_at >= "}, {"EXISTS", " AND expires_at >= "}, {"(SELECT priority", " AND available_at >= "}} {
					with := len(sent)
					for try, start := 0, time.Now(); !slices.ContainsFunc(sent[with:], func(s string) bool {
						return strings.Contains(s, marked[0]) && strings.Contains(s, marked[1])
					}); try++ {
						if time.Since(start) > 3*time.Minute {
							t.Fatalf("no statement has %q", marked)
						}
						record, sent = true, sent[:with]
						before := rowsRead(t, db)
						mustExchange(t, anew, driver.Exchange{Requeue: 1, Number: fmt.Sprint("v-", with, "-", try), Limit: 1, Reserve: x.Reserve})
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

// TestMySQLDeadlocks: sixteen sessions that settle, touch, requeue and reserve do not deadlock, and no job has two owners.
func TestMySQLDeadlocks(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		const sessions, jobs, expire = 16, 4000, 15 * time.Millisecond
		var deadlocks atomic.Int64
		db := (&tap{received: func(p []byte) { deadlocks.Add(int64(bytes.Count(p, []byte("Deadlock found")))) }}).open(t, dsn)
		db.SetMaxIdleConns(sessions)
		q := mysqlQueue(t, db)
		all := make([]sqlqueue.Pushable, jobs)
		for i := range all {
			all[i] = sqlqueue.Named("x", i)
		}
		if _, err := q.PushMany(t.Context(), all); err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var done, requeued atomic.Int64
		var owners sync.Map // of reservations; each is given once
		var wg sync.WaitGroup
		for session := range sessions {
			wg.Go(func() {
				defer cancel() // one that ends, ends all
				var settle []driver.Settlement
				var touch []driver.Touch
				for count := 1; done.Load() < jobs; count++ {
					x := driver.Exchange{
						Settle: settle, Touch: touch, Requeue: 50, Limit: 20, Number: fmt.Sprintf("w%d-%d", session, count),
						Reserve: fromQueue("default", expire),
					}
					answer, err := q.Exchange(ctx, x)
					if err != nil {
						if done.Load() < jobs {
							t.Errorf("session %d: %v", session, err)
						}
						return
					}
					requeued.Add(int64(answer.Requeued))
					lost, locked := map[sqlqueue.Reservation]bool{}, map[sqlqueue.Reservation]bool{}
					for _, r := range answer.Lost {
						lost[r] = true
					}
					for _, r := range answer.Locked {
						locked[r] = true
					}
					for _, s := range x.Settle {
						if !lost[s.Reservation] && !locked[s.Reservation] {
							done.Add(1)
						}
					}
					settle = slices.DeleteFunc(settle, func(s driver.Settlement) bool { return !locked[s.Reservation] })
					for _, tc := range touch { // what was touched is settled next
						if !lost[tc.Reservation] {
							settle = append(settle, driver.Settlement{Reservation: tc.Reservation, Outcome: driver.Delete})
						}
					}
					touch = nil
					for _, j := range answer.Reserved {
						if _, twice := owners.LoadOrStore(fmt.Sprint(j.ID, " ", j.Attempts), j.ReservedBy); twice {
							t.Errorf("job %d was given twice at attempt %d", j.ID, j.Attempts)
						}
						switch (int(j.ID) + count) % 10 {
						case 0: // forgotten: it expires
						case 1, 2, 3:
							touch = append(touch, driver.Touch{Reservation: j.Reservation(), Expire: expire})
						default:
							settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
						}
					}
				}
			})
		}
		wg.Wait()
		most := map[string]int64{"mysql": 0, "mariadb": 5}[s.Engine] // MariaDB's SKIP LOCKED waits for a moment, and two can look like a deadlock
		if n := deadlocks.Load(); n > most {
			t.Errorf("%d transactions were deadlocks, and repeated; want at most %d", n, most)
		}
		if requeued.Load() == 0 {
			t.Error("nothing expired, so requeue was not tested")
		}
		var left int
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM jobs").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d jobs are left: %v", left, err)
		}
	})
}

// TestMySQLDSN: the store works with whatever an application's DSN says.
func TestMySQLDSN(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		isolation := map[string]string{"mysql": "transaction_isolation", "mariadb": "tx_isolation"}
		for _, settings := range []map[string]string{
			{},
			{"parseTime": "true"},
			{"parseTime": "true", "loc": "Asia/Tokyo"},
			{"loc": "Local"},
			{"interpolateParams": "true"},
			{"clientFoundRows": "true"},
			{"clientFoundRows": "true", "interpolateParams": "true", "parseTime": "true", "time_zone": "'-05:00'"},
			{"sql_mode": "''"},
			{"sql_mode": "'ANSI,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE'"},
			{"sql_mode": "'NO_BACKSLASH_ESCAPES'", "interpolateParams": "true"},
			{"sql_mode": "'PAD_CHAR_TO_FULL_LENGTH'"},
			{"sql_mode": "'TRADITIONAL,NO_AUTO_VALUE_ON_ZERO,NO_UNSIGNED_SUBTRACTION'"},
			{"time_zone": "'+08:00'"},
			{isolation[s.Engine]: "'SERIALIZABLE'"},
			{"charset": "utf8mb4"},
			{"collation": "utf8mb4_unicode_ci"},
			{"auto_increment_increment": "3", "auto_increment_offset": "2"},
			{"completion_type": "'CHAIN'"},
			{"innodb_lock_wait_timeout": "1"},
			{"sql_mode": "'ORACLE'", "mariadb": "only"},
			{"sql_mode": "'EMPTY_STRING_IS_NULL'", "mariadb": "only"},
			{"sql_mode": "'ORACLE,EMPTY_STRING_IS_NULL,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,SIMULTANEOUS_ASSIGNMENT'", "interpolateParams": "true", "mariadb": "only"},
		} {
			if settings["mariadb"] != "" && s.Engine != "mariadb" {
				continue
			}
			delete(settings, "mariadb")
			address := dsn
			for key, value := range settings {
				address = with(t, address, key, value)
			}
			t.Run(fmt.Sprint(settings), func(t *testing.T) { dayInTheLife(t, s.Open(t, address)) })
		}
	})
}

// dayInTheLife pushes, reserves and settles, and looks at all that a setting could spoil.
func dayInTheLife(t *testing.T, db *sql.DB) {
	ctx := t.Context()
	q := mysqlQueue(t, db)
	if err := q.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.New(q).Clear(ctx, "", true); err != nil {
		t.Fatal(err)
	}
	const data = `naïve 'quotes' "doubled" \backslash\ 日本 🎺`
	jobs := make([]sqlqueue.Pushable, 30)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("x", fmt.Sprint(data, i))
	}
	start := time.Now()
	ids, err := q.PushMany(ctx, jobs)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2040, 2, 29, 12, 30, 15, 123456000, time.UTC)
	key := "a 'key' " + data
	delayed, err := q.Push(ctx, sqlqueue.Named("y", nil), sqlqueue.At(at), sqlqueue.Unique(key))
	if err != nil {
		t.Fatal(err)
	}
	var duplicate *sqlqueue.DuplicateError
	if id, err := q.Push(ctx, sqlqueue.Named("y", nil), sqlqueue.Unique(key)); !errors.As(err, &duplicate) || id != delayed {
		t.Errorf("the second push with the key gave %d, %v; the first has %d", id, err, delayed)
	}
	if j, err := operator.New(q).Job(ctx, delayed); err != nil || !j.AvailableAt.Equal(at) || j.UniqueKey != key {
		t.Errorf("%+v, %v; pushed for %v", j, err, at)
	}

	answer := mustExchange(t, q, driver.Exchange{
		Number: "w-1", Limit: 100, Reserve: fromQueue("default", time.Minute),
	})
	if len(answer.Reserved) != len(ids) {
		t.Fatalf("reserved %d of %d", len(answer.Reserved), len(ids))
	}
	if !answer.NextDue.Equal(at) {
		t.Errorf("next due at %v, want %v", answer.NextDue, at)
	}
	near := func(what string, got, want time.Time) {
		if d := got.Sub(want).Abs(); d > time.Minute {
			t.Errorf("%s is %v, %v off", what, got, d)
		}
	}
	near("now", answer.Now, start)
	x := driver.Exchange{Number: "w-2"}
	for i, j := range answer.Reserved {
		if want := fmt.Sprintf(`{"job":"x","data":%s}`, mustMarshal(t, fmt.Sprint(data, i))); j.ID != ids[i] || string(j.Payload) != want {
			t.Errorf("job %d is %d %s, want %d %s", i, j.ID, j.Payload, ids[i], want)
		}
		near("created_at", j.CreatedAt, start)
		near("available_at", j.AvailableAt, start)
		near("reserved_at", j.ReservedAt, start)
		near("expires_at", j.ExpiresAt, start.Add(time.Minute))
		switch i % 4 {
		case 0:
			x.Touch = append(x.Touch, driver.Touch{Reservation: j.Reservation(), Expire: time.Hour})
		default:
			x.Settle = append(x.Settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Outcome(i % 4), Delay: time.Hour, Error: data})
		}
	}
	if answer := mustExchange(t, q, x); len(answer.Lost)+len(answer.Locked) > 0 {
		t.Errorf("%+v", answer)
	}
	if j, err := operator.New(q).Job(ctx, ids[0]); err != nil || !j.Reserved || j.ReservedBy != answer.Reserved[0].ReservedBy {
		t.Errorf("%+v, %v", j, err)
	} else {
		near("the touched expires_at", j.ExpiresAt, start.Add(time.Hour))
	}
	if _, err := operator.New(q).Job(ctx, ids[1]); !errors.Is(err, operator.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	if j, err := operator.New(q).Job(ctx, ids[2]); err != nil || j.Reserved {
		t.Errorf("%+v, %v", j, err)
	} else {
		near("the released available_at", j.AvailableAt, start.Add(time.Hour))
	}
	failed, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{Name: "x"})
	if err != nil || len(failed) == 0 || failed[0].Error != data {
		t.Fatalf("failed: %+v, %v", failed, err)
	}
	near("failed_at", failed[0].FailedAt, start)
	if n, err := operator.New(q).Retry(ctx, operator.FailedFilter{}); err != nil || n != len(failed) {
		t.Errorf("retried %d of %d: %v", n, len(failed), err)
	}

	for what, change := range map[string]operator.ControlChange{"restart": {Restart: true}, "pause": {Pause: true}, "resume": {Resume: true}} {
		if err := operator.New(q).Control(ctx, "", change); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := operator.New(q).Control(ctx, "", operator.ControlChange{Resume: true}); err != nil {
		t.Error(err)
	}
	for _, most := range []int64{0, 10} {
		if infos, err := operator.New(q).Queues(ctx, most); err != nil || len(infos) < 2 || infos[0].Queue != "" || infos[0].Control.Restarts == 0 {
			t.Errorf("%+v, %v", infos, err)
		}
	}
	if counts, err := operator.New(q).Counts(ctx, time.Hour); err != nil || len(counts.Minutes) == 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	if groups, err := operator.New(q).FailedGroups(ctx, operator.FailedFilter{}, 10); err != nil {
		t.Errorf("%+v, %v", groups, err)
	}

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	bound := mysqlqueue.WithTx(q, tx)
	if err := bound.Delete(ctx, answer.Reserved[0]); err != nil {
		t.Error(err)
	}
	if more, err := bound.PushMany(ctx, jobs[:3]); err != nil || len(more) != 3 {
		t.Errorf("%v, %v", more, err)
	} else if j, err := operator.New(bound).Job(ctx, more[2]); err != nil || !strings.Contains(string(j.Payload), "🎺2") {
		t.Errorf("%+v, %v", j, err)
	}
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	encoded, err := sqlqueue.JSON.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// TestMySQLSession: the application's sessions are left as they were.
func TestMySQLSession(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, with(t, with(t, dsn, "time_zone", "'+08:00'"), "sql_mode", "''"))
		db.SetMaxOpenConns(1)
		before := variables(t, db)
		dayInTheLife(t, db)
		after := variables(t, db)
		for name, value := range before {
			if after[name] != value {
				t.Errorf("%s was %q and is %q", name, value, after[name])
			}
		}
		if len(before) < 100 || before["time_zone"] != "+08:00" {
			t.Errorf("%d variables, time_zone %q: this is not what was to be compared", len(before), before["time_zone"])
		}
	})
}

// variables are those of the session that say how it works, not what it did.
func variables(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW SESSION VARIABLES")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	values := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			t.Fatal(err)
		}
		values[name] = value
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(values, func(name, _ string) bool {
		return name == "timestamp" || strings.Contains(name, "insert_id") || name == "identity" || strings.Contains(name, "count") ||
			strings.Contains(name, "gtid") || strings.HasPrefix(name, "rand_seed") || strings.HasPrefix(name, "innodb_") || strings.HasSuffix(name, "statement_id")
	})
	return values
}

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

// TestMySQLIncrement: ids are told in the order of the jobs, also where numbers go in steps and many push at once.
func TestMySQLIncrement(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		const producers, calls, rows = 8, 10, 1500
		var wg sync.WaitGroup
		for p := range producers {
			db := s.Open(t, with(t, with(t, dsn, "auto_increment_increment", fmt.Sprint(p%3+1)), "auto_increment_offset", fmt.Sprint(p%2+1)))
			q := mysqlQueue(t, db)
			wg.Go(func() {
				for call := range calls {
					jobs := make([]sqlqueue.Pushable, 1+call*rows/calls)
					for i := range jobs {
						jobs[i] = sqlqueue.Named("x", fmt.Sprint(p, " ", call, " ", i))
					}
					ids, err := q.PushMany(t.Context(), jobs)
					if err != nil {
						t.Error(err)
						return
					}
					for i, id := range ids[:min(len(ids), 5)] {
						checkPushed(t, q, id, fmt.Sprint(p, " ", call, " ", i))
					}
					last := len(ids) - 1
					checkPushed(t, q, ids[last], fmt.Sprint(p, " ", call, " ", last))
				}
			})
		}
		wg.Wait()
	})
}

func checkPushed(t *testing.T, q *sqlqueue.Queue, id int64, data string) {
	t.Helper()
	if j, err := operator.New(q).Job(t.Context(), id); err != nil || string(j.Payload) != fmt.Sprintf(`{"job":"x","data":%q}`, data) {
		t.Errorf("job %d is %s, %v; it was pushed with %s", id, j.Payload, err, data)
	}
}

// TestMySQLKeyLocked: a job can be settled, or at least the others, while a transaction that met its key is open.
func TestMySQLKeyLocked(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx := t.Context()
		db := s.Open(t, with(t, dsn, "innodb_lock_wait_timeout", "2"))
		q := mysqlQueue(t, db)
		for _, options := range [][]sqlqueue.PushOption{{sqlqueue.Unique("key")}, nil} {
			if _, err := q.Push(ctx, sqlqueue.Named("x", nil), options...); err != nil {
				t.Fatal(err)
			}
		}
		jobs := mustExchange(t, q, driver.Exchange{Number: "w-1", Limit: 9, Reserve: fromQueue("default", time.Minute)}).Reserved
		var settle []driver.Settlement
		for _, j := range jobs {
			settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
		}

		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		var duplicate *sqlqueue.DuplicateError
		if id, err := mysqlqueue.WithTx(q, tx).Push(ctx, sqlqueue.Named("x", nil), sqlqueue.Unique("key")); !errors.As(err, &duplicate) || id != jobs[0].ID {
			t.Fatalf("%d, %v", id, err)
		}
		answer := mustExchange(t, q, driver.Exchange{Settle: settle})
		if want := []sqlqueue.Reservation{jobs[0].Reservation()}; !slices.Equal(answer.Locked, want) || answer.Lost != nil {
			t.Errorf("locked %v, lost %v; want %v locked", answer.Locked, answer.Lost, want)
		}
		if _, err := operator.New(q).Job(ctx, jobs[1].ID); !errors.Is(err, operator.ErrNotFound) {
			t.Errorf("the other job: %v", err)
		}
		if answer := mustExchange(t, q, driver.Exchange{Touch: []driver.Touch{{Reservation: jobs[0].Reservation(), Expire: time.Hour}}}); answer.Locked != nil {
			t.Error("a touch changes nothing in the index of keys, so it need not be refused")
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if answer := mustExchange(t, q, driver.Exchange{Settle: settle[:1]}); len(answer.Locked)+len(answer.Lost) > 0 {
			t.Errorf("afterwards: %+v", answer)
		}
	})
}

// TestMySQLPassedRowsAreFree: an exchange keeps no lock of rows that it has only looked at.
func TestMySQLPassedRowsAreFree(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx := t.Context()
		var atCommit func()
		tapped := mysqlQueue(t, watch(func(statement string) {
			if strings.HasPrefix(statement, "COMMIT") && atCommit != nil {
				atCommit()
			}
		}).open(t, dsn))
		q := mysqlQueue(t, s.Open(t, with(t, dsn, "innodb_lock_wait_timeout", "2")))
		if _, err := q.PushMany(ctx, []sqlqueue.Pushable{sqlqueue.Named("x", 1), sqlqueue.Named("x", 2), sqlqueue.Named("x", 3)}); err != nil {
			t.Fatal(err)
		}
		mine := mustExchange(t, q, driver.Exchange{Number: "w-1", Limit: 1, Reserve: fromQueue("default", time.Minute)}).Reserved[0]
		checked := false
		atCommit = func() {
			checked = true
			answer := mustExchange(t, q, driver.Exchange{Settle: []driver.Settlement{{Reservation: mine.Reservation(), Outcome: driver.Delete}}})
			if len(answer.Lost)+len(answer.Locked) > 0 {
				t.Errorf("while another exchange is open, the settle is answered with %+v", answer)
			}
		}
		stale := sqlqueue.Reservation{ID: mine.ID, By: "w-0"} // what looks at the row in every way there is
		answer := mustExchange(t, tapped, driver.Exchange{
			Settle:  []driver.Settlement{{Reservation: stale, Outcome: driver.Delete}},
			Requeue: 9, Number: "v-1", Limit: 1, Reserve: fromQueue("default", time.Minute),
		})
		if !checked || len(answer.Reserved) != 1 || len(answer.Lost) != 1 {
			t.Errorf("%+v, checked: %v", answer, checked)
		}
	})
}

// TestMySQLBetweenLookAndLock: what others do between the statement that finds rows and the one that locks or changes them.
func TestMySQLBetweenLookAndLock(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		var before string    // begin and part of a statement
		var meanwhile func() // what happens before it, once
		var erase bool       // locks are not taken
		tapped := mysqlQueue(t, (&tap{sent: func(statement string) (string, bool) {
			if begin, part, _ := strings.Cut(before, "…"); meanwhile != nil && strings.HasPrefix(strings.TrimSpace(statement), begin) &&
				strings.Contains(statement, part) {
				do := meanwhile
				meanwhile = nil
				do()
			}
			if lock := "FOR UPDATE SKIP LOCKED"; erase {
				statement = strings.ReplaceAll(statement, lock, strings.Repeat(" ", len(lock)))
			}
			return statement, true
		}}).open(t, dsn))
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		reserve := func(q *sqlqueue.Queue, number string, n int, expire time.Duration) []sqlqueue.Job {
			return mustExchange(t, q, driver.Exchange{Number: number, Limit: n, Reserve: fromQueue("default", expire)}).Reserved
		}
		start := func(t *testing.T, jobs int) []int64 {
			mustExec(t, db, "DELETE FROM jobs")
			ids, err := q.PushMany(t.Context(), named(jobs))
			if err != nil {
				t.Fatal(err)
			}
			return ids
		}

		t.Run("a job that was reserved and released by another is given once", func(t *testing.T) {
			ids := start(t, 25)
			locked, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = locked.Rollback() }()
			if _, err := locked.ExecContext(t.Context(), "SELECT id FROM jobs WHERE id = ? FOR UPDATE", ids[1]); err != nil {
				t.Fatal(err)
			}
			before, meanwhile = "SELECT id, payload…FOR UPDATE", func() {
				j := reserve(q, "other-1", 1, time.Minute)[0]
				mustExchange(t, q, driver.Exchange{Settle: []driver.Settlement{{Reservation: j.Reservation(), Outcome: driver.Release}}})
			}
			given := map[int64]int{}
			for _, j := range reserve(tapped, "tapped-1", 25, time.Minute) {
				given[j.ID]++
			}
			if len(given) != 24 || given[ids[0]] != 1 {
				t.Errorf("%d different jobs, want all but the locked one, 24; the first %d times", len(given), given[ids[0]])
			}
		})
		t.Run("a job that was moved to another queue is not taken", func(t *testing.T) {
			ids := start(t, 2)
			before, meanwhile = "SELECT id, payload…FOR UPDATE", func() {
				queue := "other"
				if err := operator.New(q).Edit(t.Context(), ids[0], operator.JobEdit{Queue: &queue}); err != nil {
					t.Error(err)
				}
			}
			if got := reserve(tapped, "tapped-2", 2, time.Minute); len(got) != 1 || got[0].ID != ids[1] {
				t.Errorf("%+v", got)
			}
		})
		t.Run("without any lock, rows that another has reserved are not ours", func(t *testing.T) {
			ids := start(t, 3)
			before, erase, meanwhile = "UPDATE…reserved = 1", true, func() { reserve(q, "other-3", 2, time.Minute) }
			defer func() { erase = false }()
			got := reserve(tapped, "tapped-3", 3, time.Minute)
			if len(got) != 1 || got[0].ID != ids[2] {
				t.Errorf("%+v", got)
			}
			if j, err := operator.New(q).Job(t.Context(), ids[0]); err != nil || j.ReservedBy != "other-3" || j.Attempts != 1 {
				t.Errorf("%+v, %v", j, err)
			}
		})
		t.Run("a reservation that was touched is not requeued", func(t *testing.T) {
			start(t, 2)
			jobs := reserve(q, "other-4", 2, time.Minute)
			mustExec(t, db, "UPDATE jobs SET expires_at = UTC_TIMESTAMP(6)")
			before, meanwhile = "SELECT id, queue, priority FROM…expires_at <= UTC_TIMESTAMP(6)\nLIMIT", func() {
				mustExchange(t, q, driver.Exchange{Touch: []driver.Touch{{Reservation: jobs[0].Reservation(), Expire: time.Minute}}})
			}
			if n := mustExchange(t, tapped, driver.Exchange{Requeue: 9}).Requeued; n != 1 || meanwhile != nil {
				t.Errorf("requeued %d, want the other one; touched: %v", n, meanwhile == nil)
			}
			if j, err := operator.New(q).Job(t.Context(), jobs[0].ID); err != nil || j.ReservedBy != "other-4" {
				t.Errorf("%+v, %v", j, err)
			}
		})
		t.Run("an abandoned reservation that has become another's is not given back", func(t *testing.T) {
			start(t, 1)
			reserve(q, "other-5", 1, time.Minute)
			before, meanwhile = "SELECT id FROM…FORCE INDEX (PRIMARY)", func() {
				mustExec(t, db, "UPDATE jobs SET expires_at = UTC_TIMESTAMP(6)")
				mustExchange(t, q, driver.Exchange{Requeue: 1, Number: "other-6", Limit: 1, Reserve: fromQueue("default", time.Minute)})
			}
			mustExchange(t, tapped, driver.Exchange{Abandoned: []string{"other-5"}})
			if jobs, err := operator.New(q).Jobs(t.Context(), operator.JobFilter{}); err != nil || len(jobs) != 1 || jobs[0].ReservedBy != "other-6" || meanwhile != nil {
				t.Errorf("%+v, %v", jobs, err)
			}
		})
		t.Run("many workers that want one job each get one each", func(t *testing.T) {
			start(t, 8)
			var got []int64
			var nested func(n int)
			nested = func(n int) { // each while the one before has locked its job
				before, meanwhile = "UPDATE…reserved = 1", func() {
					if n < 7 {
						nested(n + 1)
					}
				}
				for _, j := range reserve(tapped, fmt.Sprint("many-", n), 1, time.Minute) {
					got = append(got, j.ID)
				}
			}
			nested(0)
			slices.Sort(got)
			if len(slices.Compact(got)) != 8 {
				t.Errorf("%v", got)
			}
		})
	})
}

// TestMySQLLanes: jobs of any priority that other processes have pushed are found, and reserved in the order of priorities.
func TestMySQLLanes(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		var jobs []sqlqueue.Pushable
		want := []int16{-32768, -32767, -5, -1, 0, 1, 2, 300, 32766, 32767}
		for i := range want {
			jobs = append(jobs, sqlqueue.With(sqlqueue.Named("x", nil), sqlqueue.Priority(int(want[len(want)-1-i]))))
		}
		for range 2 {
			if _, err := mysqlQueue(t, db).PushMany(t.Context(), jobs, sqlqueue.OnQueue("a", "b")); err != nil {
				t.Fatal(err)
			}
		}
		q := mysqlQueue(t, db)
		for round := range 2 {
			x := driver.Exchange{Number: fmt.Sprint("w-", round), Limit: 2 * len(want), Reserve: append(fromQueue("b", 0), fromQueue("a", 0)...)}
			var got []int16
			for _, j := range mustExchange(t, q, x).Reserved {
				if j.Queue == map[int]string{0: "b", 1: "a"}[round] {
					got = append(got, j.Priority)
				}
			}
			var twice []int16
			for _, priority := range want {
				twice = append(twice, priority, priority)
			}
			if !slices.Equal(got, twice) {
				t.Errorf("round %d: %v, want %v", round, got, twice)
			}
		}
	})
}

// TestMySQLMarks: exchanges do not walk over what is behind the marks, and what comes to light there is found all the same.
func TestMySQLMarks(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx, start := t.Context(), time.Now()
		inTime := func() {
			t.Helper()
			if time.Since(start) > 10*time.Minute {
				t.Fatal("it takes too long")
			}
		}
		db, other := s.Open(t, dsn), s.Open(t, dsn)
		db.SetMaxOpenConns(1)
		q, producer := mysqlQueue(t, db), mysqlQueue(t, other)
		count := 0
		reserve := func(n int) []sqlqueue.Job {
			t.Helper()
			inTime()
			count++
			return mustExchange(t, q, driver.Exchange{Number: fmt.Sprint("w-", count), Limit: n, Reserve: fromQueue("default", time.Hour)}).Reserved
		}
		push := func(q *sqlqueue.Queue, n int) []int64 {
			t.Helper()
			ids, err := q.PushMany(ctx, named(n))
			if err != nil {
				t.Fatal(err)
			}
			return ids
		}

		const many = 3000
		push(q, many+100)
		reserve(many)
		const most = many / 2
		for read := many; read > most; { // on a slow machine most exchanges look at everything
			before := rowsRead(t, db)
			if len(reserve(1)) == 0 {
				push(producer, 100)
			}
			read = rowsRead(t, db) - before
		}

		const late, lateBy = 30, 700 * time.Millisecond
		tx, err := other.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		lateIDs := push(mysqlqueue.WithTx(producer, tx), late)
		for since := time.Now(); time.Since(since) < lateBy; reserve(2) {
			push(producer, 1)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		for found := 0; found < late; {
			jobs := reserve(1)
			switch {
			case len(jobs) == 0 && found > 0:
				t.Fatalf("%d of %d jobs are found, and no more at once", found, late)
			case len(jobs) > 0 && slices.Contains(lateIDs, jobs[0].ID):
				found++
			}
		}

		for range 5 {
			id, err := q.Push(ctx, sqlqueue.Named("x", nil), sqlqueue.At(time.Now().Add(-time.Hour)))
			if err != nil {
				t.Fatal(err)
			}
			if jobs := reserve(1); len(jobs) != 1 || jobs[0].ID != id {
				t.Fatalf("a job pushed for a time that has passed is not found at once: %+v", jobs)
			}
		}

		requeued := func() int {
			inTime()
			return mustExchange(t, q, driver.Exchange{Requeue: 10}).Requeued
		}
		requeued()
		const expired = 30
		mustExec(t, other, fmt.Sprintf("UPDATE jobs SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR ORDER BY id LIMIT %d", expired))
		n := requeued()
		for n == 0 {
			n = requeued()
		}
		if more, all := requeued(), requeued(); n != 10 || more != 10 || all != 10 {
			t.Errorf("of %d that had expired long ago %d, %d and %d are requeued, want them by ten", expired, n, more, all)
		}
	})
}

// TestMySQLAbandoned: what an abandoned exchange has reserved is found also where it never expires.
func TestMySQLAbandoned(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		q := mysqlQueue(t, s.Open(t, dsn))
		for _, expire := range []time.Duration{0, time.Minute} {
			for _, reserve := range [][]driver.Reserve{nil, fromQueue("other", expire)} {
				id, err := q.Push(t.Context(), sqlqueue.Named("x", nil))
				if err != nil {
					t.Fatal(err)
				}
				mustExchange(t, q, driver.Exchange{Number: "w-1", Limit: 1, Reserve: fromQueue("default", expire)})
				mustExchange(t, q, driver.Exchange{Abandoned: []string{"w-0", "w-1"}, Reserve: reserve})
				if j, err := operator.New(q).Job(t.Context(), id); err != nil || j.Reserved || j.Attempts != 0 {
					t.Errorf("expire %v: %+v, %v", expire, j, err)
				}
				if _, err := operator.New(q).Clear(t.Context(), "", true); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestMySQLPacket: a payload may be nearly as large as max_allowed_packet, also one that is twice as long when it is quoted, and beyond
// that the error says so.
func TestMySQLPacket(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		for _, interpolate := range []string{"false", "true"} {
			db := s.Open(t, with(t, dsn, "interpolateParams", interpolate))
			mustExec(t, db, "DELETE FROM jobs")
			q := mysqlQueue(t, db)
			var packet int
			if err := db.QueryRowContext(t.Context(), "SELECT @@max_allowed_packet").Scan(&packet); err != nil {
				t.Fatal(err)
			}
			const around = 16 << 10
			data := strings.Repeat(`"`, (packet-around-len(`{"job":"x","data":""}`))/len(`\"`))
			id, err := q.Push(t.Context(), sqlqueue.Named("x", data))
			if err != nil {
				t.Fatalf("interpolateParams=%s: the largest payload: %v", interpolate, err)
			}
			jobs := mustExchange(t, q, driver.Exchange{Number: "w-" + interpolate, Limit: 1, Reserve: fromQueue("default", time.Minute)}).Reserved
			if len(jobs) != 1 || jobs[0].ID != id || len(jobs[0].Payload) < packet-around-2 {
				t.Error("the largest payload did not come back")
			}
			_, err = q.PushMany(t.Context(), []sqlqueue.Pushable{sqlqueue.Named("x", 1), sqlqueue.Named("x", data+`""`)})
			if err == nil || !strings.Contains(err.Error(), "max_allowed_packet") || !strings.Contains(err.Error(), "job 2 of 2") {
				t.Errorf("%v", err)
			}
			if n := count(t, db); n != 1 {
				t.Errorf("%d jobs, want the first alone", n)
			}
		}
	})
}

// TestMySQLNesting: JSON that the server does not take is refused with a reason.
func TestMySQLNesting(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		levels := map[string]int{"mariadb": 31, "mysql": 100}[s.Engine] - 1 // the payload is one itself
		for _, options := range [][]sqlqueue.PushOption{nil, {sqlqueue.Unique("key")}} {
			nested := func(n int) sqlqueue.Pushable {
				return sqlqueue.Named("x", json.RawMessage(strings.Repeat("[", n)+strings.Repeat("]", n)))
			}
			if _, err := q.Push(t.Context(), nested(levels), options...); err != nil {
				t.Errorf("%d levels: %v", levels, err)
			}
			mustExec(t, db, "DELETE FROM jobs")
			if _, err := q.Push(t.Context(), nested(levels+1), options...); err == nil || !strings.Contains(err.Error(), "levels of nesting") {
				t.Errorf("%d levels: %v", levels+1, err)
			}
		}
	})
}

func count(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM jobs").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMySQLCheck: what cannot work is said before jobs are lost.
func TestMySQLCheck(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx := t.Context()
		for setting, want := range map[[2]string]string{
			{"charset", "latin1"}:  "charset=utf8mb4",
			{"charset", "utf8mb3"}: "charset=utf8mb4",
			{"autocommit", "0"}:    "autocommit",

			{"collation_connection", "'latin1_swedish_ci'"}: "collation_connection",
			{"sql_select_limit", "1"}:                       "sql_select_limit",
			{"unique_checks", "0"}:                          "unique_checks",
			{"sql_safe_updates", "1"}:                       "sql_safe_updates",
		} {
			q := mysqlQueue(t, s.Open(t, with(t, dsn, setting[0], setting[1])))
			_, pushError := q.Push(ctx, sqlqueue.Named("x", nil))
			_, exchangeError := q.Exchange(ctx, driver.Exchange{})
			for what, err := range map[string]error{"check": q.Check(ctx), "push": pushError, "exchange": exchangeError} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v: %s: %v", setting, what, err)
				}
			}
		}

		db := s.Open(t, with(t, dsn, "binlog_format", "'STATEMENT'"))
		_, err := db.ExecContext(ctx, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
		if err != nil {
			t.Fatal(err)
		}
		var logs bool
		if err := db.QueryRowContext(ctx, "SELECT @@log_bin").Scan(&logs); err != nil {
			t.Fatal(err)
		}
		if err := mysqlQueue(t, db).Check(ctx); logs != (err != nil && strings.Contains(err.Error(), "1665")) || !logs && err != nil {
			t.Errorf("with binlog_format=STATEMENT, log_bin %v: %v", logs, err)
		}

		db = s.Open(t, s.NewDatabase(t))
		q := mysqlQueue(t, db)
		r := sqlqueue.Reservation{ID: 1, By: "w-1"}
		for name, call := range map[string]func() error{
			"check":    func() error { return q.Check(ctx) },
			"push":     func() error { _, err := q.Push(ctx, sqlqueue.Named("x", nil)); return err },
			"many":     func() error { _, err := q.PushMany(ctx, named(2500)); return err },
			"unique":   func() error { _, err := q.Push(ctx, sqlqueue.Named("x", nil), sqlqueue.Unique("k")); return err },
			"exchange": func() error { _, err := q.Exchange(ctx, driver.Exchange{}); return err },
			"reserve": func() error {
				_, err := q.Exchange(ctx, driver.Exchange{Number: "w-1", Limit: 1, Reserve: fromQueue("default", 0)})
				return err
			},
			"settle": func() error {
				_, err := q.Exchange(ctx, driver.Exchange{Settle: []driver.Settlement{{Reservation: r, Outcome: driver.Delete}}})
				return err
			},
			"hold":    func() error { return q.Hold(ctx, r) },
			"jobs":    func() error { _, err := operator.New(q).Jobs(ctx, operator.JobFilter{}); return err },
			"cancel":  func() error { _, err := operator.New(q).Cancel(ctx, 1); return err },
			"failed":  func() error { _, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{}); return err },
			"retry":   func() error { _, err := operator.New(q).Retry(ctx, operator.FailedFilter{}); return err },
			"forget":  func() error { _, err := operator.New(q).Forget(ctx, operator.FailedFilter{}); return err },
			"queues":  func() error { _, err := operator.New(q).Queues(ctx, 0); return err },
			"control": func() error { return operator.New(q).Control(ctx, "", operator.ControlChange{Restart: true}) },
			"workers": func() error { _, err := operator.New(q).Workers(ctx); return err },
		} {
			if err := call(); !errors.Is(err, sqlqueue.ErrNotMigrated) || strings.Count(err.Error(), "migrate up") != 1 {
				t.Errorf("without tables: %s: %v", name, err)
			}
			if n := db.Stats().InUse; n != 0 {
				t.Errorf("%s left %d connections in use", name, n)
			}
		}
	})
}

func named(n int) []sqlqueue.Pushable {
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("x", i)
	}
	return jobs
}

// TestMySQLIdle: an exchange that finds nothing to do writes nothing, and opens no transaction.
func TestMySQLIdle(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, _ *servers.Server, dsn string) {
		var sent []string
		var mu sync.Mutex
		q := mysqlQueue(t, watch(func(statement string) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, strings.Fields(statement)[0])
		}).open(t, dsn))
		if _, err := q.Push(t.Context(), sqlqueue.Named("x", nil), sqlqueue.Delay(time.Hour)); err != nil {
			t.Fatal(err)
		}
		x := driver.Exchange{Requeue: 100, Limit: 10, Reserve: fromQueue("default", time.Minute)}
		for i := range 5 {
			sent = nil
			x.Number = fmt.Sprint("w-", i)
			if answer := mustExchange(t, q, x); len(answer.Reserved) > 0 || answer.NextDue.IsZero() || answer.Now.IsZero() {
				t.Errorf("%+v", answer)
			}
			if i := slices.IndexFunc(sent, func(word string) bool { return word != "SELECT" }); i >= 0 || len(sent) > 4 {
				t.Errorf("an idle exchange sent %v", sent)
			}
		}
	})
}

// TestMySQLSteps: an exchange does not need more round trips than it did.
func TestMySQLSteps(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, _ *servers.Server, dsn string) {
		var packets atomic.Int64
		db := watch(func(string) { packets.Add(1) }).open(t, dsn)
		q := mysqlQueue(t, db)
		if _, err := q.PushMany(t.Context(), named(400)); err != nil {
			t.Fatal(err)
		}
		x := driver.Exchange{Requeue: 100, Limit: 100, Reserve: fromQueue("default", time.Minute)}
		least := int64(1000) // once a second an exchange looks for lanes, and on a slow machine that is each
		for i := range 4 {
			packets.Store(0)
			x.Number = fmt.Sprint("w-", i)
			answer := mustExchange(t, q, x)
			if i > 0 {
				least = min(least, packets.Load())
			}
			x.Settle = nil
			for _, j := range answer.Reserved {
				x.Settle = append(x.Settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
			}
		}
		const most = 10 // isolation, START, lock, DELETE, controls, look, find, lock, UPDATE, COMMIT
		if least > most || len(x.Settle) != 100 {
			t.Errorf("an exchange that settled and reserved took %d round trips, want at most %d", least, most)
		}
	})
}

// TestMySQLOperatorsPassLockedRows: what operators change is not held up by locks of other rows.
func TestMySQLOperatorsPassLockedRows(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx := t.Context()
		db := s.Open(t, with(t, dsn, "innodb_lock_wait_timeout", "10"))
		q := mysqlQueue(t, db)
		ids, err := q.PushMany(ctx, named(1020)) // MariaDB scans the table for lists of a thousand
		if err != nil {
			t.Fatal(err)
		}
		jobs := mustExchange(t, q, driver.Exchange{Number: "w-1", Limit: 9, Reserve: fromQueue("default", time.Minute)}).Reserved
		var fail []driver.Settlement
		for _, j := range jobs[2:] {
			fail = append(fail, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Fail, Error: "e"})
		}
		mustExchange(t, q, driver.Exchange{Settle: fail})
		failed, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{})
		if err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if err := mysqlqueue.WithTx(q, tx).Hold(ctx, jobs[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE failed_jobs SET error = 'being looked at' WHERE id = ?", failed[0].ID); err != nil {
			t.Fatal(err)
		}
		priority := 3
		start := time.Now()
		for _, operation := range []struct {
			name string
			call func() error
		}{
			{"cancel", func() error { _, err := operator.New(q).Cancel(ctx, ids[12], ids[11], ids[13]); return err }},
			{"edit", func() error { return operator.New(q).Edit(ctx, ids[14], operator.JobEdit{Priority: &priority}) }},
			{"release", func() error { _, err := operator.New(q).Release(ctx, jobs[1].ID); return err }},
			{"retry", func() error {
				_, err := operator.New(q).Retry(ctx, operator.FailedFilter{IDs: []int64{failed[1].ID, failed[2].ID, failed[3].ID}})
				return err
			}},
			{"forget", func() error {
				_, err := operator.New(q).Forget(ctx, operator.FailedFilter{IDs: []int64{failed[4].ID, failed[5].ID, failed[6].ID}})
				return err
			}},
			{"clear", func() error { _, err := operator.New(q).Clear(ctx, "default", false); return err }},
		} {
			if err := operation.call(); err != nil {
				t.Errorf("%s: %v", operation.name, err)
			}
		}
		if waited := time.Since(start); waited > 25*time.Second {
			t.Errorf("it took %v", waited)
		}
	})
}
