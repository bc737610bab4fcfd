package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// write makes a file, and returns its name.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// receiver is a server that notes what is posted to it.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []received
	next func(received) int // returns the status; nil: 200
}

type received struct {
	Path   string
	Header http.Header
	Body   struct {
		ID       int64           `json:"id"`
		Queue    string          `json:"queue"`
		Name     string          `json:"name"`
		Attempts int             `json:"attempts"`
		Data     json.RawMessage `json:"data"`
	}
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		post := received{Path: request.URL.Path, Header: request.Header}
		text, _ := io.ReadAll(request.Body)
		if err := json.Unmarshal(text, &post.Body); err != nil {
			t.Errorf("posted was %s: %v", text, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, post)
		if r.next != nil {
			w.WriteHeader(r.next(post))
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received{}, r.got...)
}

// what is a short form of all that was posted.
func (r *receiver) what() string {
	var all []string
	for _, post := range r.all() {
		all = append(all, fmt.Sprintf("%s %s %s %s %d", post.Path, post.Body.Queue, post.Body.Name, post.Body.Data, post.Body.Attempts))
	}
	return strings.Join(all, "; ")
}

func TestE3_HandlersFile(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"work", "listen"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			server := newReceiver(t)
			file := write(t, "handlers.yaml", `
# comments are fine
line:
  command: 'echo line: "$(cat)" $SQLQUEUE_JOB_NAME'
list:
  command: [printf, '%s|%s|\n', 'list: a b', '$HOME']
posted:
  url: `+server.URL+`/p
  secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
  headers: {Authorization: Bearer `+secret+`}
"*":
  command: 'echo rest: $SQLQUEUE_JOB_NAME; exit 65'
`)
			for _, name := range []string{"line", "list", "posted", "other"} {
				s.ok("push", name, `{"x":1}`)
			}
			got := s.run(command, "--stop-when-empty", "--handlers", file)
			for _, line := range []string{`job 1: line: {"x":1} line`, "job 2: list: a b|$HOME|", "job 4: rest: other"} {
				if !strings.Contains(got.stderr, "\n"+line+"\n") {
					t.Errorf("not printed: %s\n%s", line, got.stderr)
				}
			}
			if what := server.what(); what != `/p default posted {"x":1} 1` {
				t.Fatalf("posted was %s", what)
			}
			if h := server.all()[0].Header; h.Get("Authorization") != "Bearer "+secret || h.Get("Webhook-Signature") == "" {
				t.Errorf("the header is %v", h)
			}
			if failed := s.failed(); got.code != 0 || len(failed) != 1 || len(s.jobs()) != 0 {
				t.Errorf("exit code %d, failed are %+v", got.code, failed)
			}
		})
	}
}

// Without a handler for all names, others are put back, and JSON does as well.
func TestE3_HandlersFileOfJSON(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	file := write(t, "handlers.json", `{
	"name\/of\u00e9 \ud83d\ude00 \\/": {"command": ["printf", "%s\n", "a\/b"]}
}`)
	s.ok("push", `name/ofé 😀 \/`)
	s.ok("push", "other")
	got := s.run("work", "--stop-when-empty", "--handlers", file)
	if jobs := s.jobs(); got.code != 0 || !strings.Contains(got.stderr, "\njob 1: a/b\n") || len(jobs) != 1 || jobs[0].Attempts != 0 {
		t.Errorf("left are %+v\n%s", jobs, got.stderr)
	}
}

