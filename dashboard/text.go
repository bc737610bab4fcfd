package dashboard

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// grouped writes a number with commas between thousands.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(text) - 3; i > first; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// upTo writes a number that was counted up to a limit; 0: no limit.
func upTo(n, limit int64) string {
	if limit > 0 && n >= limit {
		return grouped(n) + "+"
	}
	return grouped(n)
}

// short writes a number for an axis: 12k, 3M.
func short(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {10_000, "k"}} {
		if n >= unit.size {
			size := unit.size
			if unit.name == "k" {
				size = 1000
			}
			return strconv.FormatFloat(float64(n)/float64(size), 'g', 4, 64) + unit.name
		}
	}
	return grouped(n)
}

// perMinute writes a rate.
func perMinute(n int64, over time.Duration) string {
	rate := float64(n) / over.Minutes()
	switch {
	case rate == 0:
		return "0"
	case rate < 0.05:
		return "<0.1"
	case rate < 10 && rate != float64(int64(rate)):
		return strconv.FormatFloat(rate, 'f', 1, 64)
	}
	return grouped(int64(rate + 0.5))
}

// roughly writes a duration in its two largest units: 45s, 12m, 2h 36m, 3d 4h.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(large, small time.Duration, largeName, smallName string) string {
		if rest := d % large / small; rest > 0 {
			return fmt.Sprintf("%d%s %d%s", d/large, largeName, rest, smallName)
		}
		return fmt.Sprintf("%d%s", d/large, largeName)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(d, 0)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return two(time.Hour, time.Minute, "h", "m")
	case d < 10*day:
		return two(day, time.Hour, "d", "h")
	}
	return fmt.Sprintf("%dd", d/day)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// visible makes foreign text safe to show: characters that are not printable, such as one that changes the direction of writing, are shown
// as in a Go string. Lines and tabs stay.
func visible(s string) string {
	isFine := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) || r == '\n' || r == '\t' }
	if strings.IndexFunc(s, func(r rune) bool { return !isFine(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if isFine(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.Quote(s[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

// brief is visible text of at most n characters, on one line.
func brief(n int, s string) string {
	if most := (n + 1) * utf8.UTFMax; len(s) > most {
		s = s[:most]
	}
	s = strings.Join(strings.Fields(visible(s)), " ")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
