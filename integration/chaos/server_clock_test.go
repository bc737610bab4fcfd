package chaos

import (
	"testing"
	"time"
)

// TestTheServersClockIsSet: a clock that is set forward by an hour makes no live worker's job run twice, and none early. After one that is
// set back by ten minutes, what is pushed from then on runs at once.
func TestTheServersClockIsSet(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	for name, off := range map[string]time.Duration{"forward": time.Hour, "back": -10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, at place) {
				if at.own == nil {
					t.Skip("not run: the server is not the test's own")
				}
				set := at.own.Clock(t)
				w := newWorld(t, at, binaries, newRandom(t))
				w.work(3)
				if off > 0 {
					w.produce(producers(), usual)
					w.pass(2 * time.Second)
				} else { // what waits then waits until the clock has caught up
					w.pass(time.Second)
				}
				set(off)
				var now float64
				query := map[string]string{"postgres": "SELECT extract(epoch FROM clock_timestamp())"}[w.engine]
				if query == "" {
					query = "SELECT UNIX_TIMESTAMP(NOW(6))"
				}
				w.must(w.admin.QueryRowContext(w.Context(), query).Scan(&now))
				if is := time.Until(time.Unix(int64(now), 0)); (is - off).Abs() > time.Minute {
					t.Fatalf("the server's clock is off by %v, want %v", is, off)
				}
				if off < 0 {
					w.produce(producers(), usual)
				}
				w.pass(3 * time.Second)
				w.settle()
			})
		})
	}
}
