package pgqueue

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func TestOutcomeIsUnknownWhereNoAnswerCame(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		unknown bool
	}{
		"refused by the server":             {&pgconn.PgError{Code: "22P02"}, false},
		"rolled back":                       {&pgconn.PgError{Code: "40001"}, false},
		"not connected":                     {&pgconn.ConnectError{Config: &pgconn.Config{}}, false},
		"the connection was lost":           {io.ErrUnexpectedEOF, true},
		"the server is shutting down":       {&pgconn.PgError{Code: "57P01"}, true},
		"the caller gave up after sending":  {context.DeadlineExceeded, true},
		"the pooler lost its server":        {&pgconn.PgError{Code: "08P01"}, true},
		"a pooler's or a proxy's own error": {errors.New("broken pipe"), true},
		"closed while the answer was read":  {closedError{}, true},
		"not sent":                          {unsentError{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := outcome(test.err)
			if errors.Is(err, sqlqueue.ErrOutcomeUnknown) != test.unknown {
				t.Errorf("%v became %v, want it unknown: %v", test.err, err, test.unknown)
			}
			if !errors.Is(err, test.err) {
				t.Errorf("%v is not the driver's own error any more", err)
			}
		})
	}
	if err := outcome(nil); err != nil {
		t.Errorf("success became %v", err)
	}
}

// closedError is what pgx says of a connection that it has closed.
type closedError struct{ unsentError }

func (closedError) Unwrap() error { return pgconn.ErrConnClosed }

type unsentError struct{}

func (unsentError) Error() string     { return "not sent" }
func (unsentError) SafeToRetry() bool { return true }
