package term

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes text of others safe to show on a terminal, on one line: what is not a printable character is shown as Go writes it
// in a string, such as \n, \x1b or \u202e.
func Printable(s string) string {
	return mapUnprintable(s, func(_ rune, text string) string {
		quoted := strconv.Quote(text)
		return quoted[1 : len(quoted)-1]
	})
}

// PrintableTabs is printable text that keeps its tabs.
func PrintableTabs(s string) string {
	parts := strings.Split(s, "\t")
	for i, part := range parts {
		parts[i] = Printable(part)
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

// PrintableLines is printable text that keeps its lines.
func PrintableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Printable(line)
	}
	return strings.Join(lines, "\n")
}

// Brief is printable text of at most n characters.
func Brief(s string, n int) string {
	if most := (n + 1) * utf8.UTFMax; len(s) > most {
		s = s[:most] // more is not shown, however much there is
	}
	s = Printable(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
