package worker_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// Tests run in bubbles of testing/synctest, over SQLite, whose store takes its time from Go: an hour takes a millisecond, and a time
// that passes is exact.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tables is the file of a database that has been migrated.
var tables = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sqlqueue-worker")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "q.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return nil, err
	}
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err == nil {
		_, err = migrator.Up(context.Background())
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// newFile makes a database that has been migrated, and returns its address.
func newFile(tb testing.TB) (dsn string) {
	tb.Helper()
	file, err := tables()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "q.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		tb.Fatal(err)
	}
	return "file:" + path + "?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(5000)&_txlock=immediate"
}

// bubble runs a test over a database of its own in a bubble.
func bubble(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	dsn := newFile(t)
	synctest.Test(t, func(t *testing.T) {
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		q, err := sqlitequeue.New(db, sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, db: db, mux: worker.NewMux()}
		b.store = &store{bench: b}
		b.q = q.Bind(func(s driver.Store) (driver.Store, error) {
			b.store.Store = s
			return b.store, nil
		})
		test(t, b)
	})
}

// bench is what a test works with.
type bench struct {
	t     *testing.T
	db    *sql.DB
	q     *sqlqueue.Queue
	store *store
	mux   *worker.Mux
	log   journal
}

// store lets tests look at exchanges, and stand in their way.
type store struct {
	driver.Store
	bench *bench

	mu     sync.Mutex
	before func(ctx context.Context, x *driver.Exchange) error
	after  func(x driver.Exchange, answer *driver.Exchanged) error
	beats  func(ctx context.Context, b *driver.Beat) error // before each beat
	check  func() error
	listen func(ctx context.Context, queues []string, heard func()) error
}

func (s *store) Unwrap() driver.Store { return s.Store }

// intercept sets what happens before and after each exchange; an error is the exchange's. Either may be nil.
func (s *store) intercept(
	before func(ctx context.Context, x *driver.Exchange) error, after func(x driver.Exchange, answer *driver.Exchanged) error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func (s *store) interceptBeats(beats func(ctx context.Context, b *driver.Beat) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats = beats
}

func (s *store) Beat(ctx context.Context, b driver.Beat) error {
	s.mu.Lock()
	beats := s.beats
	s.mu.Unlock()
	if beats != nil {
		if err := beats(ctx, &b); err != nil {
			return err
		}
	}
	return s.Store.Beat(ctx, b)
}

func (s *store) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	s.mu.Lock()
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, &x); err != nil {
			return driver.Exchanged{}, err
		}
	}
	answer, err := s.Store.Exchange(ctx, x)
	if err == nil && after != nil {
		err = after(x, &answer)
	}
	return answer, err
}

// Listen hears nothing but the pushes of the process, unless a test says otherwise: what SQLite's own hears, also of the worker's own
// commits, would make more exchanges than tests can count.
func (s *store) Listen(ctx context.Context, queues []string, heard func()) error {
	if s.listen != nil {
		return s.listen(ctx, queues, heard)
	}
	heard()
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *store) Check(ctx context.Context) error {
	s.mu.Lock()
	check := s.check
	s.mu.Unlock()
	if check != nil {
		if err := check(); err != nil {
			return err
		}
	}
	return s.Store.Check(ctx)
}

// handle registers a handler of the name "job" that knows the job by JSON only.
func (b *bench) handle(handler worker.Handler) { b.mux.HandleFunc("job", handler) }

