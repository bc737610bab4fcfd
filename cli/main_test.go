package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
	"github.com/sqlqueue/sqlqueue/worker"
)

// asProgram makes the test binary one of the programs.
const asProgram = "SQLQUEUE_TEST_AS_PROGRAM"

const stock = "stock"

var programs = map[string]func() Options{stock: func() Options { return Options{} }}

func TestMain(m *testing.M) {
	supervise.Become()
	if options := programs[os.Getenv(asProgram)]; options != nil {
		os.Exit(Main(context.Background(), os.Args[1:], options()))
	}
	// With the race detector, a process that ends sleeps for a second.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	if err := errors.Join(forgetTheUser(), waitTogether()); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// forgetTheUser takes out of the environment what the program, its drivers and its commands read there, and makes terminals plain ones.
// Under nohup, commands would ignore HUP: what is caught here has its default there.
func forgetTheUser() error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "SQLQUEUE_") || strings.HasPrefix(name, "PG") || name == "DATABASE_URL" ||
			strings.HasPrefix(name, "LC_") || name == "LANG" || name == "COLUMNS" {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	return errors.Join(os.Setenv("TERM", "xterm"), os.Setenv("NO_COLOR", "1"))
}

// waitTogether lets more tests run at once than there are cores, unless -parallel says how many: most of them wait for processes.
func waitTogether() error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
}

// result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

// runWith runs a command in this process.
func runWith(ctx context.Context, options Options, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	root := Command(options) //nolint:contextcheck // commands get theirs from cobra
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code := execute(ctx, root, args)
	return result{stdout.String(), stderr.String(), code}
}

// anyMemory is for workers in this process, which has what all tests together use.
const anyMemory = 1 << 40

// shell runs commands on a database of its own.
type shell struct {
	t   *testing.T
	dsn string
}

// newShell returns a shell whose database has not been made.
func newShell(t *testing.T) *shell {
	t.Helper()
	return &shell{t, "sqlite:" + filepath.Join(t.TempDir(), "test.db")}
}

// template returns the file of a database that has the tables and nothing in them.
var template = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "sqlqueue-cli-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	name := filepath.Join(dir, "test.db")
	if got := runWith(context.Background(), Options{DSN: "sqlite:" + name}, "", "migrate", "up"); got.code != 0 {
		return nil, errors.New(got.stderr)
	}
	return os.ReadFile(name)
})

// migrated returns a shell whose database has the tables.
func migrated(t *testing.T) *shell {
	t.Helper()
	s := newShell(t)
	file, err := template()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file(), file, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a command in this process.
func (s *shell) run(args ...string) result {
	s.t.Helper()
	return runWith(s.t.Context(), Options{DSN: s.dsn, Worker: worker.Config{MaxMemory: anyMemory}}, "", args...)
}

// ok runs a command that must succeed, and returns its standard output.
func (s *shell) ok(args ...string) string {
	s.t.Helper()
	got := s.run(args...)
	if got.code != 0 {
		s.t.Fatalf("%q: exit code %d\n%s%s", args, got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

// fails runs a command that must exit with the code, print nothing on standard output, and say each of the texts in one line on standard
// error.
func (s *shell) fails(code int, says []string, args ...string) {
	s.t.Helper()
	checkFailure(s.t, s.run(args...), code, says, args)
}

func checkFailure(t *testing.T, got result, code int, says, args []string) {
	t.Helper()
	if got.code != code {
		t.Errorf("%q: exit code %d, want %d", args, got.code, code)
	}
	if got.stdout != "" {
		t.Errorf("%q: printed %q", args, got.stdout)
	}
	if !strings.HasPrefix(got.stderr, "sqlqueue: ") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("%q: standard error is not one line of the program:\n%s", args, got.stderr)
	}
	for _, text := range says {
		if !strings.Contains(got.stderr, text) {
			t.Errorf("%q: standard error does not say %q:\n%s", args, text, got.stderr)
		}
	}
}

// process is a command in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr *watched
	ended  chan struct{}
}

// start starts a command in a process of its own. It is killed when the test ends.
func (s *shell) start(args ...string) *process {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.startProgram(self, stock, args...)
}

// startProgram starts a command of a test binary, as the program that the name says.
func (s *shell) startProgram(path, name string, args ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, cmd: exec.CommandContext(s.t.Context(), path, args...), stderr: &watched{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asProgram+"="+name, "SQLQUEUE_DSN="+s.dsn)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, p.stderr
	p.cmd.WaitDelay = time.Minute
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// says waits until standard error contains the text.
func (p *process) says(text string) {
	p.t.Helper()
	waitFor(p.t, func() error {
		if said := p.stderr.String(); !strings.Contains(said, text) {
			return fmt.Errorf("standard error does not contain %q:\n%s", text, said)
		}
		return nil
	})
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for the end and returns the exit code, -1 for a signal.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience(p.t)):
		p.t.Fatalf("%q does not end:\n%s", p.cmd.Args[1:], p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

// watched is a buffer that can be read while it is written.
type watched = clitest.Buffer

var patience, waitFor, waitForFile = clitest.Patience, clitest.WaitFor, clitest.WaitForFile

// atFixedTime runs a test in a bubble of testing/synctest, where the present is midnight of 1 January 2000, UTC, as long as anything runs:
// what it shows depends neither on the day nor on how long it takes. The SQLite store takes its time from Go.
func atFixedTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	outside := make(chan os.Signal, 1) // os/signal makes its own channels at the first use, which must not be in a bubble
	signal.Notify(outside, os.Interrupt)
	signal.Stop(outside)
	synctest.Test(t, test)
}
