package worker

import (
	"errors"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// fault says what is to be done about an error of the store.
type fault int

const (
	away    fault = iota // the database does not answer, or not now: waiting helps
	refused              // it answers, and refuses for good: waiting does not help
	bug                  // sqlqueue or the driver is at fault
)

func faultOf(err error) fault {
	var refusal *sqlqueue.RefusedError
	var schema *sqlqueue.SchemaError
	var panicked *PanicError
	switch {
	case errors.As(err, &refusal), errors.As(err, &schema),
		errors.Is(err, sqlqueue.ErrNotMigrated), errors.Is(err, sqlqueue.ErrUnsupportedServer):
		return refused
	case errors.As(err, &panicked):
		return bug
	}
	return away
}
