// Package scrape serves what watches over a process: /metrics for Prometheus, and /livez and /readyz for probes.
package scrape

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sqlqueue/sqlqueue/promqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

const (
	patience   = 5 * time.Second // how long a client may take to ask, and the database to answer a probe
	mostAtOnce = 4               // scrapes
)

// ParseAddress returns the address to listen at. Without a host it is one that other machines do not reach.
func ParseAddress(text string) (string, error) {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		text = ":" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("%.80q is not an address: use a port, such as 9464, or a host and a port, such as 0.0.0.0:9464", text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// Registry returns a registry with what the queue's database holds, and with this process's memory, goroutines and the like.
func Registry(q *sqlqueue.Queue) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	registry.MustRegister(promqueue.Collector(q), collectors.NewGoCollector(), process)
	return registry
}

// Worker returns the handler of a worker's process, and has the worker of the config be measured.
func Worker(q *sqlqueue.Queue, config *worker.Config) http.Handler {
	registry := Registry(q)
	promqueue.Worker(registry).Install(config)
	if config.Health == nil {
		config.Health = &worker.Health{}
	}
	return mux(registry, config.Health.Live(), config.Health.Ready())
}

// Page returns the handler of a process without a worker, which is live as long as it answers, and ready when the database does.
func Page(q *sqlqueue.Queue) http.Handler {
	live := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	ready := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := context.WithTimeout(r.Context(), patience)
		defer stop()
		if err := q.Check(ctx); err != nil {
			err = errors.New("the database does not answer, or its tables are not those of this version") // the error may name hosts
			answer(w, err)
			return
		}
		answer(w, nil)
	})
	return mux(Registry(q), live, ready)
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	text := `{"ok":true}`
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = fmt.Sprintf(`{"ok":false,"reason":%q}`, err)
	}
	_, _ = fmt.Fprintln(w, text) // the client has gone
}

func mux(registry *prometheus.Registry, live, ready http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: mostAtOnce}))
	mux.Handle("GET /livez", live)
	mux.Handle("GET /readyz", ready)
	return mux
}

// LocalOnly serves requests whose Host is a name of this machine's own addresses: others come from pages of other sites.
func LocalOnly(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "ask localhost or 127.0.0.1", http.StatusForbidden)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// Serve listens at the address until stop is called, and returns the address with its port.
func Serve(ctx context.Context, address string, handler http.Handler) (at string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience, IdleTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return listener.Addr().String(), func() { _ = server.Close() }, nil
}
