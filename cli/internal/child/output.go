package child

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const (
	mostErrorText = 2 << 10 // of an error
	mostLine      = 64 << 10
)

// lines gives what is written to it to emit, line by line. A line that is longer than mostLine comes in pieces.
type lines struct {
	emit func(line string)
	also *tail // or nil
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	if l.also != nil {
		l.also.add(p)
	}
	l.part = append(l.part, p...)
	for {
		end := bytes.IndexByte(l.part, '\n')
		next := end + 1
		if end < 0 || end > mostLine {
			if len(l.part) <= mostLine {
				return len(p), nil
			}
			end, next = mostLine, mostLine
		}
		l.emit(strings.TrimSuffix(string(l.part[:end]), "\r"))
		l.part = l.part[next:]
	}
}

// flush emits a last line that has no end.
func (l *lines) flush() {
	if len(l.part) > 0 {
		l.emit(string(l.part))
		l.part = nil
	}
}

// tail keeps the end of what is added.
type tail struct{ kept []byte }

func (t *tail) add(p []byte) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - mostErrorText; over > 0 {
		t.kept = t.kept[over:]
		for len(t.kept) > 0 && !utf8.RuneStart(t.kept[0]) {
			t.kept = t.kept[1:]
		}
	}
}

func (t *tail) String() string {
	return strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "\uFFFD"))
}
