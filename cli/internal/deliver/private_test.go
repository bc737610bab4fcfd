package deliver

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/worker"
)

// Of a URL the host is shown, and the first part of the path if that is a word. What is hidden does not depend on how long it is.
func TestURLsAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://hooks.example.com":                      "https://hooks.example.com",
		"https://hooks.example.com/":                     "https://hooks.example.com/",
		"https://hooks.example.com/jobs":                 "https://hooks.example.com/jobs",
		"https://hooks.example.com/services/T0/B0/a":     "https://hooks.example.com/services/xxxxx",
		"https://hooks.example.com/v1/x":                 "https://hooks.example.com/v1/xxxxx",
		"https://api.example.com/bot12:Ab/send":          "https://xxxxx/xxxxx",
		"https://u:p@example.com/a?t=1#f":                "https://xxxxx@example.com/a?xxxxx",
		"https://example.com/%61b12/x":                   "https://example.com/xxxxx/xxxxx",
		"https://example.com/0123456789abcdef":           "https://example.com/xxxxx",
		"https://example.com/abcdefghijklmnopqrstuvwxyz": "https://example.com/xxxxx",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if address == "https://api.example.com/bot12:Ab/send" {
			want = "https://api.example.com/xxxxx/xxxxx"
		}
		if got := Redact(u); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
}

// A receiver that sends everything back does not make it public, however short it is.
func TestShortSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	to := target(t, "https://u:pw@example.com/services/T0/B1?k=q7", nil, map[string]string{"Authorization": "Bearer ab3"})
	got := to.hide(errors.New("no: pw at /services/T0/B1?k=q7, Bearer ab3; power Tab3 stays")).Error()
	if want := "no: xxxxx at /services/xxxxx/xxxxx?xxxxx, xxxxx; power Tab3 stays"; got != want {
		t.Errorf("shown is %q, want %q", got, want)
	}
}

// The same job of the same database has the same webhook-id at each attempt, and no other has it.
func TestIDIsUnique(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	first := worker.JobInfo{ID: 1, Queue: "a", Attempts: 1, CreatedAt: at}
	again := worker.JobInfo{ID: 1, Queue: "a", Attempts: 2, CreatedAt: at.In(time.FixedZone("x", 3600)), AvailableAt: at.Add(time.Hour)}
	if ID(first, "here") != ID(again, "here") || !strings.HasPrefix(ID(first, "here"), "job_1_") ||
		strings.Contains(ID(first, "here"), ".") {
		t.Errorf("%s, and then %s", ID(first, "here"), ID(again, "here"))
	}
	seen := map[string]bool{}
	for _, id := range []string{
		ID(first, "here"), ID(first, "there"), ID(worker.JobInfo{ID: 2, CreatedAt: at}, "here"),
		ID(worker.JobInfo{ID: 1, CreatedAt: at.Add(time.Microsecond)}, "here"),
	} {
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
	}
}
