package child

import (
	"bytes"
	"errors"
	"io"
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
	cut  bool // the command had ended, and somebody else kept the other end open
}

// ReadFrom is what io.Copy calls, and so os/exec, whose Wait does not tell of a cut when the command itself has failed.
func (l *lines) ReadFrom(r io.Reader) (n int64, err error) {
	buffer := make([]byte, 32<<10)
	for {
		got, err := r.Read(buffer)
		n += int64(got)
		_, _ = l.Write(buffer[:got]) // never fails
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			l.cut = true
			return n, err
		}
	}
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
