package main

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

//go:embed recipes
var recipes embed.FS

func main() {
	list := flag.Bool("list", false, "print the engines, and which cases do not pass there and why")
	kills := flag.Bool("kills", false, "only the test that kills nodes")
	turn := flag.Int("turn", -1, "only one engine, the next one for each next number")
	flag.Parse()
	chosen, err := choose(flag.Args())
	if err == nil && *turn >= 0 {
		chosen = chosen[*turn%len(chosen):][:1]
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if *list {
		describe(os.Stdout, chosen)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "sqlqueue-engines-")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.CopyFS(dir, recipes)) // servers run as other users
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var results []result
	for _, e := range chosen {
		if ctx.Err() == nil {
			results = append(results, newRun(e, dir, *kills).all(ctx))
		}
	}
	_ = os.RemoveAll(dir)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "\nengine\tconformance\tkills\t")
	for _, r := range results {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.name, cmp.Or(r.conformance, "-"), cmp.Or(r.kills, "-"), r.missing)
	}
	_ = table.Flush()
	if ctx.Err() != nil || slices.ContainsFunc(results, func(r result) bool { return r.failed }) {
		os.Exit(1)
	}
}

// choose returns the engines of these names, all without one.
func choose(names []string) ([]engine, error) {
	if len(names) == 0 {
		return engines, nil
	}
	var chosen []engine
	for _, name := range names {
		i := slices.IndexFunc(engines, func(e engine) bool { return e.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no engine %q: -list prints all", name)
		}
		chosen = append(chosen, engines[i])
	}
	return chosen, nil
}

func describe(w io.Writer, of []engine) {
	for _, e := range of {
		_, _ = fmt.Fprintln(w, e.name)
		for _, name := range slices.Sorted(maps.Keys(e.except)) {
			_, _ = fmt.Fprintf(w, "    without %s: %s\n", name, e.except[name])
		}
	}
}

// result is what became of an engine.
type result struct {
	name, conformance, kills string
	missing                  string // why it could not be had
	failed                   bool
}

// run is an engine's turn.
type run struct {
	engine
	recipes, dir string // dir is the engine's own
	kills        bool   // nothing else
}

func newRun(e engine, dir string, kills bool) *run {
	return &run{engine: e, recipes: filepath.Join(dir, "recipes"), dir: filepath.Join(dir, e.name), kills: kills}
}

func (r *run) all(ctx context.Context) result {
	res := result{name: r.name}
	fmt.Printf("%s: starting\n", r.name)
	nodes, missing, err := r.up(ctx)
	defer r.down(ctx)
	switch {
	case err != nil:
		res.missing, res.failed = err.Error(), true
		return res
	case missing != "":
		res.missing = "not run: " + missing
		return res
	}
	var skip []string
	for _, name := range slices.Sorted(maps.Keys(r.except)) {
		skip = append(skip, "^TestConformance$/.*/^plain$/"+name)
	}
	environment := []string{
		"SQLQUEUE_TEST_WAY=environment", postgres + "=", mariadb + "=", mysql + "=", r.variable + "=" + nodes[0],
		"SQLQUEUE_TEST_WITHOUT=" + strings.Join(slices.DeleteFunc([]string{"postgres", "mariadb", "mysql"}, func(name string) bool {
			return strings.HasSuffix(r.variable, strings.ToUpper(name))
		}), ","),
	}
	if !r.kills {
		res.conformance, res.failed = r.test(ctx, environment, ".", "-run=^TestConformance$/.*/^plain$", "-skip="+strings.Join(skip, "|"))
	}
	if r.given() != "" {
		res.kills = "not ours"
		return res
	}
	var failed bool
	res.kills, failed = r.test(ctx, append(environment, "SQLQUEUE_TEST_NODES="+strings.Join(nodes, " "),
		"SQLQUEUE_TEST_NODE=DIR="+r.dir+" "+r.script()), "./chaos", "-run=^TestNodes$", "-v")
	res.failed = res.failed || failed
	return res
}

// given is the address of an engine that somebody else has started.
func (r *run) given() string {
	return os.Getenv("SQLQUEUE_ENGINE_" + strings.ToUpper(strings.ReplaceAll(r.name, "-", "_")))
}

// script is the recipe as a command of sh, without what it is to do.
func (r *run) script() string { return "bash " + r.recipes + "/" + r.recipe }

func (r *run) command(ctx context.Context, what string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", r.script()+" "+what)
	cmd.Env = append(os.Environ(), "DIR="+r.dir)
	return cmd
}

// up starts the engine and returns the addresses of its nodes, or why it cannot be had.
func (r *run) up(ctx context.Context) (nodes []string, missing string, err error) {
	if address := r.given(); address != "" {
		return []string{address}, "", nil
	}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		return nil, "", err
	}
	var said bytes.Buffer
	cmd := r.command(ctx, "up")
	cmd.Stderr = &said
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	const cannot = 3
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == cannot {
		return nil, lines[len(lines)-1], nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: %s", err, said.String())
	}
	if nodes = strings.Fields(string(out)); len(nodes) == 0 {
		return nil, "", errors.New("the recipe has printed no address")
	}
	return nodes, "", nil
}

func (r *run) down(ctx context.Context) {
	if r.given() != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if out, err := r.command(ctx, "down").CombinedOutput(); err != nil {
		fmt.Printf("%s: down: %v: %s\n", r.name, err, out)
	}
}

// test runs go test, and returns what is to be said of it.
func (r *run) test(ctx context.Context, environment []string, args ...string) (says string, failed bool) {
	began := time.Now()
	fmt.Printf("%s: go test %s\n", r.name, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-timeout=30m"}, args...)...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the tests, and what they have started, end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	took := func() string { return " in " + time.Since(began).Round(time.Second).String() }
	if err := cmd.Run(); err != nil {
		return "FAILED" + took(), true
	}
	return "passed" + took(), false
}
