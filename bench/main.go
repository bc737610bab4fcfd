package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if name := os.Getenv(serveVariable); name != "" {
		if err := serveNamed(name); err != nil {
			log.Fatal(err)
		}
		return
	}
	var o options
	flag.StringVar(&o.engine, "engine", postgres, "postgres, mariadb or sqlite")
	flag.StringVar(&o.dsn, "dsn", "",
		"address of the server, postgres:// or mysql://user:password@host:port/db, of a user who may create databases; sqlite: "+
			"a directory (default: a private server, or a new directory)")
	flag.IntVar(&o.rounds, "rounds", 3, "how often everything is measured")
	flag.IntVar(&o.size.jobs, "jobs", 100_000, "jobs to drain")
	flag.Float64Var(&o.size.seconds, "seconds", 8, "length of mixed; latency takes half, enqueue a quarter of it")
	flag.DurationVar(&o.size.hold, "hold", time.Minute, "how long the snapshot is held open")
	flag.IntVar(&o.size.beside, "beside", 1_000_000, "rows of delayed and of failed jobs to drain beside, and five times the delayed")
	flag.BoolVar(&o.full, "full", false, "all workloads")
	flag.StringVar(&o.only, "workloads", "", "regular expression: these workloads only, also those of -full")
	flag.StringVar(&o.systems, "systems", "", "regular expression: these systems only")
	flag.StringVar(&o.json, "json", "", "also write every measurement to this file")
	flag.StringVar(&o.chart, "chart", "", "also write a chart to this file, in SVG")
	flag.StringVar(&o.from, "from", "", "measure nothing: report what -json has written to this file")
	flag.BoolVar(&o.operate, "operate", false, "measure what operators do instead, with so many -jobs and -beside failed jobs")
	flag.BoolVar(&o.groups, "groups", false, "measure limits, turns and batches instead; -workloads chooses among them")
	flag.BoolVar(&o.dashboard, "dashboard", false, "measure the pages of the dashboard instead, beside -rows jobs, each -rounds times")
	flag.IntVar(&o.rows, "rows", 20_000, "jobs beside which -dashboard measures; a fifth as many have failed")
	flag.StringVar(&profiles, "profiles", "", "write CPU and allocation profiles of sqlqueue's workers to this directory")
	flag.Parse()
	log.SetFlags(log.Ltime)

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := o.run(ctx); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	engine, dsn, only, systems string
	json, chart, from          string
	rounds                     int
	full, operate, groups      bool
	dashboard                  bool
	rows                       int
	size                       size
}

