package cli

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysOfTheEnvironment(t *testing.T) {
	old := base64.StdEncoding.EncodeToString([]byte("an old secret, of 32 bytes, here"))
	young := base64.StdEncoding.EncodeToString([]byte("a new secret of 32 bytes is here"))
	const keys, file = "SQLQUEUE_ENCRYPTION_KEYS", "SQLQUEUE_ENCRYPTION_KEYS_FILE"
	s := migrated(t)
	s.fails(2, []string{"there are no keys", keys}, "reencrypt")
	s.ok("push", "plain", `{"card":"4111 1111"}`)

	t.Setenv(keys, "k1:"+old)
	s.ok("push", "charge", `{"card":"4111 1111"}`, "--queue", "mail")
	s.ok("push", "charge", `{"card":"4111 1111"}`, "--queue", "failing")
	s.ok("work", "--exec", "exit 65", "--once", "--queue", "failing")
	for _, args := range [][]string{
		{"jobs", "list", "--queue", "mail"}, {"jobs", "show", "2"}, {"failed", "show", "1"}, {"config", "show"},
	} {
		if got := s.ok(args...); strings.Contains(got, "4111 1111") || strings.Contains(got, old) {
			t.Errorf("%q shows %s", args, got)
		}
	}
	if got := s.ok("jobs", "list", "--queue", "mail"); !strings.Contains(got, "encrypted") {
		t.Errorf("the list is %s", got)
	}

	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("# newest first\nk2:"+young+"\nk1:"+old+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(file, path)
	s.fails(2, []string{"both set"}, "reencrypt")
	t.Setenv(keys, "")
	if got := s.ok("reencrypt"); got != "encrypted 3 rows\n" {
		t.Errorf("printed %q", got)
	}
	t.Setenv(file, "")
	for _, wrong := range []string{"k1:" + old[:20], old, "k1:" + old + "!"} {
		t.Setenv(keys, wrong)
		got := s.run("jobs", "list")
		if got.code != 2 || !strings.Contains(got.stderr, keys) || strings.Contains(got.stderr, old[:20]) {
			t.Errorf("with %q: %+v", wrong, got)
		}
	}

	t.Setenv(keys, "k1:"+old)
	got := s.run("work", "--exec", "cat", "--once", "--queue", "mail")
	if !strings.Contains(got.stderr, `msg="no key"`) || !strings.Contains(got.stderr, "k2") {
		t.Errorf("without the key: %+v", got)
	}
	t.Setenv(keys, "k2:"+young)
	s.ok("jobs", "edit", "2", "--at", "2020-01-01T00:00:00Z")
	got = s.run("work", "--exec", `cat; echo "$SQLQUEUE_JOB_PAYLOAD"`, "--once", "--queue", "mail")
	if got.code != 0 || strings.Count(got.stderr, `{"card":"4111 1111"}`) != 2 {
		t.Errorf("with the key: %+v", got)
	}
}
