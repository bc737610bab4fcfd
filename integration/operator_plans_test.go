package integration

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// TestOperatorPlans: what an operator looks at goes by indexes on large tables.
func TestOperatorPlans(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		p := newPlans(t, s, largeTables[:5])
		p.fillForOperators(t)
		ctx, q, primary := t.Context(), p.queue, p.primary
		p.check(t, []planTest{
			{
				"queues", func() error { _, err := operator.New(q).Queues(ctx, 1000); return err },
				[]string{"failed_jobs_queue", "jobs_expiry", "jobs_ready"},
			},
			{
				"counts", func() error { _, err := operator.New(q).Counts(ctx, time.Hour); return err },
				[]string{"job_counts_minute", primary("jobs")},
			},
			{
				"old counts", func() error {
					return q.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w"}, OldCounts: operator.CountsKept - time.Hour})
				},
				[]string{"job_counts_minute", primary("job_counts")},
			},
			{
				"old errors", func() error {
					return q.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w"}, OldErrors: 49 * time.Hour, MostErrors: 60_000})
				},
				[]string{"job_errors_at", primary("job_errors")},
			},
			{
				"errors", func() error { _, err := operator.New(q).Errors(ctx, operator.ErrorFilter{Before: 50_000}); return err },
				[]string{primary("job_errors")},
			},
			{
				"errors of a job", func() error { _, err := operator.New(q).Errors(ctx, operator.ErrorFilter{JobID: 7}); return err },
				[]string{"job_errors_job"},
			},
			{
				"groups of errors", func() error { _, err := operator.New(q).ErrorGroups(ctx, time.Hour, 1000); return err },
				[]string{primary("job_errors")},
			},
			{
				"finished jobs", func() error {
					_, err := operator.New(q).FinishedJobs(ctx, operator.FinishedFilter{Before: 50_000})
					return err
				},
				[]string{primary("job_finished")},
			},
			{
				"finished jobs of a queue", func() error {
					_, err := operator.New(q).FinishedJobs(ctx, operator.FinishedFilter{Queue: "few"})
					return err
				},
				[]string{"job_finished_queue"},
			},
			{
				"finished jobs of a name", func() error {
					_, err := operator.New(q).FinishedJobs(ctx, operator.FinishedFilter{Name: "rare"})
					return err
				},
				[]string{"job_finished_name"},
			},
			{
				"a finished job", func() error {
					_, err := operator.New(q).FinishedJob(ctx, 7)
					return err
				},
				[]string{"job_finished_job"},
			},
			{
				"old finished jobs", func() error {
					return q.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w"}, Unseen: time.Hour})
				},
				[]string{"job_finished_until", primary("job_finished")},
			},
			{
				"groups", func() error { _, err := operator.New(q).FailedGroups(ctx, operator.FailedFilter{}, 1000); return err },
				[]string{primary("failed_jobs")},
			},
			{
				"groups of a queue", func() error {
					_, err := operator.New(q).FailedGroups(ctx, operator.FailedFilter{Queue: "few"}, 1000)
					return err
				},
				[]string{"failed_jobs_queue"},
			},
			{
				"a page of jobs", func() error { _, err := operator.New(q).Jobs(ctx, operator.JobFilter{After: 1000}); return err },
				[]string{primary("jobs")},
			},
			{
				"the newest jobs", func() error { _, err := operator.New(q).Jobs(ctx, operator.JobFilter{Newest: true}); return err },
				[]string{primary("jobs")},
			},
			{
				"a page of failed jobs", func() error {
					_, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{Before: 1000})
					return err
				},
				[]string{primary("failed_jobs")},
			},
			{
				"a page of a queue's failed jobs", func() error {
					_, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{Queue: "few", Before: 80_000})
					return err
				},
				[]string{"failed_jobs_queue"},
			},
			{
				"forget what is old", func() error {
					_, err := operator.New(q).Forget(ctx, operator.FailedFilter{OlderThan: 1000 * time.Hour})
					return err
				},
				[]string{"failed_jobs_failed_at"},
			},
		})
	})
}

// plans checks by which indexes the statements of a queue reach large tables.
type plans struct {
	server *servers.Server
	db     *sql.DB
	queue  *sqlqueue.Queue
	sent   recorded
}

// newPlans returns plans on tables of their own, which are empty. It is about the statements that name one of the tables.
func newPlans(t *testing.T, s *servers.Server, tables []string) *plans {
	t.Helper()
	dsn := migrated(t, s, "")
	p := &plans{server: s, db: s.Open(t, dsn), sent: recorded{tables: tables}}
	p.queue = p.sent.queue(t, s, dsn)
	return p
}

