package sqlqueue_test

import (
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func TestCheckQueueName(t *testing.T) {
	for _, good := range []string{"a", "default", "with space", "a.b-c_d/e:f", "日本語", "🎉", "'; DROP", strings.Repeat("🎉", 191), "\u0080x"} {
		if err := sqlqueue.CheckQueueName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for name, want := range map[string]string{
		"":                       "the queue is empty",
		strings.Repeat("é", 192): "has 192 characters",
		"a,b":                    "has a comma",
		" a":                     "space at an end",
		"a ":                     "space at an end",
		"a\t":                    "space at an end",
		"a\u00a0":                "space at an end",
		"a\x00b":                 "control characters",
		"a\nb":                   "control characters",
		"a\x7fb":                 "control characters",
		"a\xffb":                 "not valid UTF-8",
	} {
		err := sqlqueue.CheckQueueName(name)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "191 characters") {
			t.Errorf("%.20q: got %v, want %q and the rule", name, err, want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.20q: the error has %d bytes", name, len(err.Error()))
		}
	}
}

func TestCheckSchemaName(t *testing.T) {
	for _, good := range []string{"", "a", "App2_", "_", "9", "pg", strings.Repeat("a", 63)} {
		if err := sqlqueue.CheckSchemaName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"a-b", "a.b", "a b", `a"b`, "a'b", "é", "a\n", "a%s", strings.Repeat("a", 64), strings.Repeat("a", 5000)} {
		if err := sqlqueue.CheckSchemaName(bad); err == nil || len(err.Error()) > 300 ||
			!strings.Contains(err.Error(), "at most 63 letters") {
			t.Errorf("%.50q: got %v", bad, err)
		}
	}
	if err := sqlqueue.CheckSchemaName("pg_temp"); err == nil ||
		!strings.Contains(err.Error(), "keeps names that begin with pg_ for itself") {
		t.Errorf("pg_temp: got %v", err)
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, good := range []string{"", "a", "App2_", "_", "9", strings.Repeat("a", 32)} {
		if err := sqlqueue.CheckPrefix(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"a-b", "a.b", "a b", `a"b`, "a`b", "a'b", "é", "a\n", "a;", strings.Repeat("a", 33), strings.Repeat("a", 5000),
	} {
		if err := sqlqueue.CheckPrefix(bad); err == nil || len(err.Error()) > 300 {
			t.Errorf("%.50q: got %v", bad, err)
		}
	}
}
