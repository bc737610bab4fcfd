//go:build unix

package child

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// serve is a loop of sh that runs a line for each job, which has $id and answers with done.
func serve(line string) []string {
	return Shell(`finish() { echo '{"id":'$id',"outcome":"done"}'; }
echo started $$ >&2
while read -r job; do id=${job#'{"id":'}; id=${id%%,*}; ` + line + `; done`)
}

// reusedBy returns processes of a command, and what they print on standard error.
func reusedBy(t *testing.T, args []string) (*Reused, *printed) {
	t.Helper()
	r, output := &Reused{Settings: settings(t), Args: args}, &printed{}
	r.KillAfter = time.Minute
	r.Output = func(job Job, line string) { output.add(job, fmt.Sprint(job.ID, " ", line)) }
	t.Cleanup(r.Close)
	return r, output
}

func (r *Reused) mustRun(t *testing.T, ids ...int64) {
	t.Helper()
	for _, id := range ids {
		if err := r.Run(t.Context(), Job{ID: id}); err != nil {
			t.Fatalf("job %d: %v", id, err)
		}
	}
}

// started is how many processes have begun.
func (o *printed) started() (n int) {
	for _, line := range o.all() {
		if strings.Contains(line, " started ") {
			n++
		}
	}
	return n
}

func TestOneProcessServesThousandsOfJobs(t *testing.T) {
	t.Parallel()
	r, output := reusedBy(t, serve("finish"))
	for id := range int64(3000) {
		r.mustRun(t, id)
	}
	if n := output.started(); n != 1 {
		t.Errorf("%d processes were started", n)
	}
}

func TestAJobIsALine(t *testing.T) {
	t.Parallel()
	r, output := reusedBy(t, Shell(`read -r job; echo "$SQLQUEUE_REUSE $job" >&2; echo '{"id":7,"outcome":"done"}'`))
	job := Job{ID: 7, Queue: "mail", Name: "a<b", Attempts: 2, Data: []byte("{\n \"x\": [1, \"é\"]\n}"), Trace: "00-1-2-01"}
	if err := r.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	want := `7 1 {"id":7,"queue":"mail","name":"a<b","attempts":2,"data":{"x":[1,"é"]},"trace":"00-1-2-01"}`
	if got := output.all(); !slices.Equal(got, []string{want}) {
		t.Errorf("the line is %q, want %q", got, want)
	}
}

// What is no answer to the job is an error, and another process gets the next job.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]struct {
		err    string // empty: nil
		wrong  bool
		failed bool
	}{
		`{"id":1,"outcome":"done"}`:                         {},
		` {"outcome":"done","id":1} `:                       {},
		`{"id":1,"outcome":"error","error":"no such host"}`: {err: "no such host"},
		`{"id":1,"outcome":"error"}`:                        {err: "the command gave no reason"},
		`{"id":1,"outcome":"fail","error":"bad data"}`:      {err: "bad data", failed: true},
		`{"id":1,"outcome":"discard"}`:                      {err: ErrDiscard.Error()},
		`{"id":1,"outcome":"release"}`:                      {err: ErrRelease.Error()},
		`{"id":1,"outcome":"release","delay":1.5}`:          {err: (&ReleaseError{Delay: 1500 * time.Millisecond}).Error()},
		`{"id":1,"outcome":"snooze","delay":0}`:             {err: (&ReleaseError{Snooze: true}).Error()},
		`hello`:                                             {err: "invalid character 'h'", wrong: true},
		`{"id":1,"outcome":"done"}{}`:                       {err: "something follows the object", wrong: true},
		`{"id":2,"outcome":"done"}`:                         {err: "its id is 2, and the job is 1", wrong: true},
		`{"outcome":"done"}`:                                {err: "it has no id", wrong: true},
		`{"id":1}`:                                          {err: `its outcome is ""`, wrong: true},
		`{"id":1,"outcome":"retry"}`:                        {err: `its outcome is "retry"`, wrong: true},
		`{"id":1,"outcome":"done","delay":1}`:               {err: "it has a delay", wrong: true},
		`{"id":1,"outcome":"done","error":"x"}`:             {err: "it has an error", wrong: true},
		`{"id":1,"outcome":"release","delay":-1}`:           {err: "out of range", wrong: true},
		`{"id":1,"outcome":"release","delay":1e300}`:        {err: "out of range", wrong: true},
		`{"id":1,"outcome":"snooze"}`:                       {err: "snooze needs a delay", wrong: true},
		`{"id":1,"outcome":"release","dealy":1}`:            {err: "unknown field", wrong: true},
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			r, output := reusedBy(t, serve(`if test $id = 1; then echo '`+answer+`'; else finish; fi`))
			err := r.Run(t.Context(), Job{ID: 1})
			switch {
			case want.err == "" && err != nil, want.err != "" && (err == nil || !strings.Contains(err.Error(), want.err)):
				t.Errorf("the error is %v, want %q", err, want.err)
			case want.wrong != (err != nil && strings.Contains(err.Error(), "a line that is not an answer to the job")):
				t.Errorf("the error is %v", err)
			case errors.As(err, new(*FailError)) != want.failed:
				t.Errorf("it failed for good, or not: %v", err)
			}
			r.mustRun(t, 2)
			if n := output.started(); (n == 2) != want.wrong {
				t.Errorf("%d processes were started", n)
			}
		})
	}
}

