//go:build unix

package child

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

// FuzzOutput: whatever a child prints, in whatever pieces, comes line by line, and its end makes an error's text that can be stored.
func FuzzOutput(f *testing.F) {
	for _, seed := range []string{
		"", "a\nb\r\n\nc", "\xff\xfe\n", "panic: x\n\ngoroutine 1", "\nfatal error: ü",
		strings.Repeat("ü", mostErrorText), strings.Repeat("x", mostLine+1),
	} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, printed []byte, piece int) {
		piece = min(max(piece, 1), len(printed)+1)
		var out strings.Builder
		l := lines{emit: func(line string) {
			out.WriteString(line)
			if len(line) > mostLine {
				t.Fatalf("a line has %d bytes", len(line))
			}
		}}
		var end tail
		for rest := printed; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			l.add(rest[:min(piece, len(rest))])
			end.add(rest[:min(piece, len(rest))])
		}
		l.flush()
		plain := strings.NewReplacer("\n", "", "\r", "").Replace
		if got, want := plain(out.String()), plain(string(printed)); got != want {
			t.Fatalf("%q is passed on as %q", want, got)
		}
		if words := lastWords(end.String()); !utf8.ValidString(words) || len(words) > 3*mostErrorText {
			t.Fatalf("the last words of %q are %q", printed, words)
		}
	})
}

// FuzzListen: a child can say anything on the socket, and nothing is taken for a message that is none.
func FuzzListen(f *testing.F) {
	for _, seed := range []string{
		`{"job":1,"started":true}` + "\n" + `{"job":1,"answer":"e30="}`, `{"job":"x"}`, `{`, `[]`, `{"job":1e99}`, `null`, `{"answer":"%"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs, err := supervise.SocketPair()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		s := &server{control: ours, messages: make(chan message, 2)}
		go s.listen()
		go func() {
			defer theirs.Close()
			_, _ = theirs.Write(said) // the other end may be closed
		}()
		n := 0
		for range s.messages {
			n++
		}
		if n > len(said) {
			t.Fatalf("%q are %d messages", said, n)
		}
	})
}
