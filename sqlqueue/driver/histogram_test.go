package driver_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// TestHistogramQuantiles: each quantile is less than the width of a bucket away from the one of the sorted durations.
func TestHistogramQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func() time.Duration{
		"equal":     func() time.Duration { return 1234567 * time.Microsecond },
		"even":      func() time.Duration { return time.Duration(random.Int64N(int64(time.Second))) },
		"wide":      func() time.Duration { return time.Duration(math.Exp(random.Float64()*27)) * time.Microsecond },
		"log":       func() time.Duration { return time.Duration(math.Exp(random.NormFloat64()*2+10)) * time.Microsecond },
		"tiny":      func() time.Duration { return time.Duration(random.IntN(9)) * time.Microsecond },
		"two peaks": func() time.Duration { return []time.Duration{time.Millisecond, time.Hour}[random.IntN(2)] },
	} {
		for _, n := range []int{1, 2, 3, 10, 1000, 20_000} {
			var h driver.Histogram
			all := make([]time.Duration, n)
			for i := range all {
				all[i] = next()
				h.Add(all[i])
			}
			slices.Sort(all)
			if got := h.Count(); got != uint64(n) {
				t.Errorf("%s: %d of %d are counted", name, got, n)
			}
			for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
				want := all[max(int(math.Ceil(q*float64(n)))-1, 0)]
				if got := h.Quantile(q); (got - want).Abs() > max(want/4, time.Microsecond) {
					t.Errorf("%s of %d: quantile %v is %v, want about %v", name, n, q, got, want)
				}
			}
		}
	}
}

func TestHistogramBounds(t *testing.T) {
	var h driver.Histogram
	if got := h.Quantile(0.5); got != 0 || h.String() != "" {
		t.Errorf("an empty one: %v, %q", got, h.String())
	}
	h.Add(-time.Hour)
	if got := h.Quantile(0.5); got > time.Microsecond {
		t.Errorf("a negative duration counts as %v", got)
	}
	h = driver.Histogram{}
	h.Add(math.MaxInt64)
	if got, least := h.Quantile(1), 20*24*time.Hour; got < least {
		t.Errorf("the longest duration counts as %v", got)
	}
}

func TestHistogramText(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var sum, merged, texts driver.Histogram
	for range 50 {
		var h driver.Histogram
		for range random.IntN(500) {
			d := time.Duration(math.Exp(random.Float64()*29)) * time.Microsecond
			h.Add(d)
			sum.Add(d)
		}
		merged.Merge(&h)
		if err := texts.MergeText(h.String()); err != nil {
			t.Fatal(err)
		}
	}
	if merged != sum || texts != sum {
		t.Error("the sum of histograms is not the histogram of all")
	}
	before := texts
	for _, bad := range []string{"?", "AA", "/////w", "nwEAAQ", string(make([]byte, 5000)), "oAEB", "gICAgICAgICAAgE"} {
		if err := texts.MergeText(bad); err == nil {
			t.Errorf("%.20q is merged", bad)
		}
	}
	if texts != before {
		t.Error("a text that is refused has changed the histogram")
	}
	for range 100 { // saturates, and still has a text
		again := sum
		sum.Merge(&again)
	}
	if err := new(driver.Histogram).MergeText(sum.String()); err != nil || sum.Count() != math.MaxUint64 {
		t.Errorf("%v, %d", err, sum.Count())
	}
}

func FuzzHistogramText(f *testing.F) {
	f.Add("AAEAAQ")
	f.Fuzz(func(t *testing.T, text string) {
		var h, again driver.Histogram
		if h.MergeText(text) == nil {
			if err := again.MergeText(h.String()); err != nil || again != h {
				t.Errorf("%q: %v", text, err)
			}
		}
		h.Quantile(0.5)
	})
}

func BenchmarkHistogramAdd(b *testing.B) {
	var h driver.Histogram
	for i := 0; b.Loop(); i++ {
		h.Add(time.Duration(i) * time.Microsecond)
	}
}

func BenchmarkHistogramMergeText(b *testing.B) {
	var h, sum driver.Histogram
	for i := range 1000 {
		h.Add(time.Duration(i*i) * time.Microsecond)
	}
	text := h.String()
	for b.Loop() {
		if err := sum.MergeText(text); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFirstLevel(t *testing.T) {
	for queue, want := range map[string]string{
		"mail": "mail", "mail/42": "mail", "mail/42/7": "mail", "mail/": "mail",
		"/mail": "/mail", "/mail/42": "/mail", "": "", "/": "/", "//": "/",
	} {
		if got := driver.FirstLevel(queue); got != want {
			t.Errorf("%q: %q, want %q", queue, got, want)
		}
	}
}
