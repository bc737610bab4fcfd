package operator_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func TestEncodable(t *testing.T) {
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	for _, payload := range []string{`{"job":"a"}`, deep, "", "{", "\xff"} {
		job := operator.Job{Payload: operator.Encodable([]byte(payload))}
		text, err := json.Marshal(job)
		if err != nil {
			t.Errorf("%.20q: %v", payload, err)
		}
		if payload == deep && !strings.Contains(string(text), deep) {
			t.Error("a payload that nests deep is not there as text")
		}
	}
}

func TestNameAndDataOfAStart(t *testing.T) {
	for payload, want := range map[string][2]string{
		`{"job":"a","data":{"x":"yyy`:          {"a", `{"x":"yyy`},
		`{"data":[1,2],"job":"b","tries":1,"m`: {"b", "[1,2]"},
		`{"data":"xxxx`:                        {"?", `"xxxx`},
		`[1,2,3`:                               {"?", `[1,2,3`},
		`{"job":"c`:                            {"?", `{"job":"c`},
		`{"job":"a","job":"b","data":1,"m`:     {"?", `1`},
		`{"data":1,"job":5,"m`:                 {"?", `1`},
	} {
		payload += strings.Repeat(" ", operator.StartOfPayload) // what was cut is as long
		if name, data := operator.NameAndData([]byte(payload)); name != want[0] || strings.TrimRight(data, " ") != want[1] {
			t.Errorf("of %.40s the name is %q and the data %.40q", payload, name, data)
		}
	}
}
