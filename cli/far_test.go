package cli

import (
	"testing"
	"time"
)

// A time that is further away than a duration holds is told as such.
func TestTimesThatAreFarAway(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for year, want := range map[int]string{9999: "in 7969y", 294247: "in 292217y", 1: "2029y ago", -290000: "292030y ago"} {
		at := time.Date(year, 1, 1, 0, 0, 0, 1, time.UTC)
		if got := ago(at, now); got != want {
			t.Errorf("the year %d is %q, want %q", year, got, want)
		}
	}
}
