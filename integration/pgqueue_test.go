package integration

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// TestPostgresPlans: every statement of an exchange and of the search for lanes reads a handful of blocks of a table with 300,000
// delayed jobs, whether its plan was made on that table or, as in a worker that started early, while the table was empty. It is so, too,
// where jobs are in partitions.
func TestPostgresPlans(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine != "postgres" {
			t.Skip("PostgreSQL's own plans")
		}
		testPlans(t, migrated(t, s, ""), "jobs")
		t.Run("partitions", func(t *testing.T) {
			dsn := migrated(t, s, "")
			mustExec(t, s.Open(t, dsn), partitioning(t, "", "hash"))
			testPlans(t, dsn, "jobs_0", "jobs_1", "jobs_2", "jobs_3")
		})
	})
}

// testPlans fills jobs, which is in these tables, and looks at the plans.
func testPlans(t *testing.T, dsn string, parts ...string) {
	ctx := t.Context()
	settings, statements := exchangeStatements(t, dsn)

	fill := connect(t, dsn)
	for _, part := range parts {
		if _, err := fill.Exec(ctx, "ALTER TABLE "+part+" SET (autovacuum_enabled = off)"); err != nil { // it would have plans made anew
			t.Fatal(err)
		}
	}
	delayed := 300_000 / len(parts)
	early, late := connect(t, dsn), connect(t, dsn)
	for i, st := range statements {
		prepare(t, early, settings, fmt.Sprintf("p%d", i), st)
	}
	for _, sql := range []string{
		`INSERT INTO jobs (queue, payload, available_at)
			 SELECT 'mail', '{"job":"x"}', now() + interval '1 day' FROM generate_series(1, ` + strconv.Itoa(delayed) + `)`,
		`INSERT INTO jobs (queue, payload) SELECT 'mail', '{"job":"x"}' FROM generate_series(1, 50000)`,
		`INSERT INTO jobs (queue, payload, reserved, reserved_at, reserved_by, expires_at)
			 SELECT 'mail', '{"job":"x"}', true, now(), 'other-1', now() + interval '1 hour' FROM generate_series(1, 50000)`,
	} {
		if _, err := fill.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	for i, st := range statements {
		check := func(t *testing.T, conn *pgx.Conn) {
			// blocks; changing a hundred rows takes 1,500, the table has 5,000, and to look at all ready rows takes 50,000
			const most = 4000
			plan, blocks := explain(t, conn, fmt.Sprintf("p%d", i), st)
			if blocks > most || strings.Contains(plan, `"Seq Scan"`) {
				t.Errorf("%d blocks were read, want at most %d, and no table scanned, for\n%s\n%s", blocks, most, st.sql, plan)
			}
		}
		name := strings.Join(regexp.MustCompile(`(?i)(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH) (")?(\w+)`).FindAllString(st.sql, 2), " ")
		t.Run("early/"+name, func(t *testing.T) { check(t, early) })
		t.Run("late/"+name, func(t *testing.T) {
			prepare(t, late, settings, fmt.Sprintf("p%d", i), st)
			check(t, late)
		})
	}
}

// TestPostgresManyLanes: an exchange names a bounded number of lanes, however many queues it asks for and priorities these have.
func TestPostgresManyLanes(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine != "postgres" {
			t.Skip("PostgreSQL's own statements")
		}
		dsn := migrated(t, s, "")
		mustExec(t, s.Open(t, dsn),
			`INSERT INTO jobs (queue, priority, payload) SELECT 'mail', n - 10000, '{"job":"x"}' FROM generate_series(1, 20000) AS n`)
		var sent batchTracer
		q := tracedQueue(t, dsn, &sent)
		reserve := []driver.Reserve{{Queue: "mail", Expire: time.Minute}}
		for i := range 20_000 {
			reserve = append(reserve, driver.Reserve{Queue: fmt.Sprint("customer", i), Expire: time.Minute})
		}
		for n, limit := range []int{1, 1, 500, 500, 30_000} {
			sent.statements = nil
			var answer driver.Exchanged
			const most = 50 // a walk over all lanes that begins again meanwhile, as it does after a second, comes by empty ones first
			for try := 0; try < most && len(answer.Reserved) == 0 && !answer.Everything && !answer.NextDue.After(answer.Now); try++ {
				answer = mustExchange(t, q, driver.Exchange{Number: fmt.Sprint("w-", n, "-", try), Limit: limit, Reserve: reserve})
			}
			if len(answer.Reserved) == 0 {
				t.Errorf("exchange %d has found no job: %+v", n, answer)
			}
			for _, st := range sent.statements {
				for i, arg := range st.args {
					const most = 2 * 1000 // of each lane the ranges before and after it
					if v := reflect.ValueOf(arg); v.Kind() == reflect.Slice && v.Len() > most {
						t.Errorf("exchange %d: argument %d has %d elements, want at most %d, of %s", n, i+1, v.Len(), most, st.sql)
					}
				}
			}
		}
	})
}

