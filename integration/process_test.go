package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/internal/built"
	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

// TestProcesses: workers are processes that get real signals, on every engine. Each case is named after the rows that it shows.
func TestProcesses(t *testing.T) {
	t.Parallel()
	app := build(t, "./internal/app")
	type test struct {
		name string
		run  func(*testing.T, *site)
	}
	each := func(t *testing.T, engine string, newSite func(*testing.T) *site) {
		tests := []test{
			{"B3 jobs of killed workers run again", testKills},
			{"C2 a unique key is free when its job has ended, also if workers are killed", testUniqueKills},
			{"C4 a job that never ran keeps its last try", testNeverStarted},
			{"B5 a frozen worker's late result changes nothing", testZombie},
			{"D8 a signal drains", testDrain},
			{"D8 a second signal ends it at once", testSecondSignal},
			{"D8 a storm of signals", testStorm},
			{"D8 USR2 and CONT", testPause},
			{"D6 memory", testMemory},
			{"D3 B6 handlers that do not end", testStuck},
			{"D12 the database hangs", testHang},
			{"D14 eight workers, killed at random", testScaleOut},
			{"B2 B6 limits whose workers are killed and frozen", testLimitKills},
			{"D3 batches whose workers are killed", testBatchKills},
			{"D9 D10 operators reach idle workers", testControl},
			{"E7 concurrency of a running worker", testConcurrency},
			{"D7 restart", testRestartAll},
		}
		if engine != "sqlite" { // which has no server, and one writer: a long transaction stops it all
			tests = append(tests,
				test{"D12 the server restarts", testServerRestart},
				test{"B6 a worker that is frozen within an exchange", testFrozenPermit},
				test{"F3 a transaction longer than expire", testLongTransaction},
			)
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.engine = engine
				test.run(t, s)
			})
		}
	}
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		each(t, s.Engine, func(t *testing.T) *site { return serverSite(t, app, s) })
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		each(t, "sqlite", func(t *testing.T) *site { return sqliteSite(t, app) })
	})
}

// build returns the path of a program of this module.
func build(t *testing.T, pkg string) string {
	t.Helper()
	return built.Program(t, filepath.Base(pkg), ".", pkg)
}

// site is a database with tables, and a directory, in which the processes of a test work.
type site struct {
	t      *testing.T
	engine string
	tables *tables // nil: SQLite
	app    *command
	queue  *sqlqueue.Queue
	db     *sql.DB
	dir    string
}

func serverSite(t *testing.T, app string, server *servers.Server) *site {
	t.Helper()
	tables := newTables(t, server, "")
	dsn := tables.dsn
	if server.Engine == "postgres" {
		dsn = with(t, dsn, "pool_max_conns", "4") // the server has a hundred for all tests
	}
	s := &site{t: t, tables: tables, app: &command{t: t, binary: app, server: server, dsn: dsn}, dir: t.TempDir()}
	s.connect()
	return s
}

// connect gives the test new connections to its server.
func (s *site) connect() {
	s.t.Helper()
	s.queue, s.db = s.tables.open(s.t), s.tables.server.Open(s.t, s.tables.dsn)
}

func sqliteSite(t *testing.T, app string) *site {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jobs.db")
	c := &command{t: t, binary: app, dsn: "sqlite:" + path}
	c.ok("migrate", "up")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	queue, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, app: c, queue: queue, db: db, dir: t.TempDir()}
}

// appJob is a job of the application.
type appJob struct {
	name  string
	Dir   string `json:"dir"`
	Takes int    `json:"takes,omitempty"` // milliseconds
}

func (j appJob) JobName() string { return j.name }

// push pushes n jobs.
func (s *site) push(n int, name string, options ...sqlqueue.PushOption) []int64 {
	s.t.Helper()
	return s.pushJobs(n, func(int) appJob { return appJob{name: name} }, options...)
}

func (s *site) pushJobs(n int, job func(i int) appJob, options ...sqlqueue.PushOption) []int64 {
	s.t.Helper()
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		j := job(i)
		j.Dir = s.dir
		jobs[i] = j
	}
	ids, err := s.queue.PushMany(s.t.Context(), jobs, options...)
	if err != nil {
		s.t.Fatal(err)
	}
	return ids
}

// gate lets a run of a job that waits end so: "done", "release", or the text of an error that it fails with for good.
func (s *site) gate(id int64, attempt int, how string) {
	s.t.Helper()
	s.write(fmt.Sprintf("%d.%d", id, attempt), how)
}

