// The hostile command tests the library's module where tests fail that depend on the day, the zone, the machine or the user:
//
//	hostile [CONDITION…]     # in the directory integration
//	hostile -list
//
// It runs all tests under one condition after the other, and exits with 1 when they fail under one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	list := flag.Bool("list", false, "print the conditions")
	packages := flag.String("packages", "./...", "which packages are tested")
	flag.Parse()
	if *list {
		for _, c := range conditions {
			fmt.Println(c.name)
		}
		return
	}
	chosen := conditions
	if flag.NArg() > 0 {
		chosen = nil
		for _, name := range flag.Args() {
			i := slices.IndexFunc(conditions, func(c condition) bool { return c.name == name })
			if i < 0 {
				fmt.Fprintf(os.Stderr, "hostile: there is no condition %q: see -list\n", name)
				os.Exit(2)
			}
			chosen = append(chosen, conditions[i])
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if !all(ctx, chosen, strings.Fields(*packages)) {
		stop()
		os.Exit(1)
	}
}

// all tests under all conditions, and reports whether they pass under each.
func all(ctx context.Context, chosen []condition, packages []string) (passed bool) {
	passed = true
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "condition\tresult\ttime\tagain")
	for _, c := range chosen {
		fmt.Printf("hostile: %s\n", c.name)
		began := time.Now()
		err := under(ctx, c, packages)
		result := "ok"
		if err != nil {
			result, passed = "FAILED: "+err.Error(), false
		}
		again := fmt.Sprintf("(cd integration && go run ./cmd/hostile '%s')", c.name)
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.name, result, time.Since(began).Round(time.Second), again)
		if ctx.Err() != nil {
			break
		}
	}
	_ = table.Flush()
	return passed
}

// under runs the tests under one condition.
func under(ctx context.Context, c condition, packages []string) (err error) {
	run := &run{Context: ctx, dir: ".."}
	defer func() {
		for _, end := range slices.Backward(run.ends) {
			err = errors.Join(err, end())
		}
	}()
	if err := c.prepare(run); err != nil {
		return err
	}
	args := slices.Concat(run.wrapper, []string{"go", "test", "-count=1", "-timeout=4h"}, run.flags, packages)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = run.dir
	cmd.Env = append(os.Environ(), run.env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: run.account}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd.Run()
}

// run is what a condition changes of go test.
type run struct {
	context.Context //nolint:containedctx // it is that of one call

	dir     string
	env     []string
	flags   []string
	wrapper []string // command before go
	account *syscall.Credential
	ends    []func() error // what is to be done at the end, the last first
}

// temporary makes a directory until the end.
func (r *run) temporary(pattern string) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err == nil {
		r.ends = append(r.ends, func() error { return removeAll(dir) })
	}
	return dir, err
}