// on returns the name that an index has on the server.
func (p *plans) on(postgres, mysql string) string {
	if p.server.Engine == "postgres" {
		return postgres
	}
	return mysql
}

// primary is the index of a table's primary key.
func (p *plans) primary(table string) string { return p.on(table+"_pkey", "PRIMARY") }

// analyze has the server look at what is in the tables.
func (p *plans) analyze(t *testing.T, tables ...string) {
	t.Helper()
	for _, table := range tables {
		mustExec(t, p.db, p.on("VACUUM ANALYZE ", "ANALYZE TABLE ")+table)
	}
}

// planTest is something to do, and the indexes that it uses: each of them, and nothing else.
type planTest struct {
	name    string
	do      func() error
	indexes []string
}

func (p *plans) check(t *testing.T, tests []planTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p.sent.start()
			if err := test.do(); err != nil {
				t.Fatal(err)
			}
			used := map[string]bool{}
			for _, st := range p.sent.stop() {
				for _, index := range plannedIndexes(t, p.server, p.db, st) {
					used[index] = true
				}
			}
			got := slices.Sorted(maps.Keys(used))
			want := slices.Compact(slices.Sorted(slices.Values(test.indexes)))
			if len(got) == 0 && strings.HasPrefix(want[0], "none") {
				want = nil
			}
			if !slices.Equal(got, want) {
				t.Errorf("it uses the indexes %q, want %q", got, want)
			}
		})
	}
}

// fillForOperators makes large tables, by doubling.
func (p *plans) fillForOperators(t *testing.T) {
	t.Helper()
	ctx, q, db := t.Context(), p.queue, p.db
	push := func(name, queue string, options ...sqlqueue.PushOption) {
		t.Helper()
		if _, err := q.Push(ctx, sqlqueue.Named(name, nil), append(options, sqlqueue.OnQueue(queue))...); err != nil {
			t.Fatal(err)
		}
	}
	reserve := func(number string, limit int) []sqlqueue.Job {
		t.Helper()
		x := driver.Exchange{Number: number, Limit: limit}
		for i := range 5 {
			x.Reserve = append(x.Reserve, driver.Reserve{Queue: fmt.Sprint("queue-", i), Expire: time.Hour})
		}
		answer, err := q.Exchange(ctx, x)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Reserved
	}
	for i := range 40 {
		push("job", fmt.Sprint("queue-", i%5))
	}
	var x driver.Exchange
	for _, j := range reserve("w-1", 40) {
		x.Settle = append(x.Settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Fail, Error: "no"})
	}
	b := driver.Beat{Worker: driver.Worker{ID: "w"}}
	for i := range 1000 {
		b.Counts = append(b.Counts, driver.Count{Minute: time.Now().Add(-time.Duration(i) * 3 * time.Minute).Truncate(time.Minute), Queue: "queue-1", Done: 1})
	}
	for i := range 1000 {
		b.Errors = append(b.Errors, driver.RunError{JobID: int64(i), Queue: "queue-1", Outcome: "released", At: time.Now().Add(-time.Duration(i) * 3 * time.Minute)})
	}
	if _, err := q.Exchange(ctx, x); err != nil {
		t.Fatal(err)
	}
	if err := q.Beat(ctx, b); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		push("job", fmt.Sprint("queue-", i%5), sqlqueue.Priority(i%3), sqlqueue.Delay(time.Duration(i%4/3)*time.Hour))
	}
	double := func(times int, statement string) {
		t.Helper()
		for range times {
			mustExec(t, db, statement)
		}
	}
	double(11, "INSERT INTO jobs (queue, priority, payload, available_at, created_at) SELECT queue, priority, payload, available_at, created_at FROM jobs")
	double(11, `INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
		SELECT job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at FROM failed_jobs`)
	double(6, "INSERT INTO job_counts (minute, queue, pushed, done, failed, released) SELECT minute, queue, pushed, done, failed, released FROM job_counts")
	double(6, `INSERT INTO job_errors (job_id, queue, name, attempt, outcome, error, stack, worker, took_ms, at)
		SELECT job_id + 1000, queue, name, attempt, outcome, error, stack, worker, took_ms, at FROM job_errors`)
	if n := len(reserve("w-2", 20)); n != 20 {
		t.Fatalf("reserved %d jobs", n)
	}
	mustExec(t, db, "UPDATE failed_jobs SET queue = 'few' WHERE id % 1000 = 7")
	mustExec(t, db, `INSERT INTO job_finished (job_id, queue, name, priority, payload, attempts, outcome, worker, created_at, started_at, keep_until)
		SELECT id, queue, CASE WHEN id % 1000 = 7 THEN 'rare' ELSE 'job' END, priority, payload, attempts, 'done', 'w', created_at, created_at,
			CASE WHEN id % 1000 = 8 THEN created_at ELSE TIMESTAMP '2100-01-01 00:00:00' END
		FROM failed_jobs`)
	p.analyze(t, "jobs", "failed_jobs", "job_counts", "job_errors", "job_finished")
}

