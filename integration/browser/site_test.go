package browser

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/integration/internal/opened"
	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// site is a database with a queue, and a dashboard of it.
type site struct {
	t   *testing.T
	q   *sqlqueue.Queue
	db  *sql.DB
	o   *operator.Operator
	url string // of the dashboard, ends with a slash

	server bool // the database is one
}

// each runs a test on every database engine.
func each(t *testing.T, test func(*testing.T, *site)) {
	t.Helper()
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		dsn := s.NewDatabase(t)
		dialect := migrations.MySQL
		if s.Engine == "postgres" {
			dialect = migrations.Postgres
		}
		test(t, newSite(t, dsn, dialect))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, onSQLite(t))
	})
}

// once runs a test of what no database has a part in.
func once(t *testing.T, test func(*testing.T, *site)) {
	t.Helper()
	t.Parallel()
	test(t, onSQLite(t))
}

func onSQLite(t *testing.T) *site {
	t.Helper()
	return newSite(t, "sqlite:"+filepath.Join(t.TempDir(), "queue.db"), migrations.SQLite)
}

func newSite(t *testing.T, dsn string, dialect migrations.Dialect) *site {
	t.Helper()
	db, err := opened.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	migrate(t, db.DB, dialect)
	s := &site{t: t, q: db.Queue, db: db.DB, o: operator.New(db.Queue), server: dialect != migrations.SQLite}
	s.url = serve(t, s.handler(dashboard.Config{Name: "shop", Colour: "purple", Views: []dashboard.View{
		{Name: "Mail to come", Page: "jobs", Query: "queue:mail state:delayed"},
		{Name: "Exports", Page: "jobs", Query: "queue:exports"},
		{Name: "Newsletters that workers run", Page: "jobs", Query: "name:send_newsletter state:reserved"},
		{Name: "No space", Page: "failed", Query: `error:"disk full"`},
	}}))
	return s
}

