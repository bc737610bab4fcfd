package worker

import (
	"strings"
	"unicode/utf8"
)

// Errors and stacks are cut to these lengths, in bytes, before they are stored or logged.
const (
	maxError = 16 << 10
	maxStack = 64 << 10
)

// textOf returns what an error says, fit to be stored. It survives an Error method that panics or ends its goroutine.
func textOf(err error) string {
	var text string
	if broken := apart(func() error { text = err.Error(); return nil }); broken != nil {
		return "an error that cannot be shown: its method Error panics"
	}
	return clean(text, maxError)
}

// clean makes a text valid UTF-8 without NUL, at most so many bytes long.
func clean(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
