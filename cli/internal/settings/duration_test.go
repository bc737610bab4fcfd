package settings

import (
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "-5": -5 * time.Second, "1.5s": 1500 * time.Millisecond,
		"10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond, "1d": term.Day, "2w": 2 * term.Week,
		"1w2d3h": 9*term.Day + 3*time.Hour, "1.5d": 36 * time.Hour, "-1d12h": -36 * time.Hour, "+1w": term.Week, "0.001": time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "soon", "5 m", "d", "1d2", "1d-2h", "1h1d", "1w1w", "100000w", "1.d", "NaN", "Inf", "1e300", "--1", "9999999999999",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}
