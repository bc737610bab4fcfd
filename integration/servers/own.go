package servers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// An OwnServer is a private server of a test's own, which may stop it and start it again. Its address and its data stay.
type OwnServer struct {
	*Server

	engine  engine
	account *syscall.Credential
	dir     string
	env     []string
	running *supervised
}

// Own starts a server of an engine that is installed on the machine, for one test, which ends with it. Where the engine is not installed
// the test is skipped, with the reason.
func Own(t *testing.T, name string) *OwnServer {
	t.Helper()
	return OwnIn(t, name, "")
}

// OwnIn is Own with the server's data in a directory of parent; empty: where temporary files are.
func OwnIn(t *testing.T, name, parent string) *OwnServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), localStartTimeout)
	defer cancel()
	o := &OwnServer{engine: engineOf(name)}
	dirs, err := o.engine.installed(ctx)
	if isNotHere(err) {
		t.Skipf("not run: a server that the test can stop must be installed here: %v", err)
	}
	must(t, err)
	o.account, err = o.engine.local.runAs()
	must(t, err)
	port, err := freePort(ctx)
	must(t, err)
	o.dir, err = os.MkdirTemp(parent, "sqlqueue-own-"+name+"-") // the server's account could not get into t.TempDir
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(o.dir)) })
	if o.account != nil {
		must(t, os.Chown(o.dir, int(o.account.Uid), int(o.account.Gid)))
	}
	password := rand.Text()
	o.env = []string{
		"PATH=" + strings.Join(dirs, ":") + ":" + os.Getenv("PATH"),
		"DIR=" + o.dir, "TMPDIR=" + o.dir, "PORT=" + port, "PASSWORD=" + password,
	}
	prepare := exec.CommandContext(ctx, "sh", "-c", o.engine.local.prepare)
	prepare.Dir, prepare.Env = "/", append(slices.Clone(o.env), "LC_ALL=C")
	prepare.SysProcAttr = &syscall.SysProcAttr{Credential: o.account}
	if output, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("prepare %s: %v: %s", name, err, output)
	}
	t.Cleanup(func() {
		if o.running != nil {
			must(t, o.running.stop())
		}
	})
	o.Server = &Server{address: o.engine.address(net.JoinHostPort("127.0.0.1", port), password)}
	o.Start(t)
	return o
}

// OwnLike starts a server of the test's own like s: of the same engine and version. It returns nil if what is installed here is another
// one.
func OwnLike(t *testing.T, s *Server) *OwnServer {
	t.Helper()
	if _, err := engineOf(s.Engine).installed(t.Context()); isNotHere(err) {
		return nil
	}
	own := Own(t, s.Engine)
	if own.Version != s.Version {
		return nil
	}
	return own
}

// Start starts the server and waits until it answers.
func (o *OwnServer) Start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), localStartTimeout)
	defer cancel()
	for {
		// What supervise.sh removes at the end is a directory of no interest; the server's own stays.
		scratch, err := os.MkdirTemp(o.dir, "scratch")
		must(t, err)
		if o.account != nil {
			must(t, os.Chown(scratch, int(o.account.Uid), int(o.account.Gid)))
		}
		o.running, err = superviseServer(ctx, o.account, append(slices.Clone(o.env),
			"PREPARE=DATA=$DIR DIR="+scratch,
			`SERVE=sh -c 'DIR=$DATA; echo $$ >"$DIR/process"; eval "exec $COMMAND"'`,
			"DATA=", "COMMAND="+o.engine.local.serve, "STOP="+o.engine.local.stop,
		))
		must(t, err)
		server, err := connect(ctx, o.engine, o.address, o.running.ended)
		if err == nil {
			server.Way, o.Server = wayLocal, server
			return
		}
		if o.running.ended() == nil || ctx.Err() != nil {
			t.Fatal(err)
		}
		// It ended: of a server that was killed, other processes can still be there for a moment.
	}
}

// Ensure starts the server if it has ended by itself.
func (o *OwnServer) Ensure(t *testing.T) {
	t.Helper()
	if o.running.ended() != nil {
		o.Start(t)
	}
}

// Stop stops the server at once: by kill -9, or else by the signal with which its operators do it without waiting for clients.
func (o *OwnServer) Stop(t *testing.T, kill bool) {
	t.Helper()
	signal := syscall.SIGTERM
	switch {
	case kill:
		signal = syscall.SIGKILL
	case o.engine.name == "postgres":
		signal = syscall.SIGINT
	}
	must(t, syscall.Kill(processIn(t, o.dir), signal))
	<-o.running.gone
}

// Freeze stops all of the server's processes where they are, as a host does that hangs, until the function is called.
func (o *OwnServer) Freeze(t *testing.T) (thaw func()) {
	t.Helper()
	process := processIn(t, o.dir)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", process))
	must(t, err)
	processes := []int{process}
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		must(t, err)
		processes = append(processes, child)
	}
	signal := func(s syscall.Signal) {
		for _, p := range processes {
			_ = syscall.Kill(p, s) // one that ends by itself
		}
	}
	thaw = func() { signal(syscall.SIGCONT) }
	t.Cleanup(thaw) // a server that stands still cannot be stopped
	signal(syscall.SIGSTOP)
	return thaw
}

// processIn is the id that what runs in a directory has written there.
func processIn(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "process"))
	must(t, err)
	process, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	return process
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