func migrate(t *testing.T, db *sql.DB, dialect migrations.Dialect) {
	t.Helper()
	m, err := migrations.New(db, dialect, "")
	if err == nil {
		_, err = m.Up(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// handler is a dashboard of the site.
func (s *site) handler(config dashboard.Config) http.Handler {
	s.t.Helper()
	h, err := dashboard.New(s.q, config)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// serve serves until the test's end, and returns the address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	address, stop := serveAt(t, "127.0.0.1:0", h)
	t.Cleanup(stop)
	return "http://" + address + "/"
}

// serveAt serves at an address until stop.
func serveAt(t *testing.T, address string, h http.Handler) (at string, stop func()) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), func() { _ = server.Close() }
}

func (s *site) push(queue, name, data string, options ...sqlqueue.PushOption) int64 {
	s.t.Helper()
	id, err := s.q.Push(s.t.Context(), sqlqueue.Named(name, json.RawMessage(data)), append(options, sqlqueue.OnQueue(queue))...)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// pushes pushes n jobs.
func (s *site) pushes(n int, queue, name string) {
	s.t.Helper()
	var jobs []sqlqueue.Pushable
	for i := range n {
		jobs = append(jobs, sqlqueue.Named(name, map[string]any{"n": i}))
	}
	if _, err := s.q.PushMany(s.t.Context(), jobs, sqlqueue.OnQueue(queue)); err != nil {
		s.t.Fatal(err)
	}
}

var exchanges atomic.Int64

// reserve has a worker take n jobs of a queue.
func (s *site) reserve(queue string, n int) []sqlqueue.Job {
	s.t.Helper()
	answer, err := s.q.Exchange(s.t.Context(), driver.Exchange{
		Number: fmt.Sprintf("0123456789abcdef-%d", exchanges.Add(1)), Limit: n,
		Reserve: []driver.Reserve{{Queue: queue, Expire: time.Hour}},
	})
	if err != nil || len(answer.Reserved) != n {
		s.t.Fatalf("reserved %d of %d, %v", len(answer.Reserved), n, err)
	}
	return answer.Reserved
}

// fail has n jobs of a queue fail for good.
func (s *site) fail(queue string, n int, text, stack string) {
	s.t.Helper()
	var settle []driver.Settlement
	for _, job := range s.reserve(queue, n) {
		settle = append(settle, driver.Settlement{Reservation: job.Reservation(), Outcome: driver.Fail, Error: text, Stack: stack})
	}
	exchange := driver.Exchange{Number: fmt.Sprintf("0123456789abcdef-%d", exchanges.Add(1)), Settle: settle}
	if _, err := s.q.Exchange(s.t.Context(), exchange); err != nil {
		s.t.Fatal(err)
	}
}

// beat registers a worker, and what it has done in the last hour.
func (s *site) beat(id, name string, queues ...string) {
	s.t.Helper()
	var counts []operator.Count
	minute := time.Now().UTC().Truncate(time.Minute)
	for i := range 60 {
		at := minute.Add(-time.Duration(i) * time.Minute)
		counts = append(counts, operator.Count{
			Queue: queues[0], Minute: at, Done: int64(40 + i*i%37), Failed: int64(i % 7 / 6), Released: int64(i % 3),
		})
	}
	w := driver.Worker{ID: id, Name: name, Host: "app-1", PID: 42, Queues: queues, Concurrency: 10}
	run := driver.RunError{
		JobID: 7, Queue: queues[0], Name: "send_invoice", Attempt: 1,
		Outcome: "released", Error: "421 too many", Stack: "main.go:7", At: minute,
	}
	again := run
	again.Attempt = 2
	errs := []driver.RunError{run, again}
	var names []*driver.NameCount
	for i := range 60 {
		n := &driver.NameCount{Minute: minute.Add(-time.Duration(i+1) * time.Minute), Queue: queues[0]}
		for j, name := range []string{"send_invoice", "remind"} {
			n := *n
			n.Name, n.Done, n.Failed = name, int64(40+i*i%37)/int64(j+1), int64(i%7/6)
			for k := range n.Done + n.Failed {
				n.Run.Add(time.Duration(1+k%10+int64(j)*100) * time.Millisecond)
				n.Wait.Add(time.Duration(k) * time.Millisecond)
			}
			names = append(names, &n)
		}
	}
	if err := s.q.Beat(s.t.Context(), driver.Beat{Worker: w, Counts: counts, Errors: errs, Names: names}); err != nil {
		s.t.Fatal(err)
	}
	store, err := s.q.Store(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	db, err := sqldb.Of(store)
	if err == nil {
		err = db.Upkeep(s.t.Context())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// job returns a job.
func (s *site) job(id int64) operator.Job {
	s.t.Helper()
	job, err := s.o.Job(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return job
}

// count counts jobs.
func (s *site) count(f operator.JobFilter) int {
	s.t.Helper()
	n, err := s.o.CountJobs(s.t.Context(), f, 1_000_000)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// paused reports whether somebody paused a queue.
func (s *site) paused(queue string) bool {
	s.t.Helper()
	queues, err := s.o.Queues(context.WithoutCancel(s.t.Context()), 1)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, q := range queues {
		if q.Queue == queue {
			return q.Control.Paused
		}
	}
	return false
}

// fill puts something on every page: jobs of each state, kinds of errors, a worker.
func (s *site) fill() {
	s.t.Helper()
	for i := range 3 {
		s.push("images", "resize", fmt.Sprintf(`{"path": "/photos/%d.jpg", "sizes": [64, 640, 1920]}`, i))
		s.push("exports", "export", `{"year": 2026}`)
	}
	s.fail("images", 3, "dial tcp 10.0.0.17:443: connect: connection refused",
		"main.resize\n\t/src/images.go:41\nmain.main\n\t/src/main.go:9")
	s.fail("exports", 2, "disk full", "")
	s.push("exports", "export", `{"year": 2026}`)
	s.reserve("exports", 1)
	s.push("mail", "send_invoice", `{"order_id": 12345678901234567890, "customer": {"id": 17, "email": "a@b.example", "token": "x"},
		"tags": ["a", "b"]}`)
	s.push("mail", "remind", `{"order_id": 43}`, sqlqueue.Delay(time.Hour), sqlqueue.Unique("order 43"), sqlqueue.Tries(3))
	s.pushes(60, "mail", "send_newsletter")
	s.beat("w1", "app-1/worker", "mail", "exports")
	batch := s.q.Batch("import")
	if _, err := batch.Push(s.t.Context(), sqlqueue.Named("row", 1), sqlqueue.Named("row", 2)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := batch.Seal(s.t.Context(), sqlqueue.OnSuccess(sqlqueue.Named("report", 1))); err != nil {
		s.t.Fatal(err)
	}
	for i, jobs := range []int{3, 1} {
		s.pushes(jobs, fmt.Sprintf("tenants/%d", i), "sync")
	}
	for _, limit := range []operator.Limit{{Queue: "tenants/*", Running: 1}, {Queue: "tenants", Rate: 10, Per: time.Minute}} {
		if err := s.o.SetLimit(s.t.Context(), limit); err != nil {
			s.t.Fatal(err)
		}
	}
	s.reserve("tenants/0", 1)
	shop := operator.Subscription{Name: "shop", URL: "https://shop.example/jobs", Queue: "exports"}
	if err := s.o.Subscribe(s.t.Context(), shop); err != nil {
		s.t.Fatal(err)
	}
	for name, every := range map[string]string{"report": "1 day at 02:30", "ping": "10 minutes"} {
		if err := s.q.Schedule(s.t.Context(), sqlqueue.Schedule{
			Name: name, Every: every, Zone: "Asia/Shanghai", Origin: "dashboard",
			Job: sqlqueue.With(sqlqueue.Named("make_report", map[string]any{"for": "sales"}), sqlqueue.OnQueue("mail")),
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.o.As("ann", "test").Control(s.t.Context(), "exports", operator.ControlChange{
		Pause: true, PauseFor: time.Hour,
	}); err != nil {
		s.t.Fatal(err)
	}
}
