package settings

import (
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// FuzzDuration: what is read as a duration is written so that it reads as the same.
func FuzzDuration(f *testing.F) {
	for _, seed := range []string{
		"0", "1.5", "10m", "1h30m", "2d", "1w", "-1d", "1e9", "1w2d3h", "NaN", "inf", "9223372036", "1d-1h", ".5s", "1_0", "0x1p4",
		"-0.0000001w",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if again, err := ParseDuration(term.Duration(d)); err != nil || again.Round(time.Microsecond) != d.Round(time.Microsecond) {
			t.Fatalf("%q is %v, written as %s, which is %v, %v", text, d, term.Duration(d), again, err)
		}
		var list []time.Duration
		if err := DurationList(&list).Set(text + "," + text); (err == nil) != (d >= 0) {
			t.Fatalf("%q twice is %v, %v", text, list, err)
		}
	})
}
