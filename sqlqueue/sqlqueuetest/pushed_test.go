package sqlqueuetest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

func TestF2_PushedListsWhatWasPushed(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{Queue: "mine", Prefix: "app_", Schema: "app"})
	if got := q.Pushed(); got != nil {
		t.Fatalf("a new queue has %v", got)
	}
	push(t, q.Queue, greet{Name: "A"})
	push(t, q.Queue, greet{Name: "B"}, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Minute), sqlqueue.Priority(-3), sqlqueue.Unique("b"),
		sqlqueue.Tries(3), sqlqueue.Timeout(time.Second))
	if _, err := q.Push(t.Context(), greet{Name: "C"}, sqlqueue.OnQueue("mail"), sqlqueue.Unique("b")); err == nil {
		t.Error("the key was free")
	}
	if _, err := q.DB().ExecContext(t.Context(), `INSERT INTO jobs (payload) VALUES ('[]')`); err != nil {
		t.Fatal(err)
	}
	q.RunUntilEmpty(mux()) // what becomes of them does not matter

	got := q.Pushed()
	var lines []string
	for _, p := range got {
		lines = append(lines, p.String())
	}
	want := []string{
		`greet {"name":"A"} on queue "mine"`,
		`greet {"name":"B"} on queue "mail", delay 1m0s, priority -3, unique key "b", timeout 1, tries 3`,
		`  on queue "default"`,
	}
	if !slices.Equal(lines, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	b := got[1]
	if b.ID != 2 || b.Queue != "mail" || b.Priority != -3 || b.Delay != time.Minute || b.UniqueKey != "b" || *b.Tries != 3 {
		t.Errorf("got %+v", b)
	}
	if at := time.Until(b.AvailableAt); at > time.Minute || at < 0 {
		t.Errorf("available in %v", at)
	}
}

func TestF2_PushedAsReadsTheData(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{Codec: secret{}})
	push(t, q.Queue, greet{Name: "A"})
	push(t, q.Queue, count{})
	push(t, q.Queue, greet{Name: "B"})
	if got, want := sqlqueuetest.PushedAs[greet](q), []greet{{Name: "A"}, {Name: "B"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		push(t, q.Queue, sqlqueue.Named("greet", "no object"))
		sqlqueuetest.PushedAs[greet](q)
	}).want(t, `sqlqueuetest: PushedAs: data of job 1, greet "no object" on queue "default": `+
		`json: cannot unmarshal string into Go value of type sqlqueuetest_test.greet`)
}

// secret is a Codec whose JSON cannot be compared.
type secret struct{}

var salt int

func (secret) Marshal(v any) (json.RawMessage, error) {
	plain, err := sqlqueue.JSON.Marshal(v)
	if err != nil {
		return nil, err
	}
	salt++
	return json.Marshal(fmt.Sprintf("%d.%s", salt, base64.StdEncoding.EncodeToString(plain)))
}

func (secret) Unmarshal(data json.RawMessage, v any) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	_, text, _ = strings.Cut(text, ".")
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}
