package pgqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
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
		"ambiguous, as CockroachDB says":    {&pgconn.PgError{Code: "40003"}, true},
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

// TestTransient: what the database has rolled back because of others is repeated, and nothing that may have been committed.
func TestTransient(t *testing.T) {
	for code, want := range map[string]bool{
		"40001": true, // serialization_failure; restart transaction of CockroachDB and YugabyteDB
		"40P01": true, // deadlock_detected; also Citus' distributed one
		"40003": false,
		"25006": false, "26000": false, "42P05": false, "53300": false,
		"57P01": false, "08006": false, "23505": false, "XX000": false, "": false,
	} {
		err := fmt.Errorf("x: %w", &pgconn.PgError{Code: code})
		if transient(err) != want {
			t.Errorf("%q: want transient %v", code, want)
		}
		if transient(err) && errors.Is(outcome(err), sqlqueue.ErrOutcomeUnknown) {
			t.Errorf("%q: what may have been committed would be repeated", code)
		}
	}
}

// TestUnavailable: errors tell apart a server that is starting, a pooler without its server, a proxy without its server, and a pooler that
// the statements do not fit.
func TestUnavailable(t *testing.T) {
	for _, c := range []struct {
		err     error
		why     string
		refused bool
	}{
		{&pgconn.PgError{Code: "57P03", Message: "the database system is starting up"}, "the server is starting", false},
		{&pgconn.PgError{Code: "08P01", Message: "server conn crashed?"}, "a pooler answers", false},
		{&pgconn.PgError{Code: "08P01", Message: "query_wait_timeout"}, "a pooler answers", false},
		{
			&pgconn.PgError{Code: "08P01", Message: "bind message supplies 3 parameters, but prepared statement requires 1"},
			"exec mode", true,
		},
		{&pgconn.PgError{Code: "26000", Message: "prepared statement does not exist"}, "exec mode", true},
		{&pgconn.PgError{Code: "42P05", Message: "prepared statement already exists"}, "exec mode", true},
		{&pgconn.PgError{Code: "40001"}, "", false},
		{io.ErrUnexpectedEOF, "", false},
	} {
		once := translate(c.err)
		var refused *sqlqueue.RefusedError
		if !errors.Is(once, c.err) || !strings.Contains(once.Error(), c.why) || errors.As(once, &refused) != c.refused {
			t.Errorf("%v became %v, want %q", c.err, once, c.why)
		}
		if twice := translate(once); twice.Error() != once.Error() {
			t.Errorf("%v became %v", once, twice)
		}
	}
}

// TestProxyWithoutServer: who accepts a connection and closes it, as HAProxy does, is not told as a server, whether it has read what the
// client said or not, which is a reset then.
func TestProxyWithoutServer(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var reset atomic.Bool
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1000))
			if reset.Load() {
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			_ = conn.Close()
		}
	}()
	for _, how := range []bool{false, true} {
		reset.Store(how)
		_, err = pgconn.Connect(t.Context(), "postgres://"+listener.Addr().String()+"/x?sslmode=disable")
		if err == nil || !strings.Contains(translate(err).Error(), "closed at once") {
			t.Errorf("reset %v: got %v", how, translate(err))
		}
	}
}

// closedError is what pgx says of a connection that it has closed.
type closedError struct{ unsentError }

func (closedError) Unwrap() error { return pgconn.ErrConnClosed }

type unsentError struct{}

func (unsentError) Error() string     { return "not sent" }
func (unsentError) SafeToRetry() bool { return true }
