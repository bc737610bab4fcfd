package integration

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// TestIdleWorker: an idle worker sends no more statements than it did, also with schedules that are not due. A statement that is added to
// its exchange, its polls or its beat fails the test: is there no other that could ask the same?
func TestIdleWorker(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		var sent tally
		dsn := migrated(t, s, "")
		q := sent.queue(t, s, dsn)
		mux := worker.NewMux()
		mux.HandleAll(func(context.Context, *worker.Job[json.RawMessage]) error { return nil })
		if err := q.Schedule(t.Context(), sqlqueue.Schedule{Name: "daily", Every: "24h", Job: sqlqueue.Named("x", nil)}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error)
		go func() { done <- worker.New(q, mux, worker.Config{}).Run(ctx) }()
		sent.begin()
		await(t, "the upkeep of this minute has begun", func() bool { return sent.has("INSERT INTO .?job_sizes") })
		const begins, lasts = 5 * time.Second, 15 * time.Second // it ends, and a worker that cannot hear polls less and less often
		time.Sleep(begins)                                      //nolint:forbidigo // what it does in this time is counted
		sent.begin()
		time.Sleep(lasts) //nolint:forbidigo // what it does in this time is counted
		by, calls := sent.end()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		all := 0
		for _, n := range by {
			all += n
		}
		perSecond, callsPerSecond := float64(all)/lasts.Seconds(), float64(calls)/lasts.Seconds()
		different := map[string]bool{} // but for the columns that an exchange asks for now and then
		for statement := range by {
			different[statement[:min(len(statement), 100)]] = true
		}
		t.Logf("%.1f statements a second in %.1f calls, %d different ones", perSecond, callsPerSecond, len(different))
		want := map[string]struct {
			different               int
			statements, callsSecond float64
		}{"postgres": {9, 5, 2.4}, "mariadb": {9, 5, 5}, "mysql": {9, 5, 5}}[s.Engine]
		if len(different) > want.different || perSecond > want.statements || callsPerSecond > want.callsSecond {
			for _, statement := range slices.Sorted(maps.Keys(by)) {
				t.Logf("%d times %s", by[statement], statement)
			}
			t.Errorf("want at most %+v", want)
		}
	})
}

// TestManyIdleWorkers: many idle workers together look as often as ten, and find a job of a plain INSERT, which nobody tells them of.
func TestManyIdleWorkers(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		var sent tally
		dsn := migrated(t, s, "")
		q := sent.queue(t, s, dsn)
		ran := make(chan int64, 1)
		mux := worker.NewMux()
		mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			ran <- job.ID
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		const workers, alone = 30, 10
		var all sync.WaitGroup
		defer all.Wait()
		defer stop()
		for range workers {
			all.Go(func() {
				if err := worker.New(q, mux, worker.Config{}).Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		const window = 5 * time.Second
		most := int(alone * window / time.Second)
		await(t, "they look as often as ten", func() bool {
			sent.begin()
			time.Sleep(window) //nolint:forbidigo // what they do in this time is counted
			by, _ := sent.end()
			looks := 0
			for statement, n := range by {
				if strings.Contains(statement, "SELECT wanted_concurrency") {
					looks += n
				}
			}
			t.Logf("%d looks in %v", looks, window)
			return looks > 0 && looks <= most+most/5
		})
		if _, err := s.Open(t, dsn).ExecContext(t.Context(), `INSERT INTO jobs (payload) VALUES ('{"job":"plain"}')`); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ran:
		case <-time.After(time.Minute):
			t.Error("the job of a plain INSERT was not found")
		}
	})
}

// tally counts statements, but for their values, and how often the database was called: a batch of statements is one call.
type tally struct {
	mu    sync.Mutex
	on    bool
	by    map[string]int
	calls int
}

func (c *tally) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on, c.by, c.calls = true, map[string]int{}, 0
}

// has reports whether a statement was sent that matches.
func (c *tally) has(expression string) bool {
	re := regexp.MustCompile(expression)
	c.mu.Lock()
	defer c.mu.Unlock()
	for statement := range c.by {
		if re.MatchString(statement) {
			return true
		}
	}
	return false
}

func (c *tally) end() (by map[string]int, calls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = false
	return c.by, c.calls
}

var values = regexp.MustCompile(`'[^']*'|\b\d+\b`)

func (c *tally) add(statement string, calls int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on {
		return
	}
	c.calls += calls
	if statement != "" {
		c.by[strings.Join(strings.Fields(values.ReplaceAllString(statement, "?")), " ")]++
	}
}

// queue opens a queue whose statements are counted.
func (c *tally) queue(t *testing.T, s *servers.Server, dsn string) *sqlqueue.Queue {
	t.Helper()
	if s.Engine != "postgres" {
		return mysqlQueue(t, watch(func(sql string) { c.add(sql, 1) }).open(t, dsn))
	}
	return tracedQueue(t, dsn, tallyTracer{c})
}

type tallyTracer struct{ *tally }

func (c tallyTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if data.SQL == "-- ping" { // the pool's, of a connection that was not used for a second
		data.SQL = ""
	}
	c.add(data.SQL, 1)
	return ctx
}

func (c tallyTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c tallyTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.add("", 1)
	return ctx
}

func (c tallyTracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	c.add(data.SQL, 0)
}

func (c tallyTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
