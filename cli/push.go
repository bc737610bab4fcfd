package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const pushLong = `DATA is a JSON value: an argument, @FILE, or - for standard input. Default {}.

With --queue a,b the job goes to each queue, in one transaction. With --unique, nothing is pushed while a job of the queue has the
key: the command prints that job's id, says so on standard error, and exits 0, because a duplicate is not an error. --unique-by makes
the key from the job's name and members of its data.

A job has its key until it is done, or with --until started until a worker reserves it. --replace gives the waiting job with that key
the new data, priority and time. --debounce 5s does the same, and delays the job until there was no such push for 5 s; --max limits
that delay. --once 1h holds the key for an hour, even if the job is done earlier.`

func pushCommand(e *env) *cobra.Command {
	push := &pushing{env: e}
	cmd := &cobra.Command{
		Use:   "push NAME [DATA]",
		Short: "Push a job and print its id",
		Long:  "Push a job for the handler NAME and print its id.\n\n" + pushLong,
		Example: `  sqlqueue push send_invoice '{"order_id":42}'
  sqlqueue push send_invoice @order.json --queue mail --priority -5 --tries 3 --backoff 1,5,10
  jq -c .order <request.json | sqlqueue push send_invoice - --unique order-42
  sqlqueue push reindex '{"shop":7}' --unique-by shop --debounce 5s --max 1m
  sqlqueue push daily_report --unique daily_report --once 20h
  sqlqueue push warm_cache --at '2030-01-01 06:00'
  sqlqueue push ping --count 1000 --json`,
		Args: between(1, 2, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return push.run(cmd, args)
		},
	}
	push.flags(cmd)
	cmd.Flags().Var(settings.Duration(&push.delay, nil), "delay", "how long the job waits before it is available; negative counts as 0")
	cmd.Flags().Var(settings.Moment(&push.at), "at",
		"when the job is available, such as 2030-01-01T06:00:00Z or '2030-01-01 06:00' (local time)")
	return cmd
}

// pushing is one run of push or later.
type pushing struct {
	*env
	queues   []string
	delay    time.Duration
	at       time.Time
	priority int
	tries    int
	timeout  time.Duration
	backoff  []time.Duration
	unique   string
	keys     uniqueFlags

	maxExceptions int
	retryUntil    time.Time
	keep          time.Duration

	then, catch string // a job, or a list of jobs, as in a payload

	count  int
	asJSON bool
}

// flags adds the flags that push and later have in common.
func (p *pushing) flags(cmd *cobra.Command) {
	p.queues = []string{p.settings.Queue}
	p.count = 1
	settings.QueueFlag(cmd, &p.queues, "queue, or several with commas between them (environment: SQLQUEUE_QUEUE)")
	flags := cmd.Flags()
	flags.Var(settings.Priority(&p.priority), "priority", "-32768 to 32767; smaller runs first (default 0)")
	flags.Var(settings.Counter(&p.tries, 0), "tries", "how often the handler runs at most, 0 for no limit (default: the worker's)")
	flags.Var(settings.Duration(&p.timeout, settings.NotNegative), "timeout",
		"how long the handler may run, 0 for no limit (default: the worker's)")
	flags.Var(settings.DurationList(&p.backoff), "backoff",
		"waits after the 1st, 2nd, … error, such as 1,5,10; the last repeats (default: the worker's)")
	flags.Var(settings.Counter(&p.maxExceptions, 0), "max-exceptions",
		"after how many errors the job fails, however many tries it has left, 0 for no limit")
	flags.Var(settings.Moment(&p.retryUntil), "retry-until", "when the job fails instead of running again")
	flags.Var(settings.Duration(&p.keep, settings.NotNegative), "keep",
		"how long the job is kept with its result when it is done, 0 for not at all (default: see keep)")
	flags.StringVar(&p.unique, "unique", "", "key of which there is at most one job in the queue")
	p.keys.add(flags)
	flags.StringVar(&p.then, "then", "", "job to push when this one is done, or a list of jobs: JSON as in a payload, @FILE, or -")
	flags.StringVar(&p.catch, "catch", "", "job to push when this one has failed for good, in the same form")
	flags.Var(settings.Counter(&p.count, 1), "count", "push the job this many times")
	settings.JSONFlag(cmd, &p.asJSON)
	for _, name := range []string{"tries", "timeout", "max-exceptions", "keep"} {
		flags.Lookup(name).DefValue = "" // the default is not the zero
	}
}

