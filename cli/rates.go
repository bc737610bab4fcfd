package cli

import (
	"strconv"
	"strings"
)

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
