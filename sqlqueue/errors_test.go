package sqlqueue_test

import (
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

func TestDuplicateError(t *testing.T) {
	all := []sqlqueue.Duplicate{
		{Queue: "mail", Key: "a", Holder: 1},
		{Queue: "mail", Key: `b"c`, Holder: 2},
		{Queue: "sms", Key: "d", Holder: 3},
		{Queue: "sms", Key: "e", Holder: 4},
		{Queue: "sms", Key: "f"},
	}
	for n, want := range map[int]string{
		1: `unique key "a" of queue "mail" is held by job 1`,
		2: `unique key "a" of queue "mail" is held by job 1; unique key "b\"c" of queue "mail" is held by job 2`,
		5: `unique key "a" of queue "mail" is held by job 1; unique key "b\"c" of queue "mail" is held by job 2; ` +
			`unique key "d" of queue "sms" is held by job 3; and 2 more`,
	} {
		if got := (&sqlqueue.DuplicateError{Duplicates: all[:n]}).Error(); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestSchemaError(t *testing.T) {
	for err, want := range map[sqlqueue.SchemaError]string{
		{Have: 3, Need: 2}: "use a newer sqlqueue",
		{Have: 1, Need: 2}: "run sqlqueue migrate up",
	} {
		if got := err.Error(); !strings.Contains(got, want) || !strings.Contains(got, "version 2") {
			t.Errorf("%+v says %q, want %q", err, got, want)
		}
	}
}

func TestOutcomeString(t *testing.T) {
	for outcome, want := range map[driver.Outcome]string{
		driver.Delete: "delete", driver.Release: "release", driver.Fail: "fail", 7: "unknown outcome",
	} {
		if got := outcome.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
