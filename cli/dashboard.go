package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/scrape"
	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func dashboardCommand(e *env) *cobra.Command {
	var listen string
	var config dashboard.Config
	cmd := &cobra.Command{
		Use:     "dashboard",
		Aliases: []string{"ui"},
		Short:   "Show queues, jobs, failures and workers in a browser",
		Long: "Show queues, jobs, failures and workers in a browser on this machine, and act on them, until Ctrl-C.\n\n" +
			"Only this machine can use it: no other machine, no proxy, and no name but localhost. For other users, mount the\n" +
			"dashboard in an application that has a login. It also serves /metrics for Prometheus, and /livez and /readyz for\n" +
			"probes.",
		Example: `  sqlqueue dashboard
  sqlqueue dashboard --read-only --name 'shop, production' --colour red
  sqlqueue ui --listen 127.0.0.1:9000`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLoopback(listen); err != nil {
				return err
			}
			return e.withQueue(cmd.Context(), func(q *sqlqueue.Queue) error {
				handler, err := dashboard.New(q, config)
				if err != nil {
					return exit.Usagef("%w", err)
				}
				watched, probes := http.NewServeMux(), scrape.LocalOnly(scrape.Page(q))
				watched.Handle("/", handler)
				for _, path := range []string{"/metrics", "/livez", "/readyz"} {
					watched.Handle(path, probes)
				}
				ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return serveDashboard(ctx, cmd, listen, watched)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "127.0.0.1:8080", "address of this machine to listen at; port 0 is a free one")
	flags.BoolVar(&config.ReadOnly, "read-only", false, "show everything, change nothing")
	flags.StringVar(&config.Name, "name", "", "name of this system, shown in the page's header")
	flags.StringVar(&config.Colour, "colour", "", "colour of the page's header: red, orange, green, blue, purple or grey")
	flags.StringVar(&config.TraceURL, "trace-url", "", "link jobs to their traces, such as https://tempo.example.com/trace/{trace}")
	return cmd
}

// checkLoopback refuses addresses that others could reach: there is no login.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return exit.Usagef("--listen %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return exit.Usagef("--listen %q: the dashboard has no login, so it listens at this machine's own addresses only: 127.0.0.1:8080",
			address)
	}
	return nil
}

// serveDashboard serves until ctx ends, and then finishes what is asked for a few seconds.
func serveDashboard(ctx context.Context, cmd *cobra.Command, address string, handler http.Handler) error {
	const patience = 5 * time.Second
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience, IdleTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "http://%s/\n", listener.Addr()); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	finish, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer stop()
	if err := server.Shutdown(finish); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}
