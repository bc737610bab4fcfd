package sqlqueue

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// TestEncodePlain: the short way to a payload leaves nothing out that the long way writes. A new field of Payload is covered by itself,
// once distinct knows a value for its type.
func TestEncodePlain(t *testing.T) {
	set := func(fields ...string) *Payload {
		p := &Payload{Job: "a", Data: json.RawMessage(`{"n":1}`)}
		for _, name := range fields {
			field := reflect.ValueOf(p).Elem().FieldByName(name)
			field.Set(distinct(t, field.Type()))
		}
		return p
	}
	same := func(p *Payload, what string) {
		t.Helper()
		long, err := p.encode()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if short, ok := p.encodePlain(); ok && string(short) != string(long) {
			t.Errorf("with %s encodePlain writes %s, and encode %s", what, short, long)
		}
	}
	if _, ok := set().encodePlain(); !ok {
		t.Error("a payload without settings is not plain")
	}
	same(set(), "no settings")
	without, err := set().encode()
	if err != nil {
		t.Fatal(err)
	}
	for field := range reflect.TypeFor[Payload]().Fields() {
		p := set(field.Name)
		if with, err := p.encode(); err != nil || string(with) == string(without) {
			t.Errorf("a payload with %s is encoded as without it, %v", field.Name, err)
		}
		same(p, field.Name)
	}
}

// distinct returns a value that is not the zero value, and valid in every field of a Payload.
func distinct(t *testing.T, of reflect.Type) reflect.Value {
	t.Helper()
	switch of {
	case reflect.TypeFor[time.Time]():
		return reflect.ValueOf(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	case reflect.TypeFor[json.RawMessage]():
		return reflect.ValueOf(json.RawMessage(`[7]`))
	case reflect.TypeFor[Next]():
		return reflect.ValueOf(Next{Payload: Payload{Job: "next", Data: json.RawMessage(`7`)}})
	case reflect.TypeFor[Trace]():
		return reflect.ValueOf(Trace(exampleTrace))
	case reflect.TypeFor[Parent]():
		return reflect.ValueOf(Parent{ID: 7})
	}
	v := reflect.New(of).Elem()
	switch of.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(of.Elem()))
		v.Elem().Set(distinct(t, of.Elem()))
	case reflect.Slice:
		v.Set(reflect.Append(v, distinct(t, of.Elem())))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(7 * time.Second))
	case reflect.String:
		v.SetString("seven")
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("no value of the type %v is known: add one", of)
	}
	return v
}
