package sqlqueue

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/jsonobject"
)

// FuzzPayload: what is read as a payload can be written and read again and says the same, and an edit changes what it is to change and
// nothing else.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{
		`{"job":"a","data":{"n":1}}`, `{"job":"a","data":null}`, ` {"job": "a"} `,
		`{"data":[],"job":"ü\u0000"}`, `[]`, `{}`, `{"job":""}`, ``,
		`{"job":"a","data":{},"tries":3,"timeout":1.5,"backoff":[1,2.5],"retry_until":"2030-01-01T00:00:00Z","max_exceptions":2}`,
		`{"job":"a","data":1,"data":2}`, `{"job":"a","data":{}}}`, `{"job":"a","data":1e999,"backoff":1e300}`, `{"Job":"a"}`,
		`{"job":"a","data":1,"other":{"x":[1]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePayload(text)
		if err != nil {
			return
		}
		if p.Job == "" || !json.Valid(text) || !json.Valid(p.Data) {
			t.Fatalf("%q is read as the job %q with data %q", text, p.Job, p.Data)
		}
		encoded, err := p.encode()
		if err != nil {
			if utf8.Valid(text) {
				t.Fatalf("%q is read and cannot be written: %v", text, err)
			}
			return
		}
		again, err := ParsePayload(encoded)
		if err != nil || again.Job != p.Job || !sameJSON(t, again.Data, p.Data) || len(again.Backoff) != len(p.Backoff) ||
			(again.Tries == nil) != (p.Tries == nil) {
			t.Fatalf("%q is read as %+v, and written as %q as %+v, %v", text, p, encoded, again, err)
		}
		all := jsonobject.Parse(text)
		before := len(all)
		all.Set("data", json.RawMessage(`"new"`))
		edited, err := all.Encode()
		if err != nil {
			if utf8.Valid(text) {
				t.Fatalf("%q cannot be edited: %v", text, err)
			}
			return
		}
		if after := jsonobject.Parse(edited); len(after) < before || len(after) > before+1 || !json.Valid(edited) {
			t.Fatalf("%q is edited to %q", text, edited)
		}
	})
}

func sameJSON(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	var one, other bytes.Buffer
	if json.Compact(&one, a) != nil || json.Compact(&other, b) != nil {
		return false
	}
	return bytes.Equal(one.Bytes(), other.Bytes())
}
