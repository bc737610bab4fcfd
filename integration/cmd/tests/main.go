// The tests command vets and tests the library, while a database server of each engine starts, then the integration module on them, and
// then the dashboard in a browser. It is what make test runs, in the repository's root:
//
//	tests [-race] [-gcflags FLAGS] [-count N] [-versions] [-run REGEXP] [unit] [integration] [browser]
//
// The race detector is for the library's own tests, and for all if they are run more than once, or on other versions. Tests on servers and
// in a browser take twice as much of the processor with it.
//
// It prints what go test prints of packages and of tests that fail, what it is doing meanwhile, and at the end a table of
// engines, the command that repeats each failure, and how many cases passed, failed and were skipped. It exits with 1 when one
// failed or an engine could not be had. Package servers documents the environment that it reads.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

// independent are tests of the integration package that have nothing to do with an engine's version.
const independent = `^(TestReadme.*|TestE3_.*|TestE9_.*|TestTLS|TestNoSecretIsShown|TestProcesses)$|/^sqlite$|/^with_a_prefix,_abroad$`

func main() {
	race := flag.Bool("race", false, "use the race detector")
	var flags []string
	flag.Func("gcflags", "of go test; may be repeated", func(value string) error {
		flags = append(flags, "-gcflags="+value)
		return nil
	})
	count := flag.Int("count", 1, "how often each test is run")
	versions := flag.Bool("versions", false, "of the integration package alone, what depends on a server's version")
	only := flag.String("run", "", "only tests that match, as of go test")
	flag.Parse()
	if *race {
		flags = append([]string{"-race"}, flags...)
	}
	once := *count == 1 && !*versions
	more := []string{"-count=" + strconv.Itoa(*count), "-timeout=1h"} // who waits ends it sooner
	parts := []*part{
		{
			name: "unit", dir: ".", module: "github.com/sqlqueue/sqlqueue",
			packages: []string{
				"./cli", "./worker", "./sqlqueue/sqlitequeue", "./dashboard", "./migrations", "./cli/internal/child", "./...",
			},
		},
		{
			name: "integration", dir: "integration", module: "github.com/sqlqueue/sqlqueue/integration", servers: true, plain: once,
			packages: []string{".", "./chaos/...", "./cmd/...", "./engines", "./internal/...", "./servers/..."},
		},
		{
			name: "browser", dir: "integration", module: "github.com/sqlqueue/sqlqueue/integration", servers: true, plain: once,
			packages: []string{"./browser"},
		},
		{
			name: "orms", dir: "examples/orms", module: "github.com/sqlqueue/sqlqueue/examples/orms", servers: true, plain: true,
			packages: []string{"./..."},
		},
	}
	if *versions {
		parts = parts[1:2]
		parts[0].packages = []string{"."}
		parts[0].more = []string{"-skip", independent}
	} else if flag.NArg() > 0 {
		parts = slices.DeleteFunc(parts, func(p *part) bool { return !slices.Contains(flag.Args(), p.name) })
	}
	for _, p := range parts {
		if !p.plain {
			p.flags = flags
		}
		p.more = append(p.more, more...)
		if *only != "" {
			p.more = append(p.more, "-run="+*only)
		}
		if p.servers { // the tests there mostly wait, for servers and processes
			p.more = append(p.more, "-p=2", "-parallel=4")
		}
	}
	if len(parts) == 0 {
		fmt.Fprintln(os.Stderr,
			"usage: tests [-race] [-gcflags FLAGS] [-count N] [-versions] [-run REGEXP] [unit] [integration] [browser] [orms]")
		os.Exit(2)
	}
	if !run(parts) {
		os.Exit(1)
	}
}

// run runs all parts, one after the other, and reports whether everything passed.
func run(parts []*part) bool {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r := newReport(os.Stdout)
	servers.Progress(r)
	beating, end := context.WithCancel(ctx)
	var heart sync.WaitGroup
	heart.Go(func() {
		for tick := time.Tick(quiet / 4); ; {
			select {
			case <-tick:
				r.beat()
			case <-beating.Done():
				return
			}
		}
	})

	var set *servers.Set // nil if no part needs servers
	start := sync.OnceValue(func() (err error) {
		set, err = servers.Start(ctx)
		return err
	})
	var wg sync.WaitGroup
	before := make(chan struct{}) // closed when the part before has ended: two at once would only slow each other down
	close(before)
	for _, p := range parts {
		first, ended := before, make(chan struct{})
		before = ended
		wg.Go(func() {
			defer close(ended)
			var variables []string
			if p.servers {
				if err := start(); err != nil {
					r.failed(p, "servers: "+err.Error(), in(p.dir, "go run ./cmd/servers -- true"))
					return
				}
				variables = set.Environ()
			}
			<-first
			if err := p.run(ctx, r, variables); err != nil {
				r.failed(p, err.Error(), "make "+p.name)
			}
		})
	}
	wg.Wait()
	end()
	heart.Wait()

	sqlite, err := servers.SQLite(context.WithoutCancel(ctx))
	engines := []servers.Engine{sqlite}
	if set != nil {
		engines = append(set.Engines(), sqlite)
		err = errors.Join(err, set.Stop())
	}
	if err != nil {
		r.failed(parts[0], err.Error(), "make test")
	}
	if ctx.Err() != nil {
		r.failed(parts[0], "interrupted", "make test")
	}
	r.summary(engines)
	return !slices.ContainsFunc(parts, func(p *part) bool { return !r.passed(p) })
}
