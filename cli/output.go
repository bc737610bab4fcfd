package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// table prints rows in columns, the first row being the head.
func table(w io.Writer, rows [][]string) error {
	const most = 1000
	var columns []column
	for _, head := range rows[0] {
		columns = append(columns, text(head, most))
	}
	g := newGrid(columns...)
	g.rows = rows[1:]
	return g.writeTo(w)
}

// fields prints names and values.
func fields(w io.Writer, rows [][]string) error {
	g := newGrid(word(""), word(""))
	for _, row := range rows {
		g.add(row...)
	}
	return g.writeTo(w)
}

// writeJSON prints v on one line.
func writeJSON(w io.Writer, v any) error {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, printableJSON(strings.TrimSuffix(b.String(), "\n")))
	return err
}

// printableJSON escapes the characters of encoded JSON that a terminal could take for something else. They are in strings only, so it means
// the same.
func printableJSON(s string) string {
	return mapUnprintable(s, func(r rune, _ string) string {
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// writeArray prints an array, one element on each line.
func writeArray[T any](w io.Writer, elements []T) error {
	if len(elements) == 0 {
		_, err := fmt.Fprintln(w, "[]")
		return err
	}
	for i, element := range elements {
		var line strings.Builder
		if err := writeJSON(&line, element); err != nil {
			return err
		}
		start, end := " ", ","
		if i == 0 {
			start = "["
		}
		if i == len(elements)-1 {
			end = "]"
		}
		if _, err := fmt.Fprintln(w, start+strings.TrimSuffix(line.String(), "\n")+end); err != nil {
			return err
		}
	}
	return nil
}

// printable makes text of others safe to show on a terminal, on one line: what is not a printable character is shown as Go writes it
// in a string, such as \n, \x1b or \u202e.
func printable(s string) string {
	return mapUnprintable(s, func(_ rune, text string) string {
		quoted := strconv.Quote(text)
		return quoted[1 : len(quoted)-1]
	})
}

// printableTabs is printable text that keeps its tabs.
func printableTabs(s string) string {
	parts := strings.Split(s, "\t")
	for i, part := range parts {
		parts[i] = printable(part)
	}
	return strings.Join(parts, "\t")
}

// mapUnprintable replaces what is not a printable character; utf8.RuneError is a byte that belongs to none.
func mapUnprintable(s string, replace func(r rune, text string) string) string {
	clean := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if clean(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(replace(r, s[:size]))
		}
		s = s[size:]
	}
	return b.String()
}

// printableLines is printable text that keeps its lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// brief is printable text of at most n characters.
func brief(s string, n int) string {
	if most := (n + 1) * utf8.UTFMax; len(s) > most {
		s = s[:most] // more is not shown, however much there is
	}
	s = printable(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// ago tells a time relative to now: 3m ago, in 2h.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	const most = 200 // years: a duration has no more than 292
	if years := now.Year() - t.Year(); years > most {
		return fmt.Sprintf("%dy ago", years)
	} else if years < -most {
		return fmt.Sprintf("in %dy", -years)
	}
	d := now.Sub(t)
	switch {
	case d > -time.Second && d < time.Second:
		return "now"
	case d < 0:
		return "in " + roughly(-d)
	}
	return roughly(d) + " ago"
}

// roughly writes a duration in its largest unit.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

// timestamp writes a time in full, in the local time zone, with its age.
func timestamp(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s (%s)", t.Local().Format(time.RFC3339), ago(t, now))
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// countedTo is how far rows are counted to tell people how many they are.
const countedTo = 10_000

// countTo writes a number with its noun. As great as countedTo, it stands for so many or more.
func countTo(n int, noun string) string {
	if n < countedTo {
		return count(n, noun)
	}
	return fmt.Sprintf("%d+ %ss", n, noun)
}
