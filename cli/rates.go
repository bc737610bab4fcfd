package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// rates is what happened in a queue in some whole minutes, for each of them.
type rates struct {
	Minutes  int     `json:"minutes"`
	Pushed   float64 `json:"pushed"`
	Done     float64 `json:"done"`
	Failed   float64 `json:"failed"`
	Released float64 `json:"released"`
	AtLeast  bool    `json:"pushed_at_least,omitzero"` // more may have been pushed
}

// ratesOf returns the rates of a queue in the last whole minutes: that which runs does not count.
func ratesOf(counts operator.Counts, queue string, last time.Duration) rates {
	end := counts.Now.Truncate(time.Minute)
	begin := end.Add(-last)
	var sum operator.Count
	for _, c := range counts.Minutes {
		if c.Queue == queue && !c.Minute.Before(begin) && c.Minute.Before(end) {
			sum.Pushed += c.Pushed
			sum.Done += c.Done
			sum.Failed += c.Failed
			sum.Released += c.Released
		}
	}
	each := func(n int64) float64 { return rounded(float64(n)/last.Minutes(), 100) }
	return rates{
		int(last.Minutes()), each(sum.Pushed), each(sum.Done), each(sum.Failed), each(sum.Released),
		counts.PushedSince.After(begin),
	}
}

// perMinute writes a rate as people read it.
func perMinute(rate float64) string {
	if rate > 0 && rate < 0.05 {
		return "<0.1"
	}
	if rate >= 10 || rate == float64(int64(rate)) {
		return strconv.FormatFloat(rate, 'f', 0, 64)
	}
	return strconv.FormatFloat(rate, 'f', 1, 64)
}

// sparkline draws numbers as blocks, a full one for most. Where there was nothing is a dot.
func sparkline(numbers []int64, most int64) string {
	blocks := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, n := range numbers {
		if n == 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(blocks[min(n*int64(len(blocks))/(most+1), int64(len(blocks))-1)])
	}
	return b.String()
}
