package servers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"time"
)

const attachTimeout = 15 * time.Second

// progress tells what takes long and what was decided.
var progress = log.New(os.Stderr, "servers: ", 0)

// Progress has this package tell w what takes long and what was decided, a line at a time, instead of standard error.
func Progress(w io.Writer) { progress.SetOutput(w) }

// A Set is a server or more of each engine.
type Set struct {
	outcomes []outcome
}

// An outcome is what became of one engine: servers, or the reason why it is not run, or an error.
type outcome struct {
	engine  engine
	servers []*Server
	notRun  string
	err     error
}

// Start gets the servers that the environment asks for, as the package's documentation describes. The Set is never nil; with an
// error it holds no running server, but its Summary tells what failed.
func Start(ctx context.Context) (*Set, error) {
	want, err := readSettings(os.Getenv)
	if err != nil {
		return &Set{}, err
	}
	set := &Set{outcomes: make([]outcome, len(engines))}
	var wg sync.WaitGroup
	for i, e := range engines {
		wg.Go(func() { set.outcomes[i] = get(ctx, e, want, ways) })
	}
	wg.Wait()

	var failed []error
	for _, o := range set.outcomes {
		if o.err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", o.engine.name, o.err))
		}
	}
	if failed != nil {
		failed = append(failed, set.Stop())
	}
	return set, errors.Join(failed...)
}

// A way of getting servers of an engine. It gives at least one, or an error.
type way struct {
	name  string
	start func(context.Context, engine, settings) ([]*Server, error)
}

// ways in the order in which they are tried.
var ways = []way{
	{wayEnvironment, attach},
	{wayContainers, startContainers},
	{wayLocal, startLocal},
}

// get gets the servers of one engine in the first way that gives them.
func get(ctx context.Context, e engine, want settings, ways []way) outcome {
	if want.without[e.name] {
		return outcome{engine: e, notRun: "switched off by " + withoutVariable}
	}
	var reasons []error
	optional := e.optional
	for _, way := range ways {
		if want.way != wayAuto && want.way != way.name {
			continue
		}
		began := time.Now()
		servers, err := way.start(ctx, e, want)
		if err == nil {
			for _, s := range servers {
				if os.Getenv(providedVariable) == "" {
					progress.Printf("%s is ready after %.1fs: %s", s, time.Since(began).Seconds(), s.Way)
				}
			}
			return outcome{engine: e, servers: servers}
		}
		reasons = append(reasons, err)
		if want.named(e, way.name) {
			optional = false
			break
		}
		optional = optional && isNotHere(err)
		if way.name == wayContainers && want.way == wayAuto {
			progress.Printf("%s: not in a container: %s", e.name, oneLine(err))
		}
	}
	err := errors.Join(reasons...)
	if optional {
		return outcome{engine: e, notRun: oneLine(err)}
	}
	return outcome{engine: e, err: err}
}

// attach takes servers that run already.
func attach(ctx context.Context, e engine, want settings) ([]*Server, error) {
	if want.addresses[e.name] == nil {
		return nil, notHere("%s is not set", e.variable)
	}
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	return startAll(want.addresses[e.name], func(address string) (*Server, error) {
		u, err := parseAddress(e, address)
		if err != nil {
			return nil, err
		}
		s, err := connect(ctx, e, u, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.variable, err)
		}
		s.Way = wayEnvironment + " " + e.variable
		return s, nil
	})
}

// startAll starts a server from each source, at the same time. It gives all of them or none.
func startAll(sources []string, start func(source string) (*Server, error)) ([]*Server, error) {
	servers := make([]*Server, len(sources))
	failed := make([]error, len(sources))
	var wg sync.WaitGroup
	for i, source := range sources {
		wg.Go(func() { servers[i], failed[i] = start(source) })
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, errors.Join(err, stopAll(servers))
	}
	return servers, nil
}

// Stop stops the servers that were started for the set.
func (set *Set) Stop() error {
	var all []*Server
	for i := range set.outcomes {
		all = append(all, set.outcomes[i].servers...)
	}
	return stopAll(all)
}

// stopAll stops the servers that are not nil.
func stopAll(servers []*Server) error {
	failed := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		if s == nil || s.stop == nil {
			continue
		}
		wg.Go(func() {
			if err := s.stop(); err != nil {
				failed[i] = fmt.Errorf("stop %s: %w", s, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

// Environ is the set as environment variables ("key=value"), for processes that shall use its servers and no others.
func (set *Set) Environ() []string {
	var variables, without []string
	for _, o := range set.outcomes {
		var addresses []string
		for _, s := range o.servers {
			addresses = append(addresses, s.address.String())
		}
		variables = append(variables, o.engine.variable+"="+strings.Join(addresses, ","))
		if addresses == nil {
			without = append(without, o.engine.name)
		}
	}
	return append(variables,
		wayVariable+"="+wayEnvironment,
		withoutVariable+"="+strings.Join(without, ","),
		providedVariable+"=1",
	)
}

// An Engine is a server of a Set, or what became of an engine without one.
type Engine struct {
	Name    string
	Version string // empty without a server
	Way     string // how it was had, or why it is not run, for people
}

// Engines lists the set: each server, and each engine without one.
func (set *Set) Engines() []Engine {
	var engines []Engine
	for _, o := range set.outcomes {
		for _, s := range o.servers {
			engines = append(engines, Engine{s.Engine, s.Version, s.Way})
		}
		if o.notRun != "" {
			engines = append(engines, Engine{Name: o.engine.name, Way: "not run: " + o.notRun})
		}
		if o.err != nil {
			engines = append(engines, Engine{Name: o.engine.name, Way: "FAILED"})
		}
	}
	return engines
}

// Summary writes a line for each of the set's engines: engine, version and way, separated by tabs.
func (set *Set) Summary(w io.Writer) error {
	var failed error
	for _, e := range set.Engines() {
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name, cmp.Or(e.Version, "-"), e.Way)
		failed = errors.Join(failed, err)
	}
	return failed
}

// A notHereError says that a way cannot be gone on this machine, as opposed to one that was tried and failed.
type notHereError struct{ reason string }

func (e *notHereError) Error() string { return e.reason }

func notHere(format string, args ...any) error { return &notHereError{fmt.Sprintf(format, args...)} }

func isNotHere(err error) bool {
	var e *notHereError
	return errors.As(err, &e)
}

func oneLine(err error) string {
	return strings.Join(strings.Split(strings.TrimSpace(err.Error()), "\n"), "; ")
}