// gates lets all jobs end.
func (s *site) gates() {
	s.t.Helper()
	s.write("all", "done")
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run is the beginning of a handler.
type run struct {
	id       int64
	attempts int
	pid      int
	at       time.Time
}

// runs returns what has begun since the test started, in order.
func (s *site) runs() []run {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "journal"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	var runs []run
	for line := range strings.Lines(string(text)) {
		var r run
		var at int64
		if _, err := fmt.Sscanln(line, &r.id, &r.attempts, &r.pid, &at); err != nil || !strings.HasSuffix(line, "\n") {
			s.t.Fatalf("the journal has %q", line)
		}
		r.at = time.Unix(0, at)
		runs = append(runs, r)
	}
	return runs
}

// begun waits until runs with the number attempt of all jobs have begun, and returns them in the order of ids.
func (s *site) begun(attempt int, ids ...int64) []run {
	s.t.Helper()
	found := make([]run, len(ids))
	await(s.t, fmt.Sprintf("run %d of the jobs %v has begun", attempt, ids), func() bool {
		of := map[int64]run{}
		for _, r := range s.runs() {
			if r.attempts == attempt {
				of[r.id] = r
			}
		}
		all := true
		for i, id := range ids {
			r, ok := of[id]
			found[i], all = r, all && ok
		}
		return all
	})
	return found
}

// rows returns the jobs that are in the table, by id.
func (s *site) rows() map[int64]sqlqueue.Job {
	s.t.Helper()
	const most = 1000
	jobs, err := operator.New(s.queue).Jobs(s.t.Context(), operator.JobFilter{Limit: most})
	if err != nil {
		s.t.Fatal(err)
	}
	rows := map[int64]sqlqueue.Job{}
	for _, job := range jobs {
		rows[job.ID] = job
	}
	return rows
}

// failures returns the failed jobs, by the id that they had as jobs.
func (s *site) failures() map[int64]operator.FailedJob {
	s.t.Helper()
	const most = 1000
	jobs, err := operator.New(s.queue).FailedJobs(s.t.Context(), operator.FailedFilter{Limit: most})
	if err != nil {
		s.t.Fatal(err)
	}
	failures := map[int64]operator.FailedJob{}
	for _, job := range jobs {
		failures[job.JobID] = job
	}
	return failures
}

// empty waits until no job is left, and checks that none has failed.
func (s *site) empty() {
	s.t.Helper()
	await(s.t, "no job is left", func() bool { return s.count("SELECT COUNT(*) FROM jobs") == 0 })
	failures := s.failures()
	for _, job := range failures {
		s.t.Errorf("%d jobs have failed, such as %d after %d attempts: %s", len(failures), job.JobID, job.Attempts, job.Error)
		break
	}
}

func (s *site) count(query string) int {
	s.t.Helper()
	var n int
	if err := s.db.QueryRowContext(s.t.Context(), query).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// workers returns the workers that are listed, by their processes.
func (s *site) workers() map[int]driver.Worker {
	s.t.Helper()
	listed, err := operator.New(s.queue).Workers(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	workers := map[int]driver.Worker{}
	for _, w := range listed {
		workers[w.PID] = w.Worker
	}
	return workers
}

// process is a worker.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	said string // file with its standard error
}

// work starts a worker. It is killed when the test ends, and when the process of the test does.
func (s *site) work(flags ...string) *process {
	s.t.Helper()
	cmd := s.app.cmd(append([]string{"work", "--sleep", "0.2"}, flags...)...)
	cmd.Env = append(cmd.Env, "APP_LEASH=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	leash, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	said, err := os.CreateTemp(s.dir, "said")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &process{s.t, cmd, said.Name()}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // unless it has ended
		_ = cmd.Wait()
		_ = leash.Close()
		_ = said.Close()
		if s.t.Failed() {
			const most = 3000
			text := p.log()
			s.t.Logf("process %d, %q, said at the end\n%s", p.pid(), flags, text[max(len(text)-most, 0):])
		}
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("%v: %v", sig, err)
	}
}

// freeze stops the process, but not while it writes to a SQLite file: it would keep all others from writing.
func (s *site) freeze(p *process) {
	s.t.Helper()
	if s.engine != "sqlite" {
		p.signal(syscall.SIGSTOP)
		return
	}
	await(s.t, "the process is frozen outside of a transaction", func() bool {
		p.signal(syscall.SIGSTOP)
		probe, err := sql.Open("sqlite", strings.TrimPrefix(s.app.dsn, "sqlite:")+"?_pragma=busy_timeout(200)&_txlock=immediate")
		if err != nil {
			s.t.Fatal(err)
		}
		defer func() { _ = probe.Close() }()
		tx, err := probe.BeginTx(s.t.Context(), nil)
		if err != nil {
			p.signal(syscall.SIGCONT)
			return false
		}
		return tx.Rollback() == nil
	})
}

// kill kills the process and returns when.
func (p *process) kill() time.Time {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	at := time.Now()
	_ = p.cmd.Wait() // it was killed
	return at
}

// exits waits for the process's end, and returns its exit code: -1 if it was killed because it took too long.
func (p *process) exits() int {
	p.t.Helper()
	const most = 3 * time.Minute
	late := time.AfterFunc(most, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// log returns what the process has said.
func (p *process) log() string {
	p.t.Helper()
	text, err := os.ReadFile(p.said)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// says waits until the process has said something.
func (p *process) says(pattern string) {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	await(p.t, fmt.Sprintf("process %d says %s", p.pid(), pattern), func() bool { return expression.MatchString(p.log()) })
}

// await waits until condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// stop ends workers, each of which must exit with 0.
func stop(t *testing.T, workers ...*process) {
	t.Helper()
	for _, w := range workers {
		w.says("worker started") // before, a signal ends a process at once
		w.signal(syscall.SIGTERM)
	}
	exitAll(t, 0, workers...)
}

// exitAll waits for the end of several processes, each of which must exit with code.
func exitAll(t *testing.T, code int, processes ...*process) {
	t.Helper()
	var group sync.WaitGroup
	for _, p := range processes {
		group.Go(func() {
			if got := p.exits(); got != code {
				t.Errorf("process %d: exit code %d, want %d", p.pid(), got, code)
			}
		})
	}
	group.Wait()
}
