package dashboard

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestLines(t *testing.T) {
	write := func(us int64) string { return languages[0].briefly(time.Duration(us) * time.Microsecond) }
	c := linesOf(languages[0], "names.run", "UTC", noon.Truncate(time.Minute), time.Minute, write, values{
		"p50", []int64{1000, 2000, -1, 4000},
	},
		values{"p95", []int64{-1, -1, -1, -1}})
	if c.Title != "Run" || len(c.Lines) != 2 || len(c.Lines[0].Points) != 2 || c.Lines[0].Points[0] != "0,105 333.33,70 334.33,70" ||
		c.Lines[0].Points[1] != "1000,0 1001,0" || len(c.Lines[1].Points) != 0 {
		t.Errorf("%+v", c)
	}
	if c.Label != "Run: p50 up to 4ms, p95 up to 0s" || c.Ys[len(c.Ys)-1].Text != "4ms" || c.Ys[0].At != "140" {
		t.Errorf("%+v", c)
	}
	if row := c.Rows[2]; row.At != "12:02" || row.Cells[0] != "–" || c.Rows[3].Cells[0] != "4ms" {
		t.Errorf("%+v", c.Rows)
	}
	for _, numbers := range [][]int64{nil, {5}, {-1}, {0, 0}, {1e9, 0}, {math.MaxInt64, -1}} {
		c := linesOf(languages[0], "sizes", "", noon, time.Hour, short, values{"all", numbers})
		if len(c.Ys) < 2 || len(c.Ys) > 6 || strings.Contains(strings.Join(c.Lines[0].Points, ""), "NaN") {
			t.Errorf("of %v: %+v", numbers, c)
		}
	}
	if days := linesOf(languages[0], "sizes", "", noon, 12*time.Hour, short, values{"all", make([]int64, 60)}); len(days.Xs) < 5 ||
		len(days.Xs) > 8 || days.Xs[0].Text != "Feb 4" {
		t.Errorf("%+v", days.Xs)
	}
}

func TestBriefly(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "3µs": 3 * time.Microsecond, "120µs": 123 * time.Microsecond,
		"1.23ms": 1234 * time.Microsecond, "46ms": 45678 * time.Microsecond,
		"1.23s": 1234 * time.Millisecond, "12.3s": 12_345 * time.Millisecond, "2h": 2 * time.Hour,
	} {
		if got := languages[0].briefly(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
