package term

import "testing"

func TestPerMinute(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]string{0: "0", 0.01: "<0.1", 0.2: "0.2", 3: "3", 9.96: "10.0", 10.4: "10", 1234.5: "1234"} {
		if got := PerMinute(rate); got != want {
			t.Errorf("%v is %s, want %s", rate, got, want)
		}
	}
}

// A number as great as people are told of stands for so many or more.
func TestCountTo(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 jobs", 1: "1 job", 9_999: "9999 jobs", 10_000: "10000+ jobs"} {
		if got := CountTo(n, "job"); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for _, test := range []struct {
		n, limit int64
		want     string
	}{{3, 0, "3"}, {3, 4, "3"}, {4, 4, "4+"}} {
		if got := UpTo(test.n, test.limit); got != test.want {
			t.Errorf("%d of %d is %q, want %q", test.n, test.limit, got, test.want)
		}
	}
}
