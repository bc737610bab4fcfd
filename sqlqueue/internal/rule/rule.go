// Package rule has what holds for names and times in every table.
package rule

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxDelay keeps available_at within what every database can hold.
const MaxDelay = 100 * 365 * 24 * time.Hour

// Name says what is wrong with a name. What is what it names, says what is right.
func Name(what, name, says string) error {
	var wrong string
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		return fmt.Errorf("the %s is empty: %s", what, says)
	case n > 191:
		return fmt.Errorf("the %s %.20q… has %d characters: %s", what, name, n, says)
	case !utf8.ValidString(name):
		wrong = "is not valid UTF-8"
	case strings.Contains(name, ","):
		wrong = "has a comma"
	case strings.TrimSpace(name) != name:
		wrong = "has space at an end"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		wrong = "has control characters"
	default:
		return nil
	}
	return fmt.Errorf("the %s %q %s: %s", what, name, wrong, says)
}

// Time says what is wrong with a time.
func Time(t time.Time) error {
	if y := t.UTC().Year(); y < 1970 || y > 9999-1 {
		return fmt.Errorf("the time %v is out of range: years 1970 to 9998 can be stored", t)
	}
	return nil
}
