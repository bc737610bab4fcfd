package term

import (
	"fmt"
	"strconv"
	"strings"
)

// Count writes a number with its noun.
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// CountedTo is how far rows are counted to tell people how many they are.
const CountedTo = 10_000

// CountTo writes a number with its noun. As great as CountedTo, it stands for so many or more.
func CountTo(n int, noun string) string {
	if n < CountedTo {
		return Count(n, noun)
	}
	return fmt.Sprintf("%d+ %ss", n, noun)
}

// PerMinute writes a rate as people read it.
func PerMinute(rate float64) string {
	if rate > 0 && rate < 0.05 {
		return "<0.1"
	}
	if rate >= 10 || rate == float64(int64(rate)) {
		return strconv.FormatFloat(rate, 'f', 0, 64)
	}
	return strconv.FormatFloat(rate, 'f', 1, 64)
}

// Sparkline draws numbers as blocks, a full one for most. Where there was nothing is a dot.
func Sparkline(numbers []int64, most int64) string {
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

// UpTo writes a number that was counted up to a limit, 0 for none.
func UpTo(n, limit int64) string {
	text := strconv.FormatInt(n, 10)
	if limit > 0 && n >= limit {
		text += "+"
	}
	return text
}
