package servers

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Program is a program of the machine that a test runs beside its servers, and that ends with the test, even if that is killed.
type Program struct {
	Dir string // its own, and its working directory; removed when the test ends

	account *syscall.Credential
	command string
	running *supervised
}

// packages have other names than the programs that they are for.
var packages = map[string]string{"etcd": "etcd-server"}

// NewProgram returns a program that has not been started. Command is one simple command of sh, with its directory in $DIR. Root runs it as
// the account of this engine. A program that is not there is installed, where servers would be (see install); otherwise the test is
// skipped, with the reason.
func NewProgram(t *testing.T, account, command string, files map[string]string) *Program {
	t.Helper()
	name := strings.Fields(command)[0]
	_, err := exec.LookPath(name)
	if err != nil && os.Getenv(wayVariable) == wayLocal {
		err = install(t.Context(), []string{cmp.Or(packages[name], name)})
	}
	if err != nil {
		t.Skipf("not run: %s is not installed: %v", name, err)
	}
	p := &Program{command: command}
	p.account, err = engineOf(account).local.runAs()
	must(t, err)
	p.Dir, err = os.MkdirTemp("", "sqlqueue-program-") // the account could not get into t.TempDir
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(p.Dir)) })
	p.own(t, p.Dir)
	for name, text := range files {
		path := filepath.Join(p.Dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		p.own(t, path)
	}
	t.Cleanup(func() {
		if p.running != nil {
			must(t, p.running.stop())
		}
	})
	return p
}

func (p *Program) own(t *testing.T, path string) {
	t.Helper()
	if p.account != nil {
		must(t, os.Chown(path, int(p.account.Uid), int(p.account.Gid)))
	}
}

// Start starts the program.
func (p *Program) Start(t *testing.T) {
	t.Helper()
	scratch, err := os.MkdirTemp(p.Dir, "scratch") // what supervise.sh removes
	must(t, err)
	p.own(t, scratch)
	p.running, err = superviseServer(context.WithoutCancel(t.Context()), p.account, []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.Dir, "OWN=" + p.Dir, "DIR=" + scratch, "STOP=TERM", "PREPARE=cd \"$OWN\"",
		`SERVE=sh -c 'DIR=$OWN; echo $$ >"$DIR/process"; eval "exec $COMMAND"'`, "COMMAND=" + p.command,
	})
	must(t, err)
}

// Kill kills the program, by kill -9, and waits for its end.
func (p *Program) Kill(t *testing.T) {
	t.Helper()
	must(t, syscall.Kill(processIn(t, p.Dir), syscall.SIGKILL))
	<-p.running.gone
}

// Log is the end of what the program has printed, once it has ended, or nothing.
func (p *Program) Log() string {
	if err := p.running.ended(); err != nil {
		return err.Error()
	}
	return ""
}

// FreePort returns a port of the loopback interface that nobody listens to.
func FreePort(t *testing.T) string {
	t.Helper()
	port, err := freePort(t.Context())
	must(t, err)
	return port
}

// Programs returns the directory of an engine's server program. Where the engine is not installed the test is skipped, with the reason.
func Programs(t *testing.T, name string) string {
	t.Helper()
	e := engineOf(name)
	dirs, err := e.installed(t.Context())
	if isNotHere(err) {
		t.Skipf("not run: %v", err)
	}
	must(t, err)
	program, err := filepath.EvalSymlinks(filepath.Join(dirs[0], e.local.programs[0]))
	must(t, err)
	return filepath.Dir(program)
}