// A process that ends without an answer has an exit code, as a command for each job has; but 0 is no answer.
func TestAProcessThatEndsInAJob(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"exit 0":                     "the command ended without an answer (exit status 0)",
		"echo boom >&2; exit 3":      "the command ended without an answer (exit status 3): boom",
		"echo bad data >&2; exit 65": "bad data",
		"exit 75":                    ErrRelease.Error(),
		"kill -KILL $$":              "killed by signal 9 (killed)",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			r, output := reusedBy(t, serve(`case $id in 1|3) finish;; *) `+line+`;; esac`))
			r.mustRun(t, 1)
			err := r.Run(t.Context(), Job{ID: 2})
			if err == nil || err.Error() != want {
				t.Errorf("the error is %v, want %q", err, want)
			}
			if errors.Is(err, ErrNotStarted) || errors.Is(err, ErrRelease) != (line == "exit 75") ||
				errors.As(err, new(*FailError)) != strings.HasSuffix(line, "65") {
				t.Errorf("the error is %#v", err)
			}
			r.mustRun(t, 3)
			if n := output.started(); n != 2 {
				t.Errorf("%d processes were started", n)
			}
		})
	}
}

// An answer counts that comes just before the end, also with a job that the process never reads.
func TestAnswerAndEnd(t *testing.T) {
	t.Parallel()
	r, _ := reusedBy(t, Shell(`echo '{"id":1,"outcome":"done"}'`))
	if err := r.Run(t.Context(), Job{ID: 1, Data: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}); err != nil {
		t.Error(err)
	}
}

// A process that has ended between two jobs costs neither anything.
func TestAProcessThatEndsBetweenJobs(t *testing.T) {
	t.Parallel()
	r, output := reusedBy(t, serve(`finish; exit 1`))
	for id := range int64(3) {
		r.mustRun(t, id)
		for _, c := range r.idle.children {
			<-c.Done()
		}
	}
	if n := output.started(); n != 3 {
		t.Errorf("%d processes were started", n)
	}
}

// So does a process that ends while the next job is being given to it.
func TestAProcessThatReadsNoMore(t *testing.T) {
	t.Parallel()
	r, output := reusedBy(t, serve(`finish; exec 0<&-; echo closed >&2; sleep 0.2; exit 1`))
	r.mustRun(t, 1)
	output.waitForLine(t, "1 closed")
	r.mustRun(t, 2)
	if n := output.started(); n != 2 {
		t.Errorf("%d processes were started", n)
	}
}

