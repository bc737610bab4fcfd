package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// JSONFlag adds --json.
func JSONFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON, for programs")
}

// QueueNames is a flag that takes names of queues: see QueueFlag.
func QueueNames(value *[]string) pflag.Value { return queueNames{value: value, given: new(bool)} }

// queueNames is a flag that takes names of queues, with commas between them or given several times. Names are trimmed, and doubles
// dropped.
type queueNames struct {
	value *[]string
	one   bool // only one
	given *bool
}

func (q queueNames) String() string {
	if q.value == nil {
		return ""
	}
	return strings.Join(*q.value, ",")
}

func (q queueNames) Type() string {
	if q.one {
		return "name"
	}
	return "names"
}

func (q queueNames) Set(text string) error {
	if !*q.given {
		*q.value, *q.given = nil, true
	}
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if err := sqlqueue.CheckQueueName(name); err != nil {
			return err
		}
		if !slices.Contains(*q.value, name) {
			*q.value = append(*q.value, name)
		}
	}
	if q.one && len(*q.value) > 1 {
		return errors.New("give one queue only")
	}
	return nil
}

// QueueFlag adds --queue for any number of queues; what the variable has before is the default.
func QueueFlag(cmd *cobra.Command, queues *[]string, usage string) {
	cmd.Flags().Var(QueueNames(queues), "queue", usage)
}

// OneQueueFlag adds --queue for one queue. The function returns its name, or nothing.
func OneQueueFlag(cmd *cobra.Command, usage string) func() string {
	var queues []string
	cmd.Flags().Var(queueNames{value: &queues, one: true, given: new(bool)}, "queue", usage)
	return func() string { return strings.Join(queues, "") }
}

// NotEmpty refuses flags that were given without a text: a filter with an empty variable of a script would select everything.
func NotEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return exit.Usagef("--%s is empty: leave it out, or give a value", name)
		}
	}
	return nil
}

// parseTime reads an absolute time.
func parseTime(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: use 2006-01-02T15:04:05Z07:00, or 2006-01-02 15:04 in the local time zone", text)
}

// Moment is a flag that takes an absolute time.
func Moment(value *time.Time) pflag.Value { return moment{value} }

type moment struct{ value *time.Time }

func (m moment) String() string {
	if m.value == nil || m.value.IsZero() {
		return ""
	}
	return m.value.Format(time.RFC3339)
}

func (m moment) Type() string { return "time" }

func (m moment) Set(text string) (err error) {
	*m.value, err = parseTime(text)
	return err
}

// Priority is a flag that takes a job's priority.
func Priority(value *int) pflag.Value { return priorityValue{value} }

type priorityValue struct{ value *int }

func (p priorityValue) String() string {
	if p.value == nil {
		return ""
	}
	return strconv.Itoa(*p.value)
}

func (p priorityValue) Type() string { return "number" }

func (p priorityValue) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not a whole number from -32768 to 32767", text)
	}
	*p.value = int(n)
	return nil
}

// Counter is a flag that takes a number of at least least.
func Counter(value *int, least int) pflag.Value { return counterValue{value, least} }

type counterValue struct {
	value *int
	least int
}

func (c counterValue) String() string {
	if c.value == nil {
		return ""
	}
	return strconv.Itoa(*c.value)
}

func (c counterValue) Type() string { return "number" }

func (c counterValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", text)
	}
	if n < c.least {
		return fmt.Errorf("%d is too small: use %d or more", n, c.least)
	}
	*c.value = n
	return nil
}

// ParseIDs reads the ids of jobs. They may stand in several arguments, or with commas between them.
func ParseIDs(args []string) ([]int64, error) {
	var ids []int64
	for _, arg := range args {
		for text := range strings.SplitSeq(arg, ",") {
			id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil || id <= 0 {
				return nil, exit.Usagef("%q is not an id: ids are whole numbers from 1", text)
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}
