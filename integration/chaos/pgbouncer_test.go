package chaos

import (
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

// TestPgbouncer: workers and producers talk to PostgreSQL through pgbouncer in transaction mode, which is killed and started while
// connections behind it are killed too.
func TestPgbouncer(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine != "postgres" {
			t.Skip("not run: pgbouncer is for PostgreSQL")
		}
		w := newWorld(t, place{server: s}, binaries, newRandom(t))
		bouncer := w.bounce()
		w.work(3)
		w.produce(3, usual)
		w.pass(time.Second)
		for range 10 {
			w.killConnection()
			w.pass(100 * time.Millisecond)
		}
		bouncer.Kill(t)
		w.pass(expire)
		bouncer.Start(t)
		w.team.signal(w.team.any(), syscall.SIGKILL)
		w.pass(2 * time.Second)
		w.settle()
	})
}

// bounce puts a pgbouncer between the workload and the proxy.
func (w *world) bounce() *servers.Program {
	w.Helper()
	bouncer, dsn := servers.NewPgbouncer(w.T, w.dsn, "")
	w.dsn = dsn + "&default_query_exec_mode=exec"
	return bouncer
}
