package sqlqueue

import (
	"reflect"
	"strings"
	"testing"
)

// TestPayloadMembers: a member has one exact name and is there once, so that everybody who reads a payload reads the same.
func TestPayloadMembers(t *testing.T) {
	for payload, want := range map[string]string{
		`{"Job":"title","job":"lower","JOB":"upper","data":1}`:                       "lower",
		`{"job":"lower","Job":"title"}`:                                              "lower",
		`{"job":"a","Tries":-1,"TIMEOUT":"x","other":1,"other":2,"Data":5,"data":1}`: "a",
		`{"j\u006fb":"escaped","data":1}`:                                            "escaped",
	} {
		p, err := ParsePayload([]byte(payload))
		if err != nil || p.Job != want || p.Tries != nil || p.Timeout != nil {
			t.Errorf("%s is read as %+v, %v; want the job %q", payload, p, err, want)
		}
	}
	for payload, says := range map[string]string{
		`{"job":"a","job":"a"}`: `two members "job"`, `{"job":"a","j\u006fb":"b"}`: `two members "job"`,
		`{"job":"a","data":1,"data":2}`:   `two members "data"`,
		`{"job":"a","tries":1,"tries":2}`: `two members "tries"`, `{"Job":"a"}`: `no "job"`, `{"job":"a"}}`: "invalid character",
	} {
		if p, err := ParsePayload([]byte(payload)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s is read as %+v, %v; want an error with %s", payload, p, err, says)
		}
	}
	for payload, name := range map[string]string{
		`{"job":"a","job":"a"}`: "", `{"job":"a","data":1,"data":2}`: "a",
		`{"tries":1,"tries":2,"job":"a"}`: "a", `{"timeout":"x","job":"a"}`: "a",
		`{"tries":1e400,"timeout":-1e400,"job":"a"}`: "a", `{"job":5}`: "",
		`{"job":null}`: "", `{"Job":"a"}`: "", `["job"]`: "", `{"job":"a"`: "",
	} {
		if p, err := ParsePayload([]byte(payload)); err == nil || p.Job != name {
			t.Errorf("%s has the name %q, %v; want %q and an error", payload, p.Job, err, name)
		}
	}
	var tags []string
	for f := range reflect.TypeFor[Payload]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		tags = append(tags, name)
	}
	if !reflect.DeepEqual(tags, members) {
		t.Errorf("Payload has the members %q, and %q are read", tags, members)
	}
}
