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

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// plans checks by which indexes the statements of a queue reach large tables.
type plans struct {
	server *servers.Server
	db     *sql.DB
	queue  *sqlqueue.Queue
	below  *sqldb.Database // what the queue's store has below it
	sent   recorded
}

// newPlans returns plans on tables of their own, which are empty. It is about the statements that name one of the tables.
func newPlans(t *testing.T, s *servers.Server, tables []string) *plans {
	t.Helper()
	dsn := migrated(t, s, "")
	p := &plans{server: s, db: s.Open(t, dsn), sent: recorded{tables: tables}}
	p.queue = p.sent.queue(t, s, dsn)
	store, err := p.queue.Store(t.Context())
	if err == nil {
		p.below, err = sqldb.Of(store)
	}
	if err != nil {
		t.Fatal(err)
	}
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

// double runs a statement that adds to a table what is in it.
func (p *plans) double(t *testing.T, times int, statement string) {
	t.Helper()
	for range times {
		mustExec(t, p.db, statement)
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

// largeTables are those of which statements are looked at.
var largeTables = []string{
	"jobs", "failed_jobs", "job_counts", "job_errors", "job_finished", "job_schedules", "job_batches", "job_permits", "job_names",
	"job_sizes",
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
	return tracedQueue(t, dsn, queryTracer{r})
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
