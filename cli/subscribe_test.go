package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// subscribed is what subscribe --json and subscriptions --json tell.
type subscribed struct {
	Name, Queue, URL, Secret string
	CreatedAt                time.Time `json:"created_at"`
}

func (s *shell) subscribe(args ...string) (told subscribed) {
	s.t.Helper()
	fromJSON(s.t, s.ok(append([]string{"subscribe", "--json"}, args...)...), &told)
	return told
}

func (s *shell) subscriptions() (all []subscribed) {
	s.t.Helper()
	fromJSON(s.t, s.ok("subscriptions", "--json"), &all)
	return all
}

func TestE9_Subscribe(t *testing.T) {
	t.Parallel()
	began := time.Now().Truncate(time.Microsecond)
	s := migrated(t)
	got := s.ok("subscribe", "shop", "https://u:"+secret+"@example.com/jobs?key="+secret, "orders")
	if !regexp.MustCompile(
		`^shop: jobs of orders go to https://xxxxx@example\.com/jobs\?xxxxx\nthe secret, which is not shown again: whsec_\S{44}\n$`,
	).MatchString(got) {
		t.Errorf("printed %q", got)
	}
	s.ok("subscribe", "audit", "http://localhost:8080/") // of the default queue
	table := s.ok("subscriptions")
	if !regexp.MustCompile(
		`^NAME +QUEUE +URL +CREATED\naudit +default +http://localhost:8080/ +\w+.*\n` +
			`shop +orders +https://xxxxx@example.com/jobs\?xxxxx +\w+.*\n$`,
	).MatchString(table) {
		t.Errorf("printed\n%s", table)
	}
	all := s.subscriptions()
	if len(all) != 2 || all[1].Name != "shop" || all[1].Queue != "orders" || all[1].Secret != "" || all[1].CreatedAt.Before(began) ||
		all[1].CreatedAt.After(time.Now()) {
		t.Errorf("the subscriptions are %+v", all)
	}
	if out := table + s.ok("subscriptions", "--json"); strings.Contains(out, secret) || strings.Contains(out, "whsec_") {
		t.Errorf("a secret is shown:\n%s", out)
	}

	if got := s.ok("unsubscribe", "audit", "shop"); got != "unsubscribed audit\nunsubscribed shop\n" || len(s.subscriptions()) != 0 {
		t.Errorf("printed %q", got)
	}
	s.fails(1, []string{`"shop": no such subscription`}, "unsubscribe", "shop")
}

// The URL changes; the secret and the queue stay unless others are given.
func TestE9_SubscribeAgain(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	secretIs := func() (text string) {
		t.Helper()
		d, err := open.Open(open.Settings{DSN: s.dsn}, false)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		all, err := operator.New(d.Queue).Subscriptions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text = all[0].Secret
		return text
	}
	first := s.subscribe("shop", "http://localhost:1", "orders")
	if first.Secret == "" || first.Secret != secretIs() {
		t.Errorf("the secret is %s, printed was %+v", secretIs(), first)
	}
	if again := s.subscribe("shop", "http://localhost:2"); again.Secret != "" || again.URL != "http://localhost:2" ||
		again.Queue != "orders" || secretIs() != first.Secret {
		t.Errorf("the secret is %s, printed was %+v", secretIs(), again)
	}
	renewed := s.subscribe("shop", "http://localhost:2", "other", "--new-secret")
	if renewed.Secret == first.Secret || renewed.Secret != secretIs() || renewed.Queue != "other" {
		t.Errorf("the secret is %s, printed was %+v", secretIs(), renewed)
	}
	given := deliver.NewSecret().Text()
	file := write(t, "secret", given+"\n")
	if told := s.subscribe("shop", "http://localhost:2", "--secret-file", file); told.Secret != "" || secretIs() != given {
		t.Errorf("the secret is %s, printed was %+v", secretIs(), told)
	}
	got := runWith(t.Context(), Options{DSN: s.dsn}, renewed.Secret, "subscribe", "shop", "http://localhost:2", "--secret-file", "-")
	if got.code != 0 || got.stdout != "shop: jobs of other go to http://localhost:2\n" || secretIs() != renewed.Secret {
		t.Errorf("the secret is %s: %+v", secretIs(), got)
	}
	if got := s.ok("subscribe", "shop", "http://localhost:2", "--no-secret"); !strings.HasSuffix(got, "they are not signed\n") ||
		secretIs() != "" {
		t.Errorf("the secret is %s: %s", secretIs(), got)
	}
}