// statement is what a store sent.
type statement struct {
	sql     string
	args    []any
	byIndex bool // the planner was told to go by indexes
}

// tracedQueue is a queue on PostgreSQL whose statements a tracer is told of.
func tracedQueue(t *testing.T, dsn string, tracer pgx.QueryTracer) *sqlqueue.Queue {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	q, err := pgqueue.New(pool, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// exchangeStatements has the store run an exchange with all that an exchange can have. It returns what the store sent about jobs, and
// what it set before.
func exchangeStatements(t *testing.T, dsn string) (settings string, statements []statement) {
	t.Helper()
	var sent batchTracer
	q := tracedQueue(t, dsn, &sent)
	var x driver.Exchange
	for i := range 100 {
		r := sqlqueue.Reservation{ID: int64(1000 + i), By: "w-1"}
		x.Settle = append(x.Settle, driver.Settlement{Reservation: r, Outcome: driver.Delete + driver.Outcome(i%3), Error: "e"})
		x.Touch = append(x.Touch, driver.Touch{Reservation: sqlqueue.Reservation{ID: int64(2000 + i), By: "w-1"}, Expire: time.Minute})
	}
	x.Requeue, x.Limit, x.Number = 100, 100, "w-2"
	x.Reserve = []driver.Reserve{{Queue: "high", Expire: time.Minute}, {Queue: "mail", Expire: time.Minute}}
	if _, err := q.Exchange(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	x = driver.Exchange{Limit: x.Limit, Number: "w-3", Reserve: x.Reserve, Bytes: 1 << 20}
	if _, err := q.Exchange(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	const want = 11 // lanes, delete, release, fail, touch, requeue, what it left, reserve, look; reserve by bytes, look
	if len(sent.statements) != want {
		t.Fatalf("an exchange sent %d statements, want %d", len(sent.statements), want)
	}
	return sent.settings, sent.statements
}

// batchTracer notes the statements of batches.
type batchTracer struct {
	mu         sync.Mutex
	settings   string
	statements []statement
}

func (b *batchTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (b *batchTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (b *batchTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (b *batchTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (b *batchTracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case strings.Contains(data.SQL, "set_config"):
		b.settings = data.SQL
	case strings.Contains(data.SQL, "jobs"):
		b.statements = append(b.statements, statement{sql: data.SQL, args: data.Args})
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// prepare makes the statement's plan, as the store does: after what it sets for its transaction.
func prepare(t *testing.T, conn *pgx.Conn, settings, name string, st statement) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	for _, sql := range []string{settings, "PREPARE " + name + " AS " + st.sql} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if _, err := tx.Exec(t.Context(), execute("EXPLAIN EXECUTE "+name, st), arguments(st)...); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// explain runs the prepared statement, rolls it back, and returns its plan and how many blocks it read.
func explain(t *testing.T, conn *pgx.Conn, name string, st statement) (string, int) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	var plan []byte
	query := execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE "+name, st)
	if err := tx.QueryRow(t.Context(), query, arguments(st)...).Scan(&plan); err != nil {
		t.Fatal(err)
	}
	var parsed []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal(plan, &parsed); err != nil {
		t.Fatal(err)
	}
	return string(plan), parsed[0].Plan.Hit + parsed[0].Plan.Read
}

func execute(command string, st statement) string {
	if len(st.args) == 0 {
		return command
	}
	places := make([]string, len(st.args))
	for i := range st.args {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	return command + "(" + strings.Join(places, ", ") + ")"
}

// arguments has them written into the command, as EXPLAIN takes no others.
func arguments(st statement) []any {
	return append([]any{pgx.QueryExecModeSimpleProtocol}, st.args...)
}

// migrated makes a database with the tables and returns its address. It takes the statements as other tools do: Migrator, which has tests
// of its own, needs many times as long for them with the race detector, and adapts them to TiDB.
func migrated(t testing.TB, s *servers.Server, prefix string, options ...migrations.Option) string {
	t.Helper()
	dsn := s.NewDatabase(t)
	db := s.Open(t, dsn)
	if s.Engine == "mysql" && isTiDB(t, db) {
		migrator, err := migrations.New(db, dialectOf(s), prefix, options...)
		if err == nil {
			_, err = migrator.Up(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return dsn
	}
	text, err := migrations.SQL(dialectOf(s), prefix, 0, false, options...)
	if err != nil {
		t.Fatal(err)
	}
	for step := range strings.SplitSeq(text, "\n-- Step ") {
		_, step, _ = strings.Cut(step, "\n") // its name
		statements := []string{step}
		if s.Engine != "postgres" { // which takes several, as one transaction
			statements = strings.SplitAfter(strings.TrimSpace(step), ";\n")
		}
		mustExec(t, db, statements...)
	}
	return dsn
}

func isTiDB(t testing.TB, db *sql.DB) bool {
	t.Helper()
	var version string
	if err := db.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(version, "TiDB")
}

// TestPostgresExecModes: the store works in each of pgx's execution modes, those for poolers in transaction mode included.
func TestPostgresExecModes(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine != "postgres" {
			t.Skip("the modes are pgx's")
		}
		for _, mode := range []pgx.QueryExecMode{
			pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec,
			pgx.QueryExecModeSimpleProtocol,
		} {
			t.Run(mode.String(), func(t *testing.T) { pushAndSettle(t, migrated(t, s, ""), mode) })
		}
	})
}

func pushAndSettle(t *testing.T, dsn string, mode pgx.QueryExecMode) {
	ctx := t.Context()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.DefaultQueryExecMode = mode
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	q, err := pgqueue.New(pool, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	pushAndSettleOn(t, q)
}

// TestPostgresSQL: the store works on a *sql.DB of pgx's driver as on a pool, also with one connection, and hears of pushes. Another
// driver's is refused.
func TestPostgresSQL(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine != "postgres" {
			t.Skip("the driver is pgx's")
		}
		dsn := migrated(t, s, "")
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		db.SetMaxOpenConns(1)
		q, err := pgqueue.NewSQL(db, sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		pushAndSettleOn(t, q)

		heard := make(chan struct{}, 100)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Listen(ctx, []string{"default"}, func() { heard <- struct{}{} }) }()
		<-heard // it listens
		if _, err := q.Push(t.Context(), sqlqueue.Named("a", nil)); err != nil {
			t.Error(err)
		}
		<-heard
		stop()
		if err := <-ended; err == nil {
			t.Error("Listen has ended without an error")
		}
		if n := db.Stats().InUse; n != 0 {
			t.Errorf("%d connections are still in use", n)
		}

		q, err = pgqueue.NewSQL(openPQ(t, dsn), sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "is not one of pgx's stdlib driver") {
			t.Errorf("with lib/pq: %v", err)
		}
		if _, err := pgqueue.NewSQL(nil, sqlqueue.Config{}); err == nil {
			t.Error("a nil database is taken")
		}
	})
}

// pushAndSettleOn pushes jobs, reserves them, and settles them in different ways.
func pushAndSettleOn(t *testing.T, q *sqlqueue.Queue) {
	t.Helper()
	ctx := t.Context()
	if err := q.Check(ctx); err != nil {
		t.Fatal(err)
	}
	jobs := []sqlqueue.Pushable{
		sqlqueue.Named("delete", `quote " backslash \ braces {} comma ,`),
		sqlqueue.With(sqlqueue.Named("release", nil), sqlqueue.At(time.Now().Add(-time.Minute))),
		sqlqueue.With(sqlqueue.Named("fail", 1), sqlqueue.Unique(`key "\{},`)),
	}
	if _, err := q.PushMany(ctx, jobs); err != nil {
		t.Fatal(err)
	}
	x := driver.Exchange{
		Requeue: 10, Abandoned: []string{"w-0"},
		Number: "w-1", Limit: 10, Reserve: []driver.Reserve{{Queue: "default", Expire: time.Minute}},
	}
	answer, err := q.Exchange(ctx, x)
	if err != nil || len(answer.Reserved) != 3 {
		t.Fatalf("reserved %+v, %v, want 3 jobs", answer.Reserved, err)
	}
	x = driver.Exchange{}
	for _, job := range answer.Reserved {
		payload, err := sqlqueue.ParsePayload(job.Payload)
		if err != nil {
			t.Fatal(err)
		}
		outcome := map[string]driver.Outcome{"delete": driver.Delete, "release": driver.Release, "fail": driver.Fail}[payload.Job]
		x.Touch = append(x.Touch, driver.Touch{Reservation: job.Reservation()})
		x.Settle = append(x.Settle, driver.Settlement{Reservation: job.Reservation(), Outcome: outcome, Error: "e"})
	}
	if answer, err = q.Exchange(ctx, driver.Exchange{Touch: x.Touch}); err != nil || answer.Lost != nil {
		t.Fatalf("touch: %+v, %v", answer, err)
	}
	if answer, err = q.Exchange(ctx, driver.Exchange{Settle: x.Settle}); err != nil || answer.Lost != nil {
		t.Fatalf("settle: %+v, %v", answer, err)
	}
	queues, err := operator.New(q).Queues(ctx, 0)
	if err != nil || len(queues) != 1 || queues[0].Ready != 1 || queues[0].Failed != 1 {
		t.Errorf("left are %+v, %v, want one ready and one failed", queues, err)
	}
	if _, err := operator.New(q).Retry(ctx, operator.FailedFilter{Queue: "default", OlderThan: -time.Second}); err != nil {
		t.Error(err)
	}
	if err := operator.New(q).Control(ctx, "", operator.ControlChange{Pause: true, PauseFor: time.Minute}); err != nil {
		t.Error(err)
	}
}
