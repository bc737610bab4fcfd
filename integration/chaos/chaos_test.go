package chaos

import (
	"flag"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("chaos.seed", 0, "seed of the random order of faults; 0: a new one, which is printed")
	lasts = flag.Duration("chaos.for", 15*time.Second, "how long the faults in random order go on")
)

// TestFaults does each fault by itself to a workload, and checks the history.
func TestFaults(t *testing.T) {
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				w := newWorld(t, at, binaries, newRandom(t))
				if why := w.impossible(f); why != "" {
					t.Skip("not run: " + why)
				}
				w.work(3)
				w.produce(3, usual)
				w.pass(time.Second)
				f.do(w)
				w.pass(time.Second)
				w.settle()
			})
		}
	})
}

// TestRandom does faults in a random order for as long as it is told to.
func TestRandom(t *testing.T) {
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		w.work(4)
		w.team.keepVeteran()
		w.produce(3, usual)
		var possible []fault
		for _, f := range faults {
			if w.impossible(f) == "" {
				possible = append(possible, f)
			}
		}
		done := map[string]int{}
		for end := time.Now().Add(*lasts); time.Now().Before(end) && !t.Failed(); {
			f := possible[w.random.IntN(len(possible))]
			done[f.name]++
			f.do(w)
			w.pass(time.Duration(w.random.IntN(1000)) * time.Millisecond)
		}
		t.Log(done)
		w.settle()
		w.team.checkVeteran()
	})
}

// newRandom prints its seed.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-chaos.seed=%d", n)
	return rand.New(rand.NewPCG(n, n))
}

// buildWorkers returns the paths of the worker's binaries, by version.
func buildWorkers(t *testing.T) map[string]string {
	t.Helper()
	binaries := map[string]string{}
	for _, version := range []string{"old", "new"} {
		binaries[version] = filepath.Join(t.TempDir(), version)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X main.version="+version, "-o", binaries[version], "./worker")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	const hours = 3600
	for version, off := range map[string]int{"ahead": 5 * hours, "behind": -7 * hours} {
		binaries[version] = filepath.Join(t.TempDir(), version)
		buildWithClock(t, binaries[version], off)
	}
	return binaries
}
