package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// testServerRestart: the server is stopped and started, and killed with -9 and started, while jobs run and while they end. It is away for
// longer than expire.
func testServerRestart(t *testing.T, s *site) {
	own := servers.Own(t, s.engine)
	s = serverSite(t, s.app.binary, own.Server)
	workers := []*process{s.outageWorker(), s.outageWorker()}
	for i, kill := range []bool{false, true} {
		o := s.pushForOutage()
		own.Stop(t, kill)
		for _, w := range workers {
			await(t, "each worker has noticed", func() bool { return strings.Count(w.log(), "exchange with the database failed") > i })
		}
		o.end(o.during)
		expire()
		own.Start(t)
		s.connect()
		for _, w := range workers {
			await(t, "each worker goes on", func() bool { return strings.Count(w.log(), "database answers again") > i })
		}
		o.end(o.after)
		o.check()
	}
	stop(t, workers...)
}

// testHang: the server's processes stand still for longer than expire, and go on. SQLite's file is locked for ten seconds.
func testHang(t *testing.T, s *site) {
	hang := func() (goOn func()) {
		conn, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exec := func(query string) {
			if _, err := conn.ExecContext(t.Context(), query); err != nil {
				t.Fatal(err)
			}
		}
		exec("BEGIN EXCLUSIVE")
		locked := time.After(10 * time.Second)
		return func() {
			<-locked
			exec("COMMIT")
			_ = conn.Close()
		}
	}
	if s.engine != "sqlite" {
		own := servers.Own(t, s.engine)
		s = serverSite(t, s.app.binary, own.Server)
		hang = func() (goOn func()) { return own.Freeze(t) }
	}
	workers := []*process{s.outageWorker(), s.outageWorker()}
	o := s.pushForOutage()
	goOn := hang()
	o.end(o.during)
	expire()
	goOn()
	o.end(o.after)
	o.check()
	stop(t, workers...)
}

// expire waits until the reservations that nobody can keep alive have expired.
func expire() { <-time.After(outageExpire + outageExpire/2) }

const outageExpire = 2 * time.Second

// outageWorker starts a worker whose jobs have one try: so none can run twice, or fail because somebody thinks that its worker has died,
// without being found.
func (s *site) outageWorker() *process {
	s.t.Helper()
	return s.work("--expire", outageExpire.String(), "--tries", "1", "--concurrency", "10")
}

// outage is what two workers have to do when the database goes away.
type outage struct {
	*site
	during, after, stream []int64 // jobs that end while it is away, after it is back, and all the time
}

// pushForOutage returns when the jobs that wait for gates have begun, and some of the others.
func (s *site) pushForOutage() *outage {
	s.t.Helper()
	const waiting, passing, takes = 4, 400, 30
	o := &outage{site: s, during: s.push(waiting, "wait", sqlqueue.Priority(-1)), after: s.push(waiting, "wait", sqlqueue.Priority(-1))}
	s.begun(1, o.during...)
	s.begun(1, o.after...)
	before := len(s.runs())
	o.stream = s.pushJobs(passing, func(int) appJob { return appJob{name: "wait", Takes: takes} })
	await(s.t, "a part of the stream has begun", func() bool { return len(s.runs()) > before+passing/8 })
	return o
}

func (o *outage) end(ids []int64) {
	o.t.Helper()
	for _, id := range ids {
		o.gate(id, 1, "done")
	}
}

// check waits until all is done, and checks that each job has run once.
func (o *outage) check() {
	o.t.Helper()
	o.empty()
	ran := map[int64]int{}
	for _, r := range o.runs() {
		ran[r.id]++
	}
	for _, id := range slices.Concat(o.during, o.after, o.stream) {
		if ran[id] != 1 {
			o.t.Errorf("job %d ran %d times (%v end while it is away, %v later, the others all the time)", id, ran[id], o.during, o.after)
		}
	}
}