func TestE9_SubscribeOfBadInput(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("subscribe", "shop", "http://localhost:1", "orders")
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{2, "needs URL", []string{"a"}},
		{2, "it is not a URL of http or https", []string{"a", "file:///" + secret}},
		{2, "it is not a URL:", []string{"a", "http://" + secret + "\x7f"}},
		{1, "queue", []string{"a", "http://h", "a,b"}},
		{1, `queue "orders" has the subscription "shop"`, []string{"a", "http://h", "orders"}},
		{2, "give one of --secret-file, --new-secret and --no-secret", []string{"a", "http://h", "--new-secret", "--no-secret"}},
		{2, "--secret-file: open /nowhere", []string{"a", "http://h", "--secret-file", "/nowhere"}},
		{
			2, "--secret-file: it is not a secret of Standard Webhooks",
			[]string{"a", "http://h", "--secret-file", write(t, "secret", secret)},
		},
	} {
		args := append([]string{"subscribe"}, c.args...)
		s.fails(c.code, []string{c.says}, args...)
		checkSecret(t, c.says, s.run(args...))
	}
}

func TestE9_JobsArePostedToSubscriptions(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"work", "listen"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			server := newReceiver(t)
			server.next = func(got received) int {
				return map[string]int{
					"gone": http.StatusGone, "broken": http.StatusInternalServerError, "fine": http.StatusOK,
				}[got.Body.Name]
			}
			s.ok("subscribe", "a", server.URL+"/a", "orders")
			s.ok("subscribe", "b", server.URL+"/b", "mail")
			s.ok("push", "fine", `{"x":1}`, "--queue", "orders,mail")
			s.ok("push", "gone", "--queue", "mail")
			s.ok("push", "broken", "--queue", "mail")
			s.ok("push", "fine", "--queue", "elsewhere")
			got := s.run(command, "--stop-when-empty", "--concurrency", "1", "--delay", "600", "--log-format", "json")
			if want := `/b mail fine {"x":1} 1; /b mail gone {} 1; /b mail broken {} 1; /a orders fine {"x":1} 1`; server.what() != want ||
				got.code != 0 {
				t.Errorf("exit code %d, posted was\n%s, want\n%s", got.code, server.what(), want)
			}
			if failed := s.failed(); len(failed) != 1 || !strings.Contains(failed[0].Error, "answered 410 Gone") {
				t.Errorf("failed are %+v", failed)
			}
			jobs := s.jobs()
			if len(jobs) != 2 || jobs[0].Queue != "mail" || jobs[1].Queue != "elsewhere" || jobs[1].Attempts != 0 {
				t.Fatalf("left are %+v", jobs)
			}
			checkWait(t, jobs[0], 600*time.Second)
		})
	}
}

// Only the queues of --queue are served; a program with handlers of its own posts when it is told to.
func TestE9_WhichQueuesArePosted(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	server := newReceiver(t)
	s.ok("subscribe", "a", server.URL+"/a", "orders")
	s.ok("subscribe", "b", server.URL+"/b", "mail")
	s.ok("push", "x", "--queue", "orders,mail,default")
	options := Options{DSN: s.dsn, Mux: worker.NewMux(), Worker: worker.Config{MaxMemory: anyMemory}}
	options.Mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
		return worker.Fail(errors.New("handled " + job.Queue))
	})
	for _, c := range []struct{ args, posted string }{
		{"--queue default,orders --subscriptions", "/a orders x {} 1"},
		{"--subscriptions", "/a orders x {} 1; /b mail x {} 1"},
		{"", "/a orders x {} 1; /b mail x {} 1"},
	} {
		args := append([]string{"work", "--stop-when-empty"}, strings.Fields(c.args)...)
		if got := runWith(t.Context(), options, "", args...); got.code != 0 || server.what() != c.posted {
			t.Errorf("%q: posted was %s\n%s", args, server.what(), got.stderr)
		}
		if c.args == "" {
			if failed := s.failed(); len(failed) != 0 { // default was snoozed, and waits
				t.Errorf("failed are %+v", failed)
			}
		}
	}
	jobs := s.jobs()
	if len(jobs) != 1 || jobs[0].Attempts != 0 {
		t.Fatalf("left are %+v", jobs)
	}
	checkWait(t, jobs[0], 10*time.Second)
	s.fails(2, []string{"no queue of --queue has a subscription: give --exec COMMAND", "or --handlers FILE, or use subscribe"}, "work",
		"--queue", "default")
}