// run pushes the job of the arguments.
func (p *pushing) run(cmd *cobra.Command, args []string) error {
	changed := cmd.Flags().Changed
	if (changed("unique") || changed("unique-by")) && p.count > 1 {
		return exit.Usagef("--count %d with --unique makes no sense: only one of the jobs could have the key", p.count)
	}
	unique, err := p.keys.options(cmd.Flags())
	if err != nil {
		return err
	}
	if changed("delay") && changed("at") {
		return exit.Usagef("give --delay or --at, not both")
	}
	data := json.RawMessage("{}")
	if len(args) == 2 {
		var err error
		if data, err = settings.ReadData(args[1], cmd.InOrStdin()); err != nil {
			return err
		}
	}
	if args[0] == "" {
		return exit.Usagef("the job's name is empty: it finds the handler")
	}
	options := append(unique, sqlqueue.OnQueue(p.queues...), sqlqueue.Priority(p.priority))
	if p.at.IsZero() {
		options = append(options, sqlqueue.Delay(p.delay))
	} else {
		options = append(options, sqlqueue.At(p.at))
	}
	if changed("tries") {
		options = append(options, sqlqueue.Tries(p.tries))
	}
	if changed("timeout") {
		options = append(options, sqlqueue.Timeout(p.timeout))
	}
	if changed("backoff") {
		options = append(options, sqlqueue.BackoffList(p.backoff...))
	}
	if changed("max-exceptions") {
		options = append(options, sqlqueue.MaxExceptions(p.maxExceptions))
	}
	if changed("keep") {
		options = append(options, sqlqueue.Keep(p.keep))
	}
	if changed("retry-until") {
		options = append(options, sqlqueue.RetryUntil(p.retryUntil))
	}
	if changed("unique") {
		options = append(options, sqlqueue.Unique(p.unique))
	}
	for _, of := range []struct {
		flag, text string
		option     func(...sqlqueue.Pushable) sqlqueue.PushOption
	}{{"then", p.then, sqlqueue.Then}, {"catch", p.catch, sqlqueue.Catch}} {
		if !changed(of.flag) {
			continue
		}
		text, err := settings.ReadData(of.text, cmd.InOrStdin())
		if err != nil {
			return fmt.Errorf("--%s: %w", of.flag, err)
		}
		next, err := sqlqueue.ParseNext(text)
		if err != nil {
			return exit.Usagef("--%s: %w", of.flag, err)
		}
		for _, job := range next {
			options = append(options, of.option(job))
		}
	}
	return p.withOperator(cmd.Context(), func(o *operator.Operator) error {
		ids, err := p.push(cmd, o.Queue(), sqlqueue.Named(args[0], data), options)
		var duplicate *sqlqueue.DuplicateError
		if errors.As(err, &duplicate) {
			for _, d := range duplicate.Duplicates {
				if d.Holder == 0 {
					return fmt.Errorf("unique key %q of queue %q was held by a job that has ended meanwhile: push again", d.Key, d.Queue)
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: unique key %q of queue %q is held by job %d: nothing pushed there\n",
					cmd.Root().Name(), d.Key, d.Queue, d.Holder)
			}
			err = nil
		}
		if printError := p.print(cmd, ids, duplicate != nil); printError != nil {
			return printError
		}
		if err != nil && len(ids) > 0 {
			return fmt.Errorf("after %s: %w", term.Count(len(ids), "job"), err)
		}
		return err
	})
}

// push makes as many jobs as asked for, at most a thousand rows at a time, and returns the ids of what is there, also with an error.
func (p *pushing) push(cmd *cobra.Command, q *sqlqueue.Queue, job sqlqueue.Pushable, options []sqlqueue.PushOption) ([]int64, error) {
	const most = 1000
	var ids []int64
	batch := max(1, most/len(p.queues))
	_, err := inBatches(cmd, "pushed", "job", term.Count(p.count*len(p.queues), "job"), func(
		ctx context.Context, progress func(int),
	) (int, error) {
		for left := p.count; left > 0; left -= batch {
			jobs := make([]sqlqueue.Pushable, min(left, batch))
			for i := range jobs {
				jobs[i] = job
			}
			pushed, err := q.PushMany(ctx, jobs, options...)
			ids = append(ids, pushed...)
			progress(len(ids))
			if err != nil {
				return len(ids), err
			}
		}
		return len(ids), nil
	})
	return ids, err
}

func (p *pushing) print(cmd *cobra.Command, ids []int64, duplicate bool) error {
	w := cmd.OutOrStdout()
	if !p.asJSON {
		for _, id := range ids {
			if _, err := fmt.Fprintln(w, id); err != nil {
				return err
			}
		}
		return nil
	}
	switch {
	case len(ids) == 0:
		return nil
	case cmd.Flags().Changed("count") || len(p.queues) > 1:
		return term.WriteJSON(w, struct {
			IDs []int64 `json:"ids"`
		}{ids})
	}
	return term.WriteJSON(w, struct {
		ID        int64 `json:"id"`
		Duplicate bool  `json:"duplicate,omitzero"`
	}{ids[0], duplicate})
}