// A handler's own settings beat the worker's, and a job's own beat both.
func TestE3_SettingsInAHandlersFile(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	server := newReceiver(t)
	server.next = func(received) int { return http.StatusBadGateway }
	file := write(t, "handlers.yaml", `
twice: {command: exit 1, tries: 2, backoff: 0}
waits: {command: exit 1, backoff: [10m, 20]}
released: {command: exit 75, backoff: '600,20'}
slow: {command: [sleep, '1000'], timeout: 0.1, tries: 1}
posted: {url: '`+server.URL+`', tries: 3, backoff: 0s}
others: {command: exit 1}
`)
	for _, name := range []string{"twice", "waits", "released", "slow", "posted", "others"} {
		s.ok("push", name)
	}
	s.ok("push", "twice", "--tries", "1")
	if got := s.run("work", "--stop-when-empty", "--handlers", file, "--kill-after", "0", "--delay", "5000"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	attempts := map[int64]int{}
	for _, job := range s.failed() {
		attempts[job.JobID] = job.Attempts
	}
	if want := map[int64]int{1: 2, 4: 1, 5: 3, 7: 1}; fmt.Sprint(attempts) != fmt.Sprint(want) {
		t.Errorf("failed after %v, want %v", attempts, want)
	}
	jobs := s.jobs()
	if len(jobs) != 3 {
		t.Fatalf("left are %+v", jobs)
	}
	checkWait(t, jobs[0], 600*time.Second)
	checkWait(t, jobs[1], 600*time.Second)
	checkWait(t, jobs[2], 5000*time.Second)
}

func TestE3_HandlersFileThatIsWrong(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("WRONG", secret)
	for want, text := range map[string]string{
		": it has no handlers: map names":               "",
		"it has no handlers":                            "# nothing\n",
		"f.yaml:1: the file is nothing: it must be a":   "null",
		"f.yaml: it has no handlers: map ":              "{}",
		"f.yaml:1: the file is a list: it must be":      "[a]",
		":2: it is not YAML: mapping values are":        "a: b\n c: d",
		": it is not YAML: control characters":          "\x00",
		":3: a second document starts here":             "a:\n  command: x\n---\nb: c\n",
		":3: \"a\" is there twice in the file":          "a: {command: x}\nb: {command: x}\na: {command: x}\n",
		":1: a name in the file is a number: put it in": "1: {command: x}",
		":1: a name in the file is empty":               "'': {command: x}",

		`:1: the handler "a": it is a string: it must be a map`:                       "a: ./a",
		`:2: the handler "a": "comand" is not known: use command, reuse, url, secret`: "a:\n  comand: x",
		`did you mean timeout?`:                             "a: {command: x, timout: 1}",
		`:3: the handler "a": "tries" is there twice in it`: "a:\n  tries: 1\n  tries: 2\n  command: x\n",

		`"a": it has no command and no url`:                             "a: {tries: 1}",
		`"a": it has a command and a url`:                               "a: {command: x, url: 'http://h'}",
		`"a": headers is for a url, and it has a command`:               "a: {command: x, headers: {a: " + secret + "}}",
		`"a": command is true or false: put it in quotes`:               "a: {command: true}",
		`"a": command is a map: it must be a string`:                    "a: {command: {a: " + secret + "}}",
		`"a": command is nothing: it must be a string`:                  "a: {command: }",
		`"a": command is empty`:                                         "a: {command: ' '}",
		`"a": command is an empty list`:                                 "a: {command: []}",
		`"a": the program of command is empty`:                          "a: {command: ['']}",
		`"a": an argument of command is a number: put it in quotes`:     "a: {command: [sleep, 1]}",
		`"a": command has a NUL byte`:                                   `a: {command: "x\0"}`,
		`"a": it is an alias, which is not supported: it must be a map`: "b: &b {command: x}\na: *b",

		`"a": url: it is not a URL of http or https`:                                       "a: {url: '" + secret + "'}",
		`:2: the handler "a": secret: it is not a secret of Standard Webhooks: use whsec_`: "a: {url: http://h,\n secret: " + secret + "}",
		`"a": secret: the secret has 5 bytes`:                                              "a: {url: http://h, secret: whsec_c2hvcnQ=}",

		`"a": secret_env: the environment has no variable of this name`:           "a: {url: http://h, secret_env: " + secret + "}",
		`"a": secret_env: the environment has no variable of this name, or it is`: "a: {url: http://h, secret_env: EMPTY}",
		`"a": secret_env: it is not a secret of Standard`:                         "a: {url: http://h, secret_env: WRONG}",

		`"a": it has secret and secret_env`:                      "a: {url: http://h, secret_env: WRONG, secret: " + secret + "}",
		`"a": headers is a string: it must be a map`:             "a: {url: http://h, headers: " + secret + "}",
		`"a": the header "X" is a number: put it in quotes`:      "a: {url: http://h, headers: {X: 1}}",
		`"a": headers: the header Webhook-Id is set by sqlqueue`: "a: {url: http://h, headers: {webhook-id: " + secret + "}}",

		`"a": tries: "x" is not a whole number`:                                             "a: {command: x, tries: x}",
		`"a": tries: -1 is too small`:                                                       "a: {command: x, tries: -1}",
		`"a": tries is true or false: it must be a number`:                                  "a: {command: x, tries: true}",
		`"a": timeout: "soon" is not a duration: use seconds, or a number with a unit such`: "a: {command: x, timeout: soon}",
		`"a": timeout: -1s is negative`:                                                     "a: {command: x, timeout: -1}",
		`"a": a wait of backoff: -1s is negative`:                                           "a: {command: x, backoff: [1, -1]}",
		`"a": a wait of backoff is a list`:                                                  "a: {command: x, backoff: [[1]]}",
		`"a": backoff is an empty list`:                                                     "a: {command: x, backoff: []}",
		`"a": backoff is a map`:                                                             "a: {command: x, backoff: {}}",
		`"a": reuse is a string: it must be true or false`:                                  "a: {command: x, reuse: often}",
		`"a": reuse is for a command, and it has a url`:                                     "a: {url: 'https://example.com', reuse: true}",

		"it has more than 1 MiB": "a: {command: x}\n#" + strings.Repeat("x", 1<<20),
	} {
		t.Run(want, func(t *testing.T) {
			file := write(t, "f.yaml", text)
			got := runWith(t.Context(), Options{}, "", "work", "--handlers", file)
			checkFailure(t, got, 2, []string{want, "--handlers: " + file}, nil)
			checkSecret(t, want, got)
		})
	}
}

func TestE3_HandlersOfBadInput(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	file := write(t, "f.yaml", "a: {command: x}")
	s.fails(2, []string{"--handlers: open /nowhere: no such file"}, "work", "--handlers", "/nowhere")
	s.fails(2, []string{"give one of --exec, --handlers and --subscriptions"}, "work", "--handlers", file, "--exec", "x")
	s.fails(2, []string{"give one of --exec, --handlers and --subscriptions"}, "listen", "--handlers", file, "--subscriptions")
	s.fails(2, []string{"--child-memory is for child processes"}, "listen", "--subscriptions", "--child-memory", "5")
}

// A command of the file is killed as one of --exec is, and a post ends, at the second signal.
func TestE3_ASecondSignalEndsAPost(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) })
	file := write(t, "f.yaml", "a: {url: '"+server.URL+"'}")
	s.ok("push", "a")
	p := s.start("work", "--handlers", file, "--delay", "0", "--grace", "1000")
	waitFor(t, func() error {
		if jobs := s.jobs("--state", "reserved"); len(jobs) != 1 {
			return fmt.Errorf("reserved are %+v", jobs)
		}
		return nil
	})
	p.signal(15)
	p.says("finishing")
	p.signal(2)
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Reserved {
		t.Errorf("left are %+v, want the job, put back", jobs)
	}
}
