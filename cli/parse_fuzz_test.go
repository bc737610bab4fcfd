package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// FuzzFlags: what a flag takes as a time, a field or ids is in range, and what it refuses has a reason.
func FuzzFlags(f *testing.F) {
	for _, seed := range []string{
		"2030-01-01", "2030-01-01T00:00:00Z", "user.id=7", "a=", "=b", "a..b=c", "1,2", "-1", "9223372036854775808", "", ",", "\x00=\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if ids, err := settings.ParseIDs([]string{text}); err == nil && slices.Min(ids) < 1 {
			t.Fatalf("%q are the ids %v", text, ids)
		}
		var at time.Time
		if err := settings.Moment(&at).Set(text); err == nil && at.IsZero() && !strings.HasPrefix(text, "0001-01-01") {
			t.Fatalf("%q is the time %v", text, at)
		}
		var fields []operator.Field
		if err := (fieldList{&fields}).Set(text); err == nil && (len(fields) != 1 || len(fields[0].Path) == 0) {
			t.Fatalf("%q is the field %+v", text, fields)
		}
	})
}

// FuzzData: what is taken for JSON is, and not empty.
func FuzzData(f *testing.F) {
	for _, seed := range []string{`{}`, `[1`, "\xff", `{"a":"ü"}`, " ", `"\ud800"`, "1 2"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.HasPrefix(string(text), "@") || string(text) == "-" {
			return
		}
		data, err := settings.ReadData(string(text), strings.NewReader(""))
		if err != nil && !strings.Contains(err.Error(), "is not JSON") || err == nil && len(data) == 0 {
			t.Fatalf("%q is %q, %v", text, data, err)
		}
	})
}