func (o *options) run(ctx context.Context) (err error) {
	if o.from != "" {
		text, err := os.ReadFile(o.from)
		if err != nil {
			return err
		}
		var r report
		if err := json.Unmarshal(text, &r); err != nil {
			return err
		}
		return o.write(r)
	}
	if o.dsn == "" && o.engine == sqlite {
		if o.dsn, err = os.MkdirTemp("", "sqlqueue-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dsn)) }()
	}
	if o.dsn == "" {
		if o.dsn = os.Getenv(addressVariable(o.engine)); o.dsn == "" {
			return underServers(ctx, o.engine)
		}
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	which, err := regexp.Compile(o.systems)
	if err != nil {
		return err
	}
	var chosen []workload
	for _, w := range workloads(o.engine, o.size) {
		if o.only != "" && only.MatchString(w.name) || o.only == "" && (o.full || !w.full) {
			chosen = append(chosen, w)
		}
	}
	var competitors []system
	for _, s := range systems() {
		if s.engine != o.engine || !which.MatchString(s.name) {
			continue
		}
		if s.command != nil {
			if _, err := os.Stat(s.command[0]); err != nil {
				log.Printf("%s is left out: npm install in bench/peers first", s.name)
				continue
			}
		}
		competitors = append(competitors, s)
	}
	logs, err := os.CreateTemp("", "sqlqueue-bench-*.log")
	if err != nil {
		return err
	}
	log.Printf("what the systems log: %s", logs.Name())
	h, err := openHost(o.engine, o.dsn, logs)
	if err != nil {
		return err
	}
	defer func() { _ = h.admin.Close() }()
	if o.groups {
		return groups(ctx, h, o.size, only.MatchString, os.Stdout)
	}
	if o.dashboard {
		return pages(ctx, h, o.rows, o.rounds, 2*time.Second, os.Stdout)
	}
	if o.operate {
		return operate(ctx, h, o.size, o.rounds, os.Stdout)
	}

	r := report{Engine: o.engine, Machine: describe(ctx, h.admin, o.engine), Rounds: o.rounds}
	r.Sections, err = measure(ctx, h, chosen, competitors, o.rounds)
	return errors.Join(err, o.write(r))
}

func (o *options) write(r report) error {
	r.markdown(os.Stdout)
	var errs []error
	if o.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		errs = append(errs, err, os.WriteFile(o.json, text, 0o644))
	}
	if o.chart != "" {
		var b bytes.Buffer
		r.chart(&b)
		errs = append(errs, os.WriteFile(o.chart, b.Bytes(), 0o644))
	}
	return errors.Join(errs...)
}

// measure runs the workloads, round by round, each time beginning with another system. Each workload is done by the systems that run
// at their defaults, or by the others. The error tells that a system has failed, which is also in its section.
func measure(ctx context.Context, h *host, chosen []workload, competitors []system, rounds int) ([]section, error) {
	chosen = slices.DeleteFunc(slices.Clone(chosen), func(w workload) bool {
		return !slices.ContainsFunc(competitors, w.suits)
	})
	sections := make([]section, len(chosen))
	rows := map[string]*measured{}
	var fit [][]system
	for i, w := range chosen {
		sections[i] = section{Workload: w.name, Title: w.title}
		var systems []system
		for _, s := range competitors {
			if w.suits(s) {
				systems = append(systems, s)
				m := &measured{System: s.name, Settings: s.settings}
				rows[w.name+"\x00"+s.name], sections[i].Systems = m, append(sections[i].Systems, m)
			}
		}
		fit = append(fit, systems)
	}
	var failed []error
	for round := range rounds {
		for i, w := range chosen {
			if w.once && round > 0 {
				continue
			}
			for k := range fit[i] {
				s := fit[i][(k+round)%len(fit[i])]
				m := rows[w.name+"\x00"+s.name]
				r, err := one(ctx, h, s, w)
				if ctx.Err() != nil {
					return sections, ctx.Err()
				}
				if err != nil {
					m.Error = err.Error()
					failed = append(failed, fmt.Errorf("%s: %s: %w", w.name, s.name, err))
					log.Print(failed[len(failed)-1])
					continue
				}
				m.Results = append(m.Results, r)
				log.Printf("round %d  %-18s %-26s %8.0f jobs/s  server %5.1f client %5.1f µs  p50 %.2f p95 %.2f ms",
					round+1, w.name, s.name, r.Rate, r.ServerCPU, r.ClientCPU, r.P50, r.P95)
			}
		}
	}
	return sections, errors.Join(failed...)
}

func one(ctx context.Context, h *host, s system, w workload) (r result, err error) {
	st, err := h.open(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, st.close(ctx)) }()
	return w.run(ctx, st)
}

func addressVariable(engine string) string { return "SQLQUEUE_TEST_" + strings.ToUpper(engine) }

// underServers runs this program again, under the command that starts private servers of the engines.
func underServers(ctx context.Context, engines ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	without := "mysql"
	for _, engine := range []string{postgres, mariadb} {
		if !slices.Contains(engines, engine) {
			without += "," + engine
		}
	}
	dir, err := os.MkdirTemp("", "sqlqueue-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// Not go run, which does not pass signals on.
	servers := filepath.Join(dir, "servers")
	build := exec.CommandContext(ctx, "go", "build", "-o", servers, "./cmd/servers")
	build.Dir, build.Stderr = filepath.Join(sourceDir(), "../integration"), os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, servers, append([]string{"--", self}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), "SQLQUEUE_TEST_WAY=local", "SQLQUEUE_TEST_WITHOUT="+without)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd.Run()
}

// profiles is the directory for profiles; empty for none.
var profiles string

const profileVariable = "SQLQUEUE_BENCH_PROFILE"

// profileVariables make a process write profiles.
func profileVariables(s system, what string) []string {
	if profiles == "" || s.command != nil {
		return nil
	}
	dir, _ := filepath.Abs(profiles)
	return []string{profileVariable + "=" + filepath.Join(dir, strings.ReplaceAll(s.name, "/", "-")+"-"+what)}
}

// serveNamed is the whole life of a process of a system.
func serveNamed(name string) error {
	s, ok := systemNamed(name)
	if !ok || s.open == nil {
		return fmt.Errorf("no system %q", name)
	}
	path := os.Getenv(profileVariable)
	if path == "" {
		return serve(s, os.Stdin, os.Stdout)
	}
	runtime.MemProfileRate = 16 << 10
	cpu, err := os.Create(path + "-cpu.prof")
	if err != nil {
		return err
	}
	defer func() { _ = cpu.Close() }()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	err = serve(s, os.Stdin, os.Stdout)
	pprof.StopCPUProfile()
	allocations, createError := os.Create(path + "-allocs.prof")
	if createError != nil {
		return errors.Join(err, createError)
	}
	return errors.Join(err, pprof.Lookup("allocs").WriteTo(allocations, 0), allocations.Close())
}
