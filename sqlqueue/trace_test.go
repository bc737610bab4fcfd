package sqlqueue

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// kept keeps the rows of pushes.
type kept struct {
	driver.Store
	rows []driver.NewJob
	err  error
}

func (k *kept) Push(_ context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	k.rows = append(k.rows, jobs...)
	return make([]driver.Pushed, len(jobs)), k.err
}

func TestPayloadsCarryTraces(t *testing.T) {
	const trace = `"trace":"` + exampleTrace + `"`
	for payload, want := range map[string]Trace{
		`{"job":"a","data":{},` + trace + `}`:                                                    exampleTrace,
		`{"job":"a","data":{"n":1},"tries":3,` + trace + `}`:                                     exampleTrace,
		`{"job":"a",` + trace + `,"data":{}}`:                                                    exampleTrace,
		`{"job":"a","data":{` + trace + `}}`:                                                     "",
		`{"job":"a","data":{},"trace":7}`:                                                        "",
		`{"job":"a","data":{},"trace":"mine"}`:                                                   "",
		`{"job":"a","data":{},"trace":"` + strings.Repeat("0", 55) + `"}`:                        "",
		`{"job":"a","data":{},"trace":"00-` + strings.Repeat("0", 32) + exampleTrace[35:] + `"}`: "",
	} {
		p, err := ParsePayload([]byte(payload))
		if err != nil || p.Trace != want || p.Job != "a" {
			t.Errorf("%s: %+v, %v, want the trace %q", payload, p, err, want)
		}
	}
	if plain, ok := parsePlain([]byte(`{"job":"a","data":{},` + trace + `}`)); !ok || plain.Trace != exampleTrace ||
		string(plain.Data) != "{}" {
		t.Errorf("the short way does not read a trace: %+v", plain)
	}
	wrong := Payload{Job: "a", Trace: "mine"}
	if _, err := wrong.encode(); err == nil || !strings.Contains(err.Error(), "traceparent") {
		t.Errorf("a trace that is none is encoded: %v", err)
	}
}

func TestHooksAreToldOfPushes(t *testing.T) {
	type key struct{}
	store := &kept{}
	var told []string
	hook := func(name string, trace Trace) PushHook {
		return func(ctx context.Context, jobs []Pushing) (context.Context, func([]Pushed, error)) {
			for i := range jobs {
				told = append(told, name+" "+jobs[i].Queue+" "+jobs[i].Name)
				jobs[i].Trace = trace
			}
			return context.WithValue(ctx, key{}, name), func(_ []Pushed, err error) {
				if err != nil {
					told = append(told, name+" "+err.Error())
				}
			}
		}
	}
	q, err := New(store, Config{OnPush: PushHooks(hook("first", "no trace"), nil, hook("second", exampleTrace))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Push(t.Context(), Named("a", 1), OnQueue("x", "y"), Tries(2)); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(told, ", "), "first x a, first y a, second x a, second y a"; got != want {
		t.Errorf("the hooks were told %s, want %s", got, want)
	}
	for _, row := range store.rows {
		if p, err := ParsePayload(row.Payload); err != nil || p.Trace != exampleTrace || p.Tries == nil || string(p.Data) != "1" {
			t.Errorf("stored: %s, %v", row.Payload, err)
		}
	}
	told, store.err = nil, errors.New("away")
	if _, err := q.Push(t.Context(), Named("a", 1)); !errors.Is(err, store.err) {
		t.Fatal(err)
	}
	if got := strings.Join(told, ", "); !strings.Contains(got, "first away, second away") {
		t.Errorf("the hooks were told %s", got)
	}
}