// Of its own accord a process ends with "last": it gets no other job, though it needs time to end.
func TestTheLastAnswer(t *testing.T) {
	t.Parallel()
	r, output := reusedBy(t, serve(`echo '{"id":'$id',"outcome":"done","last":true}'; read -r more && echo read more >&2; exit 0`))
	r.mustRun(t, 1, 2)
	r.Close()
	if lines := output.all(); output.started() != 2 || len(lines) != 2 {
		t.Errorf("printed were %q", lines)
	}
}

func TestAProcessServesSoManyJobs(t *testing.T) {
	t.Parallel()
	r, output := reusedBy(t, serve("finish"))
	r.Jobs = 2
	r.mustRun(t, 1, 2, 3, 4, 5)
	if n := output.started(); n != 3 {
		t.Errorf("%d processes were started", n)
	}
}

// A line that no job has asked for is shown, and its process gets no other job.
func TestAStrayLine(t *testing.T) {
	t.Parallel()
	r, output := reusedBy(t, serve(`if test $id = 1; then finish; echo debug; else finish; fi`))
	r.mustRun(t, 1)
	output.waitForLine(t, `1 the command wrote to standard output without having a job, and is replaced: "debug"`)
	r.mustRun(t, 2, 3)
	if n := output.started(); n != 2 {
		t.Errorf("%d processes were started", n)
	}
}

// A process that hangs gets TERM at the job's timeout, and is killed with all that descends from it.
func TestAProcessThatHangs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		line, want string
		killAfter  time.Duration
	}{
		"TERM is enough":       {`echo hangs >&2; sleep 1000`, "timed out", time.Hour},
		"TERM is ignored":      {`trap "" TERM; echo hangs >&2; sleep 1000`, "timed out", 50 * time.Millisecond},
		"at once":              {`echo hangs >&2; sleep 1000`, "timed out", 0},
		"an answer after TERM": {`trap finish TERM; sleep 1000 & echo hangs >&2; wait; wait`, "", time.Hour},
		"an error after TERM": {
			`trap 'echo "{\"id\":1,\"outcome\":\"error\",\"error\":\"bye\"}"' TERM; sleep 1000 & echo hangs >&2; wait; wait`,
			"timed out: bye", time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, output := reusedBy(t, serve(`if test $id = 1; then `+test.line+`; else finish; fi`))
			kill := make(chan struct{}) // those that do not heed the end of their standard input
			defer close(kill)
			r.KillAfter, r.Kill = test.killAfter, kill
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			r.Output = func(job Job, line string) {
				output.add(job, fmt.Sprint(job.ID, " ", line))
				if line == "hangs" {
					cancel(errors.New("timed out"))
				}
			}
			err := r.Run(ctx, Job{ID: 1})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
			r.mustRun(t, 2)
			if n := output.started(); n != 2 {
				t.Errorf("%d processes were started", n)
			}
		})
	}
}

// At the end of the worker a process reads the end of its standard input; one that does not heed it is killed.
func TestTheEndOfProcesses(t *testing.T) {
	t.Parallel()
	r, output := reusedBy(t, append(serve("finish")[:2], serve("finish")[2]+"\necho bye >&2"))
	r.mustRun(t, 1)
	r.Close()
	if lines := output.all(); len(lines) != 2 || lines[1] != "1 bye" {
		t.Errorf("printed were %q", lines)
	}

	r, _ = reusedBy(t, append(serve("finish")[:2], serve("finish")[2]+"\nsleep 1000"))
	kill := make(chan struct{})
	r.Kill = kill
	r.mustRun(t, 1)
	close(kill)
	r.Close()
}

func TestAReusedCommandThatIsMissing(t *testing.T) {
	t.Parallel()
	r, _ := reusedBy(t, []string{"/no/such/program"})
	if err := r.Run(t.Context(), Job{ID: 1}); !errors.Is(err, ErrNotStarted) {
		t.Errorf("the error is %v", err)
	}
}