// largeTables are those of which statements are looked at.
var largeTables = []string{
	"jobs", "failed_jobs", "job_counts", "job_errors", "job_finished", "job_schedules", "job_batches", "job_permits", "job_names", "job_sizes",
}

// recorded notes the statements of a queue.
type recorded struct {
	mu         sync.Mutex
	on         bool
	statements []statement
	tables     []string           // of which statements are noted
	told       map[*pgx.Conn]bool // PostgreSQL's planner, in a transaction, to go by indexes
}

func (r *recorded) add(st statement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on && slices.ContainsFunc(r.tables, func(table string) bool {
		return strings.Contains(st.sql, `"`+table+`"`) || strings.Contains(st.sql, "`"+table+"`")
	}) {
		r.statements = append(r.statements, st)
	}
}

func (r *recorded) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on, r.statements = true, nil
}

func (r *recorded) stop() []statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = false
	return r.statements
}

func (r *recorded) queue(t *testing.T, s *servers.Server, dsn string) *sqlqueue.Queue {
	t.Helper()
	if s.Engine != "postgres" {
		return mysqlQueue(t, watch(func(sql string) { r.add(statement{sql: sql}) }).open(t, dsn))
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = queryTracer{r}
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

type queryTracer struct{ *recorded }

func (r queryTracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.add(statement{data.SQL, data.Args, r.byIndex(conn, data.SQL)})
	return ctx
}

// byIndex reports whether the transaction has told the planner to go by indexes.
func (r *recorded) byIndex(conn *pgx.Conn, sql string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch word := strings.ToLower(strings.TrimSpace(sql)); {
	case strings.HasPrefix(word, "begin"), word == "commit", word == "rollback":
		delete(r.told, conn)
	case strings.Contains(word, "'enable_seqscan', 'off'"):
		if r.told == nil {
			r.told = map[*pgx.Conn]bool{}
		}
		r.told[conn] = true
	}
	return r.told[conn]
}

func (r queryTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r queryTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (r queryTracer) TraceBatchQuery(_ context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	byIndex := r.byIndex(conn, data.SQL)
	if strings.Contains(data.SQL, `"job_counts"`) || strings.Contains(data.SQL, `"job_errors"`) { // the others have a test of their own
		r.add(statement{data.SQL, data.Args, byIndex})
	}
}

func (r queryTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// plannedIndexes returns the indexes by which a statement reaches the large tables; a scan of a table is told in their place.
func plannedIndexes(t *testing.T, s *servers.Server, db *sql.DB, st statement) (indexes []string) {
	t.Helper()
	if s.Engine != "postgres" {
		for _, row := range mysqlPlan(t, s, db, st.sql) {
			table := row["table"] // b and t are aliases
			switch {
			case !slices.Contains(append(largeTables, "b", "t"), table), row["select_type"] == "INSERT":
			case row["type"] == "ALL" || row["key"] == "":
				indexes = append(indexes, fmt.Sprintf("a scan by %s", st.sql))
			default:
				indexes = append(indexes, row["key"])
			}
		}
		return indexes
	}
	var plan []byte
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if st.byIndex {
		if _, err := tx.ExecContext(t.Context(), "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.QueryRowContext(t.Context(), "EXPLAIN (FORMAT JSON) "+st.sql, st.args...).Scan(&plan); err != nil {
		t.Fatalf("%s: %v", st.sql, err)
	}
	if strings.Contains(string(plan), `"Seq Scan"`) {
		indexes = append(indexes, "a scan by "+st.sql)
	}
	for _, match := range regexp.MustCompile(`"Index Name": "(.*)"`).FindAllSubmatch(plan, -1) {
		indexes = append(indexes, string(match[1]))
	}
	return indexes
}
