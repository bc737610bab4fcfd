package run

import (
	"strings"
	"testing"
)

// No file makes a panic, or an error of several lines, or one with a part of a secret.
func FuzzHandlers(f *testing.F) {
	for _, text := range []string{
		"a: {command: x}", "a:\n  command: [x, y]\n  tries: 3\n  timeout: 10m\n  backoff: [1, 5s]\n",
		`{"*": {"url": "https://u:p@h/", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "headers": {"A": "b"}}}`,
		"a: *x", "? [x]\n: y", "a: !!binary x", "<<: {a: b}", "\xff\xfea", "--- a\n...\n---", "a: &a [*a]", "\"\\ud83d\\ude00\": 1",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		handlers, _, err := parseHandlers(text)
		switch {
		case err == nil:
			for name, h := range handlers {
				if name == "" || (h.command == nil) == (h.target == nil) || h.settings.Tries < -1 || h.settings.Timeout < -1 {
					t.Errorf("%q is %+v", name, h)
				}
			}
		case strings.ContainsAny(err.Error(), "\r\n\x1b\x00"), err.Error() == "":
			t.Errorf("the error is %q", err)
		}
	})
}
