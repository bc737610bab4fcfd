package chaos

import (
	"os"
	"os/exec"
	"testing"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestSchedulesGoByTheDatabasesClock: a worker on a host whose clock is five hours ahead runs what is due, and nothing early.
func TestSchedulesGoByTheDatabasesClock(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		w := newWorld(t, place{server: s}, binaries, newRandom(t))
		run := func(version string, args ...string) {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), binaries[version], args...)
			cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+w.direct)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%q: %v: %s", args, err, out)
			}
		}
		run("old", "schedule", "set", "later", "job", "--every", "2h")
		run("old", "schedule", "set", "soon", "job", "--every", "1s")
		run("ahead", "work", "--exec", "true", "--max-jobs", "2")

		o := operator.New(w.open(w.direct).Queue)
		later, err := o.Schedule(t.Context(), "later")
		w.must(err)
		soon, err := o.Schedule(t.Context(), "soon")
		w.must(err)
		if later.Runs != 0 || soon.Runs < 2 {
			t.Errorf("the schedule of every second has run %d times, that of every two hours %d times", soon.Runs, later.Runs)
		}
	})
}
