package chaos

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/internal/built"
	"github.com/sqlqueue/sqlqueue/integration/internal/clock"
)

var (
	seed  = flag.Uint64("chaos.seed", 0, "seed of the random order of faults; 0: a new one, which is printed")
	long  = flag.Bool("chaos.long", false, "more producers, and one fault of an engine after the other")
	lasts = flag.Duration("chaos.for", 15*time.Second, "how long the faults in random order go on")
)

// TestFaults does each fault by itself to a workload, and checks the history. In its short form, faults that leave the server alone are
// done at once, each to a workload of its own.
func TestFaults(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				if !f.own {
					abreast(t) // when those that are the server's are over
				}
				w := newWorld(t, at, binaries, newRandom(t))
				if why := w.impossible(f); why != "" {
					t.Skip("not run: " + why)
				}
				w.work(3)
				w.produce(producers(), usual)
				w.pass(time.Second)
				f.do(w)
				w.pass(time.Second)
				w.settle()
			})
		}
	})
}

// abreast has a test run beside others, in the short form. Figures and the long form want the machine for themselves.
func abreast(t *testing.T) {
	t.Helper()
	if !*long {
		t.Parallel()
	}
}

// producers is how many a usual workload has.
func producers() int {
	if *long {
		return 3
	}
	return 1
}

// TestRandom does faults in a random order for as long as it is told to, to work that has chains, batches and limited queues too.
func TestRandom(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		w.limit()
		w.work(4, "--queue", groups)
		w.team.keepVeteran("--queue", groups)
		w.produce(producers(), usual)
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
		binaries[version] = built.Program(t, version, ".", "-ldflags", "-X main.version="+version, "./worker")
	}
	for version, overlay := range overlays() {
		if overlay.err != nil {
			t.Fatal(overlay.err)
		}
		binaries[version] = built.Program(t, version, ".", "-overlay", overlay.file, "./worker")
	}
	return binaries
}

type overlay struct {
	file string
	err  error
}

var overlayDir string // empty: there is none

// overlays are clocks that are off, by the version of the worker that has them.
var overlays = sync.OnceValue(func() map[string]overlay {
	made := map[string]overlay{}
	var err error
	overlayDir, err = os.MkdirTemp("", "sqlqueue-clocks-")
	for version, off := range map[string]time.Duration{"ahead": 5 * time.Hour, "behind": -7 * time.Hour} {
		o := overlay{err: err}
		if err == nil {
			dir := filepath.Join(overlayDir, version)
			if o.err = os.Mkdir(dir, 0o700); o.err == nil {
				o.file, o.err = clock.Overlay(context.Background(), dir, off)
			}
		}
		made[version] = o
	}
	return made
})

func removeOverlays() error {
	if overlayDir == "" {
		return nil
	}
	return os.RemoveAll(overlayDir)
}
