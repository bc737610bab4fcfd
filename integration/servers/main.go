package servers

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
)

// shared gives the servers of this process, starting them at the first call. Main sets it.
var shared func() (*Set, error)

// Main runs the tests of a package, stops the servers that they started, lists them, cleans up, and exits. It is all that a TestMain does.
func Main(m *testing.M, cleanup ...func() error) {
	if err := cleanEnvironment(); err != nil {
		progress.Print(err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var started atomic.Bool
	shared = sync.OnceValues(func() (*Set, error) {
		started.Store(true)
		return Start(ctx)
	})

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		if set, _ := shared(); set.Stop() != nil {
			progress.Print("not every server could be stopped")
		}
		os.Exit(1)
	}()

	code := m.Run()
	for _, clean := range cleanup {
		if err := clean(); err != nil {
			progress.Print(err)
			code = max(code, 1)
		}
	}
	if started.Load() {
		set, _ := shared() // its error was reported by each test that needed a server
		if err := set.Stop(); err != nil {
			progress.Print(err)
			code = max(code, 1)
		}
		if os.Getenv(providedVariable) == "" {
			table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			if err := errors.Join(set.Summary(table), table.Flush()); err != nil {
				code = max(code, 1)
			}
		}
	}
	os.Exit(code)
}

// All returns the servers to test on, in the order PostgreSQL, MariaDB, MySQL. An engine that could not be had fails tb.
// Servers are shared by the tests of the package.
func All(tb testing.TB) []*Server {
	tb.Helper()
	var servers []*Server
	for _, o := range outcomes(tb) {
		servers = append(servers, o.servers...)
	}
	return servers
}

// Each runs test on each server, as a subtest named after engine and version, on all servers at once. An engine that is not run is a
// skipped subtest with the reason; one that could not be had fails t.
func Each(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	for _, o := range outcomes(t) {
		if o.notRun != "" {
			t.Run(o.engine.name, func(t *testing.T) { t.Skip("not run: " + o.notRun) })
		}
		for _, s := range o.servers {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	}
}

func outcomes(tb testing.TB) []outcome {
	tb.Helper()
	if shared == nil {
		tb.Fatal("the package's TestMain must call servers.Main")
	}
	set, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return set.outcomes
}
