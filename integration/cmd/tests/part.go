package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// part is the tests of one module.
type part struct {
	name     string   // of the module, in reports
	dir      string   // from the repository's root
	module   string   // path
	servers  bool     // it needs database servers
	plain    bool     // without the race detector
	flags    []string // of go test, that a repetition needs too
	more     []string // others
	packages []string // those that take longest first, so that none of them runs alone at the end
}

// run vets the module and tests it, with variables in the environment beside the process's own.
func (p *part) run(ctx context.Context, r *report, variables []string) error {
	vet := p.command(ctx, variables, "vet", "./...")
	vet.Stdout, vet.Stderr = r, r
	if err := vet.Run(); err != nil {
		r.failed(p, p.name+": go vet", in(p.dir, "go vet ./..."))
	}
	args := append([]string{"test", "-json"}, p.flags...)
	args = append(append(args, p.more...), p.packages...)
	test := p.command(ctx, variables, args...)
	test.Stderr = r
	output, err := test.StdoutPipe()
	if err != nil {
		return err
	}
	if err := test.Start(); err != nil {
		return err
	}
	readError := r.read(p, output)
	err = test.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() && !r.passed(p) {
		err = nil // the report knows more of it
	}
	if err := errors.Join(readError, err); err != nil {
		return fmt.Errorf("%s: go test: %w", p.name, err)
	}
	return nil
}

// command is one of the go command. When ctx ends it is asked to end, with all that it has started, and killed half a minute later.
func (p *part) command(ctx context.Context, variables []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = p.dir
	const noSleep = "GORACE=atexit_sleep_ms=0" // of a second, at the end of each process with the race detector
	cmd.Env = slices.Concat([]string{noSleep}, os.Environ(), variables)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// again is the command that repeats one test, or a package if test is empty, for a shell in the repository's root.
func (p *part) again(pkg, test string) string {
	command := "go test -count=1"
	for _, flag := range p.flags {
		command += " " + quote(flag)
	}
	if test != "" {
		var pattern []string
		for name := range strings.SplitSeq(test, "/") {
			pattern = append(pattern, "^"+regexp.QuoteMeta(name)+"$")
		}
		command += " -run " + quote(strings.Join(pattern, "/"))
	}
	return in(p.dir, command+" ."+strings.TrimPrefix(pkg, p.module))
}

// in has a command run in a directory.
func in(dir, command string) string {
	if path.Clean(dir) == "." {
		return command
	}
	return "(cd " + quote(dir) + " && " + command + ")"
}

var plain = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// quote quotes a word for sh.
func quote(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
