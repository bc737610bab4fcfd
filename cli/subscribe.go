package cli

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const subscribeLong = `Post all jobs of a queue to a URL, whatever their names. NAME is the name of the subscription. ` +
	`Workers deliver the jobs:
work or listen, without --exec and --handlers.

The body is JSON:
  {"id": 1, "queue": "orders", "name": "send_invoice", "attempts": 1, "data": {"order_id": 42}}
It is signed as in Standard Webhooks. The headers are webhook-id, unique for each job and the same at every attempt; webhook-timestamp, in
seconds; and webhook-signature: v1, a comma, and the base64 of the HMAC-SHA256 of "id.timestamp.body". The key is the base64 after whsec_.

The status of the response decides what happens to the job:
  2xx       done: the job is deleted
  410       fail for good: the job moves to the failed jobs
  429, 503  with Retry-After, in seconds or as a date, up to an hour: the queue pauses for that time, or for the job's backoff if that is
            longer, and the try does not count
  any other status, a redirect, or no response within the job's timeout: an error, as in work

A new subscription gets a secret, which is printed only once. An existing one gets the new URL, and keeps its secret and, without QUEUE,
its queue.`

func subscribeCommand(e *env) *cobra.Command {
	s := &subscribing{env: e}
	cmd := &cobra.Command{
		Use:   "subscribe NAME URL [QUEUE]",
		Short: "Post the jobs of a queue to a URL",
		Long:  subscribeLong,
		Example: `  sqlqueue subscribe shop https://example.com/jobs orders
  sqlqueue subscribe shop https://example.com/jobs --new-secret --json | jq -r .secret
  sqlqueue subscribe shop https://example.com/jobs --secret-file secret.txt`,
		Args: between(2, 3, "NAME", "URL"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&s.secretFile, "secret-file", "", "sign with the secret in this file (whsec_ and base64); - is standard input")
	flags.BoolVar(&s.newSecret, "new-secret", false, "sign with a new secret, which replaces the old one")
	flags.BoolVar(&s.noSecret, "no-secret", false, "do not sign")
	settings.JSONFlag(cmd, &s.asJSON)
	return cmd
}

// subscribing is one run of subscribe.
type subscribing struct {
	*env
	secretFile          string
	newSecret, noSecret bool
	asJSON              bool
}

func (s *subscribing) run(cmd *cobra.Command, args []string) error {
	if (s.secretFile != "" && (s.newSecret || s.noSecret)) || s.newSecret && s.noSecret {
		return exit.Usagef("give one of --secret-file, --new-secret and --no-secret")
	}
	to := operator.Subscription{Name: args[0], URL: args[1], Queue: s.settings.Queue}
	if _, err := deliver.ParseURL(to.URL); err != nil {
		return exit.Usagef("the URL: %w", err)
	}
	given, err := s.readSecret(cmd)
	if err != nil {
		return err
	}
	return s.withOperator(cmd.Context(), func(o *operator.Operator) error {
		before, err := o.Subscription(cmd.Context(), to.Name)
		isNew := errors.Is(err, operator.ErrNoSubscription)
		switch {
		case isNew:
		case err != nil:
			return err
		default:
			to.Queue, to.Secret = before.Queue, before.Secret
		}
		if len(args) == 3 {
			to.Queue = args[2]
		}
		tell := "" // a secret that nobody knows yet
		switch {
		case s.noSecret:
			to.Secret = ""
		case given != nil:
			to.Secret = given.Text()
		case s.newSecret, isNew:
			tell = deliver.NewSecret().Text()
			to.Secret = tell
		}
		if err := o.Subscribe(cmd.Context(), to); err != nil {
			return err
		}
		return s.print(cmd.OutOrStdout(), to, tell)
	})
}

// readSecret returns what the file has, or nil without one.
func (s *subscribing) readSecret(cmd *cobra.Command) (*deliver.Secret, error) {
	if s.secretFile == "" {
		return nil, nil
	}
	const most = 4 << 10
	from := cmd.InOrStdin()
	if s.secretFile != "-" {
		file, err := os.Open(s.secretFile)
		if err != nil {
			return nil, exit.Usagef("--secret-file: %w", err)
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil && info.Mode()&settings.OtherRead != 0 {
			settings.WarnOfReaders(cmd, s.secretFile)
		}
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, most))
	if err != nil {
		return nil, exit.Usagef("--secret-file: %w", err)
	}
	secret, err := deliver.ParseSecret(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, exit.Usagef("--secret-file: %w", err)
	}
	return secret, nil
}

func (s *subscribing) print(w io.Writer, to operator.Subscription, secret string) error {
	if s.asJSON {
		return term.WriteJSON(w, struct {
			Name   string `json:"name"`
			Queue  string `json:"queue"`
			URL    string `json:"url"`
			Secret string `json:"secret,omitempty"`
		}{to.Name, to.Queue, redactURL(to.URL), secret})
	}
	lines := []string{fmt.Sprintf("%s: jobs of %s go to %s", to.Name, to.Queue, redactURL(to.URL))}
	switch {
	case secret != "":
		lines = append(lines, "the secret, which is not shown again: "+secret)
	case to.Secret == "":
		lines = append(lines, "they are not signed")
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, term.Printable(line)); err != nil {
			return err
		}
	}
	return nil
}

// redactURL writes a URL without its credentials.
func redactURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "not a URL"
	}
	return deliver.Redact(u)
}

func subscriptionsCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "subscriptions",
		Short: "List the subscriptions: which queue's jobs are posted where",
		Long:  "List the subscriptions by name. Only the host of a URL is shown, and the first part of the path if it is a word.",
		Example: `  sqlqueue subscriptions
  sqlqueue subscriptions --json | jq -r '.[].url'`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				all, err := o.Subscriptions(cmd.Context())
				if err != nil {
					return err
				}
				for i := range all {
					all[i].URL = redactURL(all[i].URL)
				}
				if asJSON {
					return term.WriteArray(cmd.OutOrStdout(), all)
				}
				return subscriptionTable(all, time.Now()).Print(cmd.OutOrStdout())
			})
		},
	}
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

func subscriptionTable(all []operator.Subscription, now time.Time) *term.Grid {
	t := term.NewGrid(term.Text("NAME", 40), term.Text("QUEUE", 40), term.Text("URL", 80), term.Spare(term.Word("CREATED")))
	for _, s := range all {
		t.Add(s.Name, s.Queue, s.URL, term.Ago(s.CreatedAt, now))
	}
	return t
}

func unsubscribeCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "unsubscribe NAME...",
		Short:   "Remove subscriptions; their queues' jobs stay",
		Long:    "Remove subscriptions by name. The jobs of their queues stay, and new ones can be pushed.",
		Example: "  sqlqueue unsubscribe shop",
		Args:    between(1, -1, "NAME"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				var errs []error
				for _, name := range names {
					err := o.Unsubscribe(cmd.Context(), name)
					if err == nil {
						_, err = fmt.Fprintln(cmd.OutOrStdout(), term.Printable("unsubscribed "+name))
					}
					errs = append(errs, err)
				}
				return errors.Join(errs...)
			})
		},
	}
}