// The worker goes on with what is subscribed now, in the same process, and lets what runs finish.
func TestE9_SubscriptionsThatChange(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	server := newReceiver(t)
	s.ok("subscribe", "a", server.URL+"/a", "orders")
	s.ok("push", "one", "--queue", "orders,mail,chat")
	p := s.start("work", "--sleep", "0.05", "--grace", "1000")
	posts := func(want string) {
		t.Helper()
		waitFor(t, func() error {
			if what := server.what(); what != want {
				return fmt.Errorf("posted was %s, want %s\n%s", what, want, p.stderr)
			}
			return nil
		})
	}
	posts("/a orders one {} 1")
	s.ok("subscribe", "b", server.URL+"/b", "mail")
	posts("/a orders one {} 1; /b mail one {} 1")
	s.ok("subscribe", "b", server.URL+"/c", "chat")
	s.ok("unsubscribe", "a")
	posts("/a orders one {} 1; /b mail one {} 1; /c chat one {} 1")
	s.ok("unsubscribe", "b")
	waitFor(t, func() error {
		if strings.Contains(s.ok("workers", "--json"), `"queues"`) {
			return errors.New("a worker still runs")
		}
		return nil
	})
	s.ok("push", "two", "--queue", "mail")
	s.ok("subscribe", "d", server.URL+"/d", "mail")
	posts("/a orders one {} 1; /b mail one {} 1; /c chat one {} 1; /d mail two {} 1")
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 || len(s.failed()) != 0 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	if strings.Contains(p.stderr.String(), "whsec_") {
		t.Errorf("a secret is in the log:\n%s", p.stderr)
	}
}

// Limits hold for all workers together that run one after the other.
func TestE9_LimitsOfDelivery(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	server := newReceiver(t)
	s.ok("subscribe", "a", server.URL+"/a", "orders")
	s.ok("push", "one", "--queue", "orders", "--count", "3")
	if got := s.run("work", "--max-jobs", "2"); got.code != 0 || len(s.jobs()) != 1 {
		t.Errorf("%+v", got)
	}
	if got := s.run("work", "--once"); got.code != 0 || len(s.jobs()) != 0 {
		t.Errorf("%+v", got)
	}
	if got := s.run("work", "--max-time", "0.1"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s.ok("push", "one", "--queue", "orders,mail,mail2")
	p := s.start("work", "--max-jobs", "2", "--sleep", "0.05")
	waitFor(t, func() error {
		if jobs := s.jobs("--queue", "orders"); len(jobs) != 0 {
			return fmt.Errorf("left are %+v", jobs)
		}
		return nil
	})
	s.ok("subscribe", "b", server.URL+"/b", "mail")
	s.ok("subscribe", "c", server.URL+"/c", "mail2")
	if code := p.wait(); code != 0 || len(s.jobs()) != 1 {
		t.Errorf("exit code %d, left are %+v", code, s.jobs())
	}
	s.ok("clear", "--yes")
	s.ok("push", "one", "--queue", "orders", "--tries", "1")
	got := s.run("work", "--stop-when-empty", "--public-urls-only")
	if failed := s.failed(); got.code != 0 || len(failed) != 1 || !strings.Contains(failed[0].Error, "127.0.0.1 is not a public address") {
		t.Errorf("failed are %+v", failed)
	}
}

// A database that is away is waited for, and does not show its password; tables that are missing are an error.
func TestE9_SubscriptionsCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.dsn = "postgres://app:" + secret + "@" + closedPort(t) + "/shop"
	p := s.start("work")
	p.says("cannot read the subscriptions")
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
	checkSecret(t, s.dsn, result{stderr: p.stderr.String()})

	s = migrated(t)
	s.ok("migrate", "down", "--all", "--yes")
	s.fails(1, []string{"tables are missing"}, "work")
}
