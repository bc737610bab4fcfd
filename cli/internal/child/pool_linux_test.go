package child

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

func TestMain(m *testing.M) {
	supervise.Become()
	if Serves() {
		if slices.Contains(os.Args, "early") {
			fmt.Println(answer(context.Background(), "sh "+lookAround))
		}
		if err := Serve(context.Background(), func(ctx context.Context, request []byte) []byte {
			return []byte(answer(ctx, string(request)))
		}); err != nil {
			panic(err)
		}
		fmt.Println("served")
		os.Exit(0)
	}
	// With the race detector, a process that ends sleeps for a second: supervisors and children too.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// answer is what the tests' children do.
func answer(ctx context.Context, request string) string {
	what, rest, _ := strings.Cut(request, " ")
	switch what {
	case "pid":
	case "print":
		fmt.Print("out " + rest)
		fmt.Fprint(os.Stderr, "err "+rest)
	case "length":
		return strconv.Itoa(len(rest))
	case "binary":
		link, err := os.Stat("/proc/self/exe")
		if err != nil {
			panic(err)
		}
		return fmt.Sprint(link.Sys().(*syscall.Stat_t).Ino)
	case "wait":
		fmt.Println("waiting")
		<-ctx.Done()
		return context.Cause(ctx).Error()
	case "loop":
		fmt.Println("looping")
		for { //nolint:revive,staticcheck // that is the test
		}
	case "exit":
		fmt.Fprintln(os.Stderr, "last words")
		code, _ := strconv.Atoi(rest)
		os.Exit(code)
	case "panic":
		fmt.Fprintln(os.Stderr, "before")
		go func() { panic("in the background") }()
		select {}
	case "exits later":
		go func() { os.Exit(0) }()
	case "sh":
		cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", rest)
		cmd.Stderr = os.Stderr
		output, err := cmd.Output()
		if err != nil {
			panic(err)
		}
		return string(output)
	case "allocate":
		var all [][]byte
		for range 300 {
			all = append(all, bytes.Repeat([]byte("x"), 1<<20))
		}
		<-ctx.Done()
		runtime.KeepAlive(all)
	}
	return strconv.Itoa(os.Getpid())
}

// pool returns a Pool of this program, whose children serve so many jobs, and what they print.
func pool(t *testing.T, jobs int) (*Pool, *printed) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, output := &Pool{Settings: settings(t), Path: self, Jobs: jobs}, &printed{}
	p.KillAfter = time.Minute
	p.Output = func(job Job, line string) { output.add(job, fmt.Sprint(job.ID, " ", line)) }
	t.Cleanup(p.Close)
	return p, output
}

func (p *Pool) get1(t *testing.T, id int64, request string) string {
	t.Helper()
	answer, err := p.Call(t.Context(), Job{ID: id}, []byte(request))
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return string(answer)
}

func TestAChildServesSoManyJobs(t *testing.T) {
	p, output := pool(t, 3)
	var pids []string
	for range 7 {
		pids = append(pids, p.get1(t, 1, "pid"))
	}
	if pids[0] != pids[2] || pids[2] == pids[3] || pids[3] != pids[5] || pids[5] == pids[6] {
		t.Errorf("the children were %q", pids)
	}
	p.Close()
	if n := len(output.all()); n != 3 { // the end of main
		t.Errorf("printed were %q", output.all())
	}
}