// push pushes a job of the name "job".
//
//nolint:contextcheck // it has that of the test
func (b *bench) push(options ...sqlqueue.PushOption) int64 {
	b.t.Helper()
	id, err := b.q.Push(b.t.Context(), sqlqueue.Named("job", map[string]int{"n": 1}), options...)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// pushMany pushes n jobs like push, at once.
func (b *bench) pushMany(n int) {
	b.t.Helper()
	jobs := slices.Repeat([]sqlqueue.Pushable{sqlqueue.Named("job", map[string]int{"n": 1})}, n)
	if _, err := b.q.PushMany(b.t.Context(), jobs); err != nil {
		b.t.Fatal(err)
	}
}

// raw pushes a payload past the Queue, as another program would.
func (b *bench) raw(payload string) int64 {
	b.t.Helper()
	at := time.Now().UnixMicro() // the default is the real clock's
	result, err := b.db.ExecContext(b.t.Context(), `INSERT INTO jobs (payload, available_at, created_at) VALUES (?, ?, ?)`, payload, at, at)
	if err != nil {
		b.t.Fatal(err)
	}
	id, _ := result.LastInsertId()
	return id
}

// job returns a job, or nil if there is no such job.
//
//nolint:contextcheck // it has that of the test
func (b *bench) job(id int64) *sqlqueue.Job {
	b.t.Helper()
	job, err := operator.New(b.q).Job(b.t.Context(), id)
	if errors.Is(err, operator.ErrNotFound) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return &job
}

// waits checks that a job waits with so many attempts, until so long from now.
func (b *bench) waits(id int64, attempts int, delay time.Duration) {
	b.t.Helper()
	job := b.job(id)
	switch {
	case job == nil:
		b.t.Fatalf("job %d is gone", id)
	case job.Reserved:
		b.t.Fatalf("job %d is reserved by %s", id, job.ReservedBy)
	case job.Attempts != attempts:
		b.t.Fatalf("job %d has %d attempts, want %d", id, job.Attempts, attempts)
	}
	if got := time.Until(job.AvailableAt).Round(time.Millisecond); got != delay {
		b.t.Fatalf("job %d is available in %v, want %v", id, got, delay)
	}
}

// gone checks that a job is neither there nor failed.
func (b *bench) gone(id int64) {
	b.t.Helper()
	if job := b.job(id); job != nil {
		b.t.Fatalf("job %d is still there: %+v", id, *job)
	}
	for _, f := range b.failures() {
		if f.JobID == id {
			b.t.Fatalf("job %d has failed: %s", id, f.Error)
		}
	}
}

func (b *bench) failures() []operator.FailedJob {
	b.t.Helper()
	failed, err := operator.New(b.q).FailedJobs(b.t.Context(), operator.FailedFilter{})
	if err != nil {
		b.t.Fatal(err)
	}
	return failed
}

// failed returns the failed job that had the id, and checks that the job itself is gone.
func (b *bench) failed(id int64) operator.FailedJob {
	b.t.Helper()
	if b.job(id) != nil {
		b.t.Fatalf("job %d is still among the jobs", id)
	}
	for _, f := range b.failures() {
		if f.JobID == id {
			return f
		}
	}
	b.t.Fatalf("job %d is not among the failed jobs", id)
	panic("unreachable")
}

// control says something as an operator.
func (b *bench) control(queue string, c operator.ControlChange) {
	b.t.Helper()
	if err := operator.New(b.q).Control(b.t.Context(), queue, c); err != nil {
		b.t.Fatal(err)
	}
}

// run is a worker that runs.
type run struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// start starts a worker. The end of the test stops it.
func (b *bench) start(config worker.Config) *run { return b.startOn(b.q, config) }

func (b *bench) startOn(q *sqlqueue.Queue, config worker.Config) *run {
	b.t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewJSONHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{t: b.t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = worker.New(q, b.mux, config).Run(ctx)
	}()
	b.t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// ended waits for the worker to end by itself.
func (r *run) ended() error {
	r.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(24 * time.Hour):
		r.t.Fatal("the worker does not end")
		return nil
	}
}

// stop stops the worker and waits for it.
func (r *run) stop() {
	r.t.Helper()
	r.cancel()
	if err := r.ended(); err != nil {
		r.t.Fatalf("Run: %v", err)
	}
}

// drain runs a worker until no job is due.
func (b *bench) drain(config worker.Config) {
	b.t.Helper()
	config.StopWhenEmpty = true
	if err := b.start(config).ended(); err != nil {
		b.t.Fatalf("Run: %v", err)
	}
}

// pass lets time pass.
func pass(d time.Duration) { <-time.After(d) }

// within waits until a condition holds, for at most d.
func within(t *testing.T, d time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !holds(); pass(max(d/1000, 10*time.Millisecond)) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// journal is a log that tests can look at.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

// lines returns the lines that hold a text.
func (j *journal) lines(text string) []map[string]any {
	var found []map[string]any
	for line := range strings.Lines(j.all()) {
		if !strings.Contains(line, text) {
			continue
		}
		var attrs map[string]any
		if err := json.Unmarshal([]byte(line), &attrs); err != nil {
			panic(fmt.Sprintf("a line of the log is no JSON: %v: %s", err, line))
		}
		found = append(found, attrs)
	}
	return found
}

// find returns the lines with a message.
func (j *journal) find(message string) []map[string]any {
	return slices.DeleteFunc(j.lines(message), func(line map[string]any) bool { return line["msg"] != message })
}

func (j *journal) all() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// logged checks that a message was logged so often.
func (b *bench) logged(message string, times int) {
	b.t.Helper()
	if got := len(b.log.find(message)); got != times {
		b.t.Fatalf("%q was logged %d times, want %d:\n%s", message, got, times, b.log.all())
	}
}

// notes gathers what handlers have to tell.
type notes struct {
	mu   sync.Mutex
	says []string
}

func (n *notes) add(format string, a ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.says = append(n.says, fmt.Sprintf(format, a...))
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.says)
}

func (n *notes) want(t *testing.T, says ...string) {
	t.Helper()
	if got := n.all(); !slices.Equal(got, says) {
		t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(says, "\n\t"))
	}
}

var errBroken = errors.New("broken")
