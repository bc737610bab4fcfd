package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

var module = &part{name: "lib", dir: "a dir", module: "example.org/lib", flags: []string{"-race"}}

// said is what a report prints of these events, and at the end.
func said(t *testing.T, events ...event) (*report, string) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	stuck := r.began
	r.now = func() time.Time { return stuck }
	var lines strings.Builder
	for _, e := range events {
		if e.Package == "" {
			e.Package = "example.org/lib/jobs"
		}
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	if err := r.read(module, strings.NewReader(lines.String())); err != nil {
		t.Fatal(err)
	}
	r.summary([]servers.Engine{{Name: "postgres", Version: "15.1", Way: "local"}, {Name: "sqlite", Version: "3.50"}})
	return r, out.String()
}

func expect(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[len(lines)-1]
}

func TestFailureIsShownAndHasItsCommand(t *testing.T) {
	r, out := said(t,
		event{Action: "start"},
		event{Action: "run", Test: "TestPush"},
		event{Action: "run", Test: "TestPush/postgres_15.1"},
		event{Action: "run", Test: "TestPush/postgres_15.1/it's_(new)"},
		event{Action: "output", Test: "TestPush/postgres_15.1/it's_(new)", Output: "    push_test.go:7: it is old\n"},
		event{Action: "fail", Test: "TestPush/postgres_15.1/it's_(new)", Elapsed: 2},
		event{Action: "fail", Test: "TestPush/postgres_15.1", Elapsed: 2},
		event{Action: "fail", Test: "TestPush", Elapsed: 2},
		event{Action: "run", Test: "TestGood"},
		event{Action: "output", Test: "TestGood", Output: "chatter\n"},
		event{Action: "pass", Test: "TestGood", Elapsed: 1},
		event{Action: "output", Output: "FAIL\texample.org/lib/jobs\t3.0s\n"},
		event{Action: "fail"},
	)
	expect(t, out, "it is old", "FAIL\texample.org/lib/jobs\t3.0s", "example.org/lib/jobs TestPush/postgres_15.1/it's_(new)\n",
		`(cd 'a dir' && go test -count=1 -race -run '^TestPush$/^postgres_15\.1$/^it'\''s_\(new\)$' ./jobs)`)
	if got, want := lastLine(out), "1 passed, 1 failed, 0 skipped"; got != want {
		t.Errorf("the last line is %q, want %q", got, want)
	}
	if strings.Contains(out, "chatter") {
		t.Errorf("what a good test says is printed:\n%s", out)
	}
	if len(r.failures) != 1 || r.passed(module) {
		t.Errorf("failures: %v", r.failures)
	}
}

func TestTableCountsByEngine(t *testing.T) {
	r, out := said(t,
		event{Action: "start"},
		event{Action: "run", Test: "TestPush"},
		event{Action: "run", Test: "TestPush/postgres_15.1"},
		event{Action: "run", Test: "TestPush/postgres_15.1/a"},
		event{Action: "pass", Test: "TestPush/postgres_15.1/a", Elapsed: 2},
		event{Action: "run", Test: "TestPush/postgres_15.1/b"},
		event{Action: "output", Test: "TestPush/postgres_15.1/b", Output: "    push_test.go:9: not run: no disk\n"},
		event{Action: "output", Test: "TestPush/postgres_15.1/b", Output: "--- SKIP: TestPush/postgres_15.1/b (0.00s)\n"},
		event{Action: "skip", Test: "TestPush/postgres_15.1/b"},
		event{Action: "pass", Test: "TestPush/postgres_15.1", Elapsed: 2},
		event{Action: "run", Test: "TestPush/sqlite"},
		event{Action: "pass", Test: "TestPush/sqlite", Elapsed: 3},
		event{Action: "pass", Test: "TestPush", Elapsed: 5},
		event{Action: "output", Output: "ok  \texample.org/lib/jobs\t5.0s\n"},
		event{Action: "pass"},
		event{Action: "run", Test: "TestOpen", Package: "example.org/lib/sqlitequeue"},
		event{Action: "pass", Test: "TestOpen", Package: "example.org/lib/sqlitequeue", Elapsed: 4},
	)
	expect(t, out, "postgres  15.1     2      0       1        2s    local", "sqlite    3.50     2      0       0        7s",
		"     1  not run: no disk\n", "ok  \texample.org/lib/jobs\t5.0s\n")
	if got, want := lastLine(out), "3 passed, 0 failed, 1 skipped"; got != want || !r.passed(module) {
		t.Errorf("the last line is %q, want %q", got, want)
	}
	if strings.Contains(out, "\r") {
		t.Error("there are carriage returns")
	}
}

func TestPackageThatEndsEarly(t *testing.T) {
	_, out := said(t,
		event{Action: "start"},
		event{Action: "run", Test: "TestHang"},
		event{Action: "output", Test: "TestHang", Output: "panic: out of cheese\n"},
		event{Action: "output", Output: "FAIL\texample.org/lib/jobs\t3.0s\n"},
		event{Action: "fail"},
	)
	expect(t, out, "out of cheese", "TestHang (it did not end)", "-run '^TestHang$' ./jobs", "0 passed, 1 failed, 0 skipped")
}

func TestPackageThatDoesNotBuild(t *testing.T) {
	_, out := said(t,
		event{Action: "build-output", ImportPath: "example.org/lib/jobs", Output: "jobs.go:3: undefined: pop\n"},
		event{Action: "start"},
		event{Action: "output", Output: "FAIL\texample.org/lib/jobs [build failed]\n"},
		event{Action: "fail"},
	)
	expect(t, out, "undefined: pop", "go test -count=1 -race ./jobs", "0 passed, 1 failed, 0 skipped")
}

func TestSignOfLifeNamesTheOldestTests(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	now := r.began
	r.now = func() time.Time { return now }
	for _, name := range []string{"TestOld", "TestOld/part", "TestNew"} {
		now = now.Add(time.Second)
		r.line(module, `{"Action":"run","Package":"example.org/lib/jobs","Test":"`+name+`"}`)
	}
	r.beat()
	if out.Len() > 0 {
		t.Errorf("too early: %s", out.String())
	}
	now = now.Add(quiet)
	r.beat()
	expect(t, out.String(), "0 cases so far; running: jobs TestOld/part, jobs TestNew\n")
}

// The command must be one that a shell reads as it was meant.
func TestQuote(t *testing.T) {
	for _, word := range []string{"-race", "a b", "it's", "$HOME", `^TestX$/^"a"$`, ""} {
		got, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quote(word)).Output()
		if err != nil || string(got) != word {
			t.Errorf("%q is quoted as %s, and read as %q: %v", word, quote(word), got, err)
		}
	}
}
