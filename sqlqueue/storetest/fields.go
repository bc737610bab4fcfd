package storetest

import (
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func field(value string, path ...string) operator.Field {
	return operator.Field{Path: path, Value: value}
}

func findByField(f *fixture) {
	c := f.open()
	hostile := "it's \"quoted\" 100% a\\b _ <é🎉>\n\t' OR 1 = 1 --"
	id, err := c.Push(f.Context(), sqlqueue.Named("job", map[string]any{
		"text": "Ann", "hostile": hostile, "digits": "42", "empty": "", "spaces": " a ",
		"number": 42, "negative": -17, "fraction": 1.5, "large": int64(1) << 60, "yes": true, "no": false, "nothing": nil,
		"order": map[string]any{"id": 7, "by": map[string]any{"name": "Bob"}}, "list": []any{1, map[string]int{"id": 3}},
		"a.b c": map[string]any{"d-é$[0]*'%": "x"}, "0": "zero", "é🎉": "é🎉",
	}), sqlqueue.OnQueue("mail"))
	f.must(err)
	for _, data := range []any{
		nil, 42, "Ann", []any{"Ann", 42}, map[string]any{}, map[string]any{"data": map[string]string{"text": "Ann"}}, true,
	} {
		_, err := c.Push(f.Context(), sqlqueue.Named("other", data))
		f.must(err)
	}
	for _, test := range []struct {
		fields []operator.Field
		finds  bool
	}{
		{[]operator.Field{field("Ann", "text")}, true},
		{[]operator.Field{field("ann", "text")}, false},
		{[]operator.Field{field("Ann ", "text")}, false},
		{[]operator.Field{field("An", "text")}, false},
		{[]operator.Field{field("An_", "text")}, false},
		{[]operator.Field{field("Ann", "Text")}, false},
		{[]operator.Field{field(`"Ann"`, "text")}, false},
		{[]operator.Field{field(hostile, "hostile")}, true},
		{[]operator.Field{field(strings.ToUpper(hostile), "hostile")}, false},
		{[]operator.Field{field("42", "digits")}, true},
		{[]operator.Field{field("42.0", "digits")}, false},
		{[]operator.Field{field("", "empty")}, true},
		{[]operator.Field{field("", "missing")}, false},
		{[]operator.Field{field(" a ", "spaces")}, true},
		{[]operator.Field{field(" a", "spaces")}, false},
		{[]operator.Field{field("42", "number")}, true},
		{[]operator.Field{field("042", "number")}, false},
		{[]operator.Field{field("4", "number")}, false},
		{[]operator.Field{field("-17", "negative")}, true},
		{[]operator.Field{field("1.5", "fraction")}, true},
		{[]operator.Field{field("1152921504606846976", "large")}, true},
		{[]operator.Field{field("true", "yes")}, true},
		{[]operator.Field{field("1", "yes")}, false},
		{[]operator.Field{field("false", "no")}, true},
		{[]operator.Field{field("0", "no")}, false},
		{[]operator.Field{field("null", "nothing")}, true},
		{[]operator.Field{field("", "nothing")}, false},
		{[]operator.Field{field("null", "missing")}, false},
		{[]operator.Field{field("7", "order", "id")}, true},
		{[]operator.Field{field("Bob", "order", "by", "name")}, true},
		{[]operator.Field{field("Bob", "order", "name")}, false},
		{[]operator.Field{field("7", "order.id")}, false},
		{[]operator.Field{field("null", "text", "id")}, false},
		{[]operator.Field{field("1", "list", "0")}, false},
		{[]operator.Field{field("3", "list", "id")}, false},
		{[]operator.Field{field("zero", "0")}, true},
		{[]operator.Field{field("x", "a.b c", "d-é$[0]*'%")}, true},
		{[]operator.Field{field("é🎉", "é🎉")}, true},
		{[]operator.Field{field("42", "number"), field("Ann", "text"), field("true", "yes")}, true},
		{[]operator.Field{field("42", "number"), field("Bob", "text")}, false},
	} {
		for _, filter := range []operator.JobFilter{
			{Fields: test.fields}, {Fields: test.fields, Queue: "mail", Name: "job", State: operator.Ready},
		} {
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), filter)
			f.must(err)
			var want []int64
			if test.finds {
				want = []int64{id}
			}
			if got := idsOf(jobs); !slices.Equal(got, want) {
				f.Errorf("%+v: got %v, want %v", filter, got, want)
			}
		}
	}
	if n, err := operator.New(c.Queue).CancelAll(f.Context(), operator.JobFilter{
		Fields: []operator.Field{field("7", "order", "id")},
	}); n != 1 || err != nil {
		f.Errorf("cancelled %d, %v; want 1", n, err)
	}
}

// findByRepeatedField: the value that a handler of encoding/json gets is the one that is found.
func findByRepeatedField(f *fixture) {
	c := f.open()
	f.insert("mail", `{"job":"a","data":{"id":"old","other":{"id":5},"id":"new",`+
		`"order":{"by":1,"by":true},"order":{"by":2,"by":null},"x":"\"id\"","n":7}}`)
	f.insert("mail", `{"job":"a","data":{"id":"other","other":{"id":6}}}`)
	all := f.allJobs(c)
	for _, test := range []struct {
		field operator.Field
		want  []int64
	}{
		{field("new", "id"), []int64{all[0].ID}},
		{field("old", "id"), nil},
		{field("other", "id"), []int64{all[1].ID}},
		{field("5", "other", "id"), []int64{all[0].ID}},
		{field("6", "other", "id"), []int64{all[1].ID}},
		{field("null", "order", "by"), []int64{all[0].ID}},
		{field("2", "order", "by"), nil},
		{field("true", "order", "by"), nil},
		{field("1", "order", "by"), nil},
		{field(`"id"`, "x"), []int64{all[0].ID}},
		{field("7", "n"), []int64{all[0].ID}},
		{field("new", "id", "id"), nil},
	} {
		jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{Fields: []operator.Field{test.field}})
		f.must(err)
		if got := idsOf(jobs); !slices.Equal(got, test.want) {
			f.Errorf("%+v: got %v, want %v", test.field, got, test.want)
		}
	}
	if n, err := operator.New(c.Queue).CancelAll(f.Context(), operator.JobFilter{Fields: []operator.Field{field("new", "id")}}); n != 1 ||
		err != nil {
		f.Errorf("cancelled %d, %v; want 1", n, err)
	}
}