func TestIdleChildrenAreShared(t *testing.T) {
	p, _ := pool(t, 100)
	var mu sync.Mutex
	children := map[string]bool{}
	for range 5 {
		var all sync.WaitGroup
		for id := range int64(3) {
			all.Go(func() {
				pid, err := p.Call(t.Context(), Job{ID: id}, []byte("pid"))
				mu.Lock()
				defer mu.Unlock()
				children[string(pid)] = true
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if len(children) > 3 {
		t.Errorf("%d children for at most 3 jobs at once", len(children))
	}
}

// Each line has the id of the job that printed it, also one without its end.
func TestOutputOfAChild(t *testing.T) {
	p, output := pool(t, 100)
	var want []string
	for id := range int64(50) {
		p.get1(t, id, "print a\nb")
		for _, line := range []string{"out a", "b", "err a", "b"} {
			want = append(want, fmt.Sprint(id, " ", line))
		}
	}
	got := output.all()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("printed were %q", got)
	}
}

func TestLargeRequest(t *testing.T) {
	p, _ := pool(t, 2)
	if got := p.get1(t, 1, "length "+strings.Repeat("x", 5<<20)); got != strconv.Itoa(5<<20) {
		t.Errorf("%s bytes arrived", got)
	}
}

// A new file at the program's place is the next child's program.
func TestNewBinary(t *testing.T) {
	p, _ := pool(t, 2)
	self := p.Path
	p.Path = filepath.Join(t.TempDir(), "program")
	install := func() {
		program, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(clitest.WriteProgram(p.Path+".new", program, 0o700),
			os.Rename(p.Path+".new", p.Path)); err != nil {
			t.Fatal(err)
		}
	}
	install()
	first := p.get1(t, 1, "binary")
	install()
	second, third := p.get1(t, 2, "binary"), p.get1(t, 3, "binary")
	if first != second || second == third {
		t.Errorf("the binaries were %s, %s and %s", first, second, third)
	}

	if err := os.Remove(p.Path); err != nil {
		t.Fatal(err)
	}
	p.get1(t, 4, "binary")
	if _, err := p.Call(t.Context(), Job{}, nil); !errors.Is(err, ErrNotStarted) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a binary: %v", err)
	}
}

// A program that ends before it has taken the job is not the job's fault.
func TestProgramThatDoesNotServe(t *testing.T) {
	p, _ := pool(t, 1)
	p.Path = "/bin/sh"
	for _, and := range []string{"", "sleep 1000 >/dev/null 2>&1 &"} { // which keeps the socket
		p.Args = []string{"-c", "echo wrong program >&2; " + and + " exit 3"}
		if _, err := p.Call(t.Context(), Job{}, []byte("pid")); !errors.Is(err, ErrNotStarted) ||
			!strings.Contains(err.Error(), "exit status 3: wrong program") {
			t.Errorf("the error is %v", err)
		}
	}
}

// A child's answer counts also when this process, on a busy machine, comes to it only after the child's end.
func TestAnAnswerThatIsReadLate(t *testing.T) {
	control, theirs, err := supervise.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	defer theirs.Close() // somebody has the other end open
	long := bytes.Repeat([]byte("x"), 50<<10)
	if err := errors.Join(json.NewEncoder(theirs).Encode(message{Job: 1, Answer: long}),
		control.SetReadDeadline(time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	s := &server{control: control, messages: make(chan message, 2)}
	s.listen()
	if m := <-s.messages; m.Job != 1 || !bytes.Equal(m.Answer, long) {
		t.Errorf("heard was an answer of %d bytes", len(m.Answer))
	}
}

// lookAround is a line of sh that prints what it has inherited.
const lookAround = `echo $(env | grep -c ^` + variable + `=) variables, $(ls -l /proc/self/fd | grep -c socket) sockets`

// What a child starts knows nothing of the socket, neither before it serves nor later.
func TestGrandchildrenInheritNothing(t *testing.T) {
	p, output := pool(t, 1)
	p.Args = []string{"early"}
	const nothing = "0 variables, 0 sockets"
	if got := p.get1(t, 1, "sh "+lookAround); got != nothing+"\n" {
		t.Errorf("there were %s", got)
	}
	if got := output.all(); !slices.Contains(got, "1 "+nothing) {
		t.Errorf("before it served: %q", got)
	}
}

func TestMemoryOfAChild(t *testing.T) {
	p, _ := pool(t, 5)
	p.Memory = 150 << 20
	_, err := p.Call(t.Context(), Job{ID: 1}, []byte("allocate"))
	if err == nil || !strings.Contains(err.Error(), "killed for its memory: ") || !strings.Contains(err.Error(), "the limit is 150.0 MB") {
		t.Errorf("the error is %v", err)
	}
	p.get1(t, 2, "pid")
}

func TestMemoryOfACommand(t *testing.T) {
	command := Command{
		Settings: settings(t), Args: Shell(`awk 'BEGIN { for (i = 0; i < 9999999; i++) a[i] = "xxxxxxxxxxxxxxxxxxxx" i }'; sleep 1000`),
	}
	command.Memory = 100 << 20
	err := command.Run(t.Context(), Job{})
	if err == nil || !strings.Contains(err.Error(), "killed for its memory: ") || !strings.Contains(err.Error(), "the limit is 100.0 MB") {
		t.Errorf("the error is %v", err)
	}
}

// Twenty jobs of each kind leave no file open.
func TestNoFileLeaks(t *testing.T) {
	p, _ := pool(t, 3)
	command := Command{Settings: p.Settings, Args: Shell("cat; echo x >&2; exit 3")}
	// and keeps standard input open
	unread := Command{Settings: p.Settings, Args: Shell("exec 3<&0; sleep 1000 <&3 >/dev/null 2>&1 & exit 0")}
	run := func(n int) {
		for range n {
			p.get1(t, 1, "print a")
			if err := command.Run(t.Context(), Job{Data: []byte("{}")}); err == nil {
				t.Error("no error")
			}
			_, _ = p.Call(t.Context(), Job{}, []byte("exit 1"))
			if err := unread.Run(t.Context(), Job{Data: make([]byte, 1<<20)}); err != nil {
				t.Error(err)
			}
		}
	}
	files := func() int {
		p.idle.retiring.Wait()
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	run(2)
	before := files()
	run(20)
	if after := files(); after > before {
		t.Errorf("%d files are open, before it were %d", after, before)
	}
}
