package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// event is a line of go test -json: see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// report reads what go test says of several modules at once, prints what people want to see while it runs, and counts.
// It is safe for concurrent use.
type report struct {
	mu       sync.Mutex
	out      io.Writer
	began    time.Time
	now      func() time.Time
	running  map[place]*test
	cases    []result
	failures []failure
	printed  time.Time // when something was, at last
}

// place names a test, or a package where test is empty.
type place struct{ module, pkg, test string }

type test struct {
	place

	began      time.Time
	output     strings.Builder
	last       string // line of output
	parent     bool   // it has subtests
	failedPart bool   // one of them failed
}

// result is what became of a case: a test without subtests, or one that failed by itself.
type result struct {
	place

	outcome string // of go test: pass, fail or skip
	elapsed time.Duration
	reason  string // of a skip
}

// failure is something that did not pass, with a command that repeats it.
type failure struct{ module, name, again string }

func newReport(out io.Writer) *report {
	return &report{out: out, now: time.Now, began: time.Now(), printed: time.Now(), running: map[place]*test{}}
}

// read reads the output of one go test until its end.
func (r *report) read(p *part, stream io.Reader) error {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(p, line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) line(p *part, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		r.print(line) // what the go command says itself
		return
	}
	at := place{p.name, e.Package, e.Test}
	switch e.Action {
	case "start", "run":
		r.start(at)
	case "output":
		r.output(at, e.Output)
	case "build-output":
		r.print(e.Output)
	case "pass", "fail", "skip":
		r.end(p, at, e)
	}
}

func (r *report) start(at place) {
	r.running[at] = &test{place: at, began: r.now()}
	if at.test == "" {
		r.say("%s begins", at.pkg)
		return
	}
	if i := strings.LastIndex(at.test, "/"); i > 0 {
		at.test = at.test[:i]
		if parent := r.running[at]; parent != nil {
			parent.parent = true
		}
	}
}

func (r *report) output(at place, text string) {
	t := r.running[at]
	if t == nil { // a package's, or a test's after its end
		r.start(at)
		t = r.running[at]
	}
	t.output.WriteString(text)
	if line := strings.TrimSpace(text); line != "" && !strings.HasPrefix(line, "--- ") && !strings.HasPrefix(line, "=== ") {
		t.last = line
	}
	if at.test == "" && (strings.HasPrefix(text, "ok  \t") || strings.HasPrefix(text, "FAIL\t") || strings.HasPrefix(text, "?   \t")) {
		r.print(text)
	}
}

func (r *report) end(p *part, at place, e event) {
	t := r.running[at]
	if t == nil {
		t = &test{place: at}
	}
	delete(r.running, at)
	if at.test == "" {
		if e.Action == "fail" {
			r.packageFailed(p, t)
		}
		return
	}
	failed := e.Action == "fail"
	if failed {
		r.print(t.output.String())
		for name := at.test; ; {
			i := strings.LastIndex(name, "/")
			if i < 0 {
				break
			}
			name = name[:i]
			if parent := r.running[place{at.module, at.pkg, name}]; parent != nil {
				parent.failedPart = true
			}
		}
		if whole := r.running[place{at.module, at.pkg, ""}]; whole != nil {
			whole.failedPart = true
		}
	}
	if t.parent && (!failed || t.failedPart) {
		return
	}
	c := result{place: at, outcome: e.Action, elapsed: time.Duration(e.Elapsed * float64(time.Second))}
	if e.Action == "skip" {
		c.reason = sourceLine.ReplaceAllString(t.last, "")
	}
	r.cases = append(r.cases, c)
	if failed {
		r.fail(p, at.pkg+" "+at.test, p.again(at.pkg, at.test))
	}
}

// sourceLine is what stands before the text of a skip.
var sourceLine = regexp.MustCompile(`^\S+\.go:\d+: `)

// packageFailed prints what a package said that failed outside of its tests, or ended while some ran.
func (r *report) packageFailed(p *part, whole *test) {
	var unfinished []*test
	for at, t := range r.running {
		if at.module == whole.module && at.pkg == whole.pkg {
			unfinished = append(unfinished, t)
			delete(r.running, at)
		}
	}
	slices.SortFunc(unfinished, func(a, b *test) int { return cmp.Compare(a.test, b.test) })
	for _, t := range unfinished {
		r.print(t.output.String())
		if !t.parent {
			r.cases = append(r.cases, result{place: t.place, outcome: "fail"})
			r.fail(p, t.pkg+" "+t.test+" (it did not end)", p.again(t.pkg, t.test))
		}
	}
	if !whole.failedPart {
		r.print(whole.output.String())
		if len(unfinished) == 0 {
			r.cases = append(r.cases, result{place: whole.place, outcome: "fail"})
			r.fail(p, whole.pkg, p.again(whole.pkg, ""))
		}
	}
}

func (r *report) fail(p *part, name, again string) {
	if f := (failure{p.name, name, again}); !slices.Contains(r.failures, f) {
		r.failures = append(r.failures, f)
	}
}

// failed notes that something of a module that is no test failed.
func (r *report) failed(p *part, name, again string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cases = append(r.cases, result{outcome: "fail"})
	r.fail(p, name, again)
}

// passed reports whether nothing of a module has failed.
func (r *report) passed(p *part) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(r.failures, func(f failure) bool { return f.module == p.name })
}

// print prints text as it is.
func (r *report) print(text string) {
	if text == "" {
		return
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, _ = io.WriteString(r.out, text)
	r.printed = r.now()
}

// say prints a line with the time since the beginning.
func (r *report) say(format string, args ...any) {
	r.print(fmt.Sprintf("%6s  ", r.now().Sub(r.began).Round(time.Second)) + fmt.Sprintf(format, args...))
}

// Write prints a line of somebody else's, as of the servers, as say does.
func (r *report) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.say("%s", line)
	return len(line), nil
}

// quiet is how long nothing is printed before a sign of life is.
const quiet = 20 * time.Second

// beat prints a sign of life, if nothing has been printed for a while: how far it is and what takes longest.
func (r *report) beat() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now().Sub(r.printed) < quiet {
		return
	}
	var running []*test
	for at, t := range r.running {
		if at.test != "" && !t.parent {
			running = append(running, t)
		}
	}
	slices.SortFunc(running, func(a, b *test) int {
		return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.test, b.test))
	})
	const show = 3
	names := make([]string, 0, show)
	for _, t := range running[:min(show, len(running))] {
		names = append(names, t.pkg[strings.LastIndex(t.pkg, "/")+1:]+" "+t.test)
	}
	if len(names) == 0 {
		names = append(names, "vet and build")
	}
	r.say("%d cases so far; running: %s", len(r.cases), strings.Join(names, ", "))
}
