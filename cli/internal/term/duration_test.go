package term

import (
	"testing"
	"time"
)

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": 0, "3s": 3 * time.Second, "1m": time.Minute, "10m": 10 * time.Minute, "1m30s": 90 * time.Second, "1h": time.Hour,
		"1h0m1s": time.Hour + time.Second, "1h10m": 70 * time.Minute, "20h": 20 * time.Hour,
		"24h": Day, "2d": 2 * Day, "49h": 49 * time.Hour, "14d": 2 * Week, "1.5s": 1500 * time.Millisecond,
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d is written %q, want %q", d, got, want)
		}
	}
}

// A time that is further away than a duration holds is told as such.
func TestTimesThatAreFarAway(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for year, want := range map[int]string{9999: "in 7969y", 294247: "in 292217y", 1: "2029y ago", -290000: "292030y ago"} {
		at := time.Date(year, 1, 1, 0, 0, 0, 1, time.UTC)
		if got := Ago(at, now); got != want {
			t.Errorf("the year %d is %q, want %q", year, got, want)
		}
	}
}

// Times are rounded, so that what comes in a week is not shown as coming in six days.
func TestAgoRounds(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for want, ahead := range map[string]time.Duration{
		"in 7d": Week - time.Second, "in 1h": time.Hour - time.Second,
		"in 1m": time.Minute - time.Millisecond, "in 59m": 59*time.Minute + 29*time.Second,
		"in 2d": 2*Day - time.Minute, "in 47h": 47*time.Hour + 10*time.Minute,
		"3m ago": -(2*time.Minute + 40*time.Second), "2s ago": -1600 * time.Millisecond, "now": 999 * time.Millisecond,
	} {
		if got := Ago(now.Add(ahead), now); got != want {
			t.Errorf("in %v is %q, want %q", ahead, got, want)
		}
	}
}
