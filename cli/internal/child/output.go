package child

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	mostErrorText = 2 << 10 // of an error
	mostLine      = 64 << 10
	mostKept      = 64 << 10 // of what was printed
)

// pump passes on what a process prints on one of its outputs.
type pump struct {
	file *os.File
	done chan struct{} // closed when nobody can print any more

	mu     sync.Mutex
	buffer [32 << 10]byte
	lines  lines
	end    tail
}

// newPump returns a pump and the file that the process prints to.
func newPump(emit func(line string)) (p *pump, theirs *os.File, err error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return &pump{file: ours, done: make(chan struct{}), lines: lines{emit: emit}}, theirs, nil
}

// run passes on until the end.
func (p *pump) run() {
	defer close(p.done)
	for p.read(true) {
	}
}

// mostReads is how often a pump reads until it has all that a pipe can hold, 1 MiB. Who prints on meanwhile is not waited for.
const mostReads = 1 << 20 / len(pump{}.buffer)

// drain passes on what has been printed already, a last line without its end included.
func (p *pump) drain() {
	for range mostReads {
		if !p.read(false) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines.flush()
}

// close passes on what has been printed already, however long run has not come to it on a busy machine, and stops it.
func (p *pump) close() {
	p.drain()
	_ = p.file.Close()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines.flush()
}

func (p *pump) add(printed []byte) {
	p.end.add(printed)
	p.lines.add(printed)
}

// said is the end of what was printed since forget.
func (p *pump) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end.String()
}

func (p *pump) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = tail{}
}

// lines gives what is added to emit, line by line. A line that is longer than mostLine comes in pieces.
type lines struct {
	emit func(line string)
	part []byte
}

func (l *lines) add(printed []byte) {
	l.part = append(l.part, printed...)
	for {
		end := bytes.IndexByte(l.part, '\n')
		next := end + 1
		if end < 0 || end > mostLine {
			if len(l.part) <= mostLine {
				return
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
	if over := len(t.kept) - mostKept; over > 0 {
		t.kept = t.kept[over:]
	}
}

func (t *tail) String() string { return string(t.kept) }

// lastWords makes an error's text of what was printed: a Go program's message of a crash, or else the end.
func lastWords(printed string) string {
	for _, crash := range []string{"\npanic: ", "\nfatal error: "} {
		if start := strings.LastIndex("\n"+printed, crash); start >= 0 {
			printed = printed[start:]
			return valid(printed[:min(len(printed), mostErrorText)])
		}
	}
	printed = printed[max(0, len(printed)-mostErrorText):]
	for len(printed) > 0 && !utf8.RuneStart(printed[0]) {
		printed = printed[1:]
	}
	return valid(printed)
}

func valid(text string) string { return strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD")) }
