package dashboard

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var noon = time.Date(2026, 1, 31, 12, 0, 30, 0, time.UTC)

func TestChart(t *testing.T) {
	minute := noon.Truncate(time.Minute)
	counts := operator.Counts{Now: noon, Minutes: []operator.Count{
		{Minute: minute.Add(-2 * time.Hour), Queue: "mail", Done: 1e9}, // too old
		{Minute: minute.Add(-time.Minute), Queue: "mail", Done: 80, Failed: 2},
		{Minute: minute.Add(-time.Minute), Queue: "images", Done: 5},
		{Minute: minute, Queue: "mail", Done: 1e9}, // the minute that runs
	}}
	mail := "mail"
	s := seriesOf(counts, &mail, time.Hour, time.Minute)
	if sum(s.Done) != 80 || s.Done[59] != 80 || sum(s.Failed) != 2 || sum(seriesOf(counts, nil, time.Hour, time.Minute).Done) != 85 {
		t.Fatalf("%+v", s)
	}
	c := chartOf(languages[0], s)
	if !strings.HasPrefix(c.Done, "0,140 16.949,140 ") || !strings.HasSuffix(c.Done, " 1000,0") || len(c.Ys) != 5 ||
		c.Ys[4].Text != "80" || c.Ys[4].At != "0" {
		t.Errorf("%+v", c)
	}
	if len(c.Xs) != 5 || c.Xs[0].Text != "11:10" || c.Xs[0].At != "16.95%" {
		t.Errorf("%+v", c.Xs)
	}
	if p := sparkOf(languages[0], s); len(p.Errs) != 1 || p.Errs[0].X != "178" || !strings.HasPrefix(p.Area, "0,30 0,29 ") ||
		!strings.HasSuffix(p.Area, " 180,1 180,30") {
		t.Errorf("%+v", p)
	}
	for _, done := range []int64{0, 1, 3, 7, 1e9, math.MaxInt64} {
		s := series{noon, time.Minute, []int64{0, 0}, []int64{0, done}, []int64{0, 0}, []int64{0, 0}}
		c := chartOf(languages[0], s)
		if len(c.Ys) < 2 || len(c.Ys) > 6 || strings.Contains(c.Done+c.Label+sparkOf(languages[0], s).Line, "NaN") ||
			strings.Contains(c.Done, "-") {
			t.Errorf("of %d: %+v", done, c)
		}
	}
}

func TestTimeTicks(t *testing.T) {
	begin := time.Date(2026, 1, 31, 11, 58, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		step time.Duration
		n    int
		want string
	}{
		"an hour":     {time.Minute, 60, "12:00 12:10 12:20 12:30 12:40 12:50"},
		"a bit more":  {time.Minute, 61, "12:00 12:10 12:20 12:30 12:40 12:50"},
		"a day":       {5 * time.Minute, 294, "12:00 16:00 20:00 00:00 04:00 08:00 12:00"},
		"two days":    {time.Hour, 48, "16:00 00:00 08:00 16:00 00:00 08:00"},
		"seven days":  {3 * time.Hour, 56, "Feb 2 Feb 4 Feb 6"},
		"thirty days": {12 * time.Hour, 60, "Feb 4 Feb 9 Feb 14 Feb 19 Feb 24 Mar 1"},
		"one point":   {time.Minute, 1, ""},
		"nothing":     {time.Minute, 0, ""},
	} {
		var texts []string
		for _, tick := range timeTicks(begin, c.step, c.n) {
			texts = append(texts, tick.Text)
		}
		if got := strings.Join(texts, " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestNiceStep(t *testing.T) {
	for most, wanted := range map[int64]int64{1: 1, 5: 1, 6: 2, 10: 2, 11: 5, 25: 5, 26: 10, 80: 20, 4999: 1000, 1e9: 2e8} {
		if got := niceStep(most); got != wanted {
			t.Errorf("up to %d: steps of %d, not %d", most, got, wanted)
		}
	}
}

func TestTexts(t *testing.T) {
	for got, wanted := range map[string]string{
		grouped(0): "0", grouped(-1234567): "-1,234,567", grouped(999): "999", upTo(1000, 1000): "1,000+", short(12_000): "12k",
		short(9_999):     "9,999",
		short(2_500_000): "2.5M", perMinute(0, time.Minute): "0", perMinute(1, time.Hour): "<0.1", perMinute(7, 5*time.Minute): "1.4",
		roughly(-time.Second): "0s", roughly(59 * time.Second): "59s",
		roughly(90 * time.Minute): "1h 30m", roughly(50 * time.Hour): "2d 2h",
		roughly(300 * time.Hour): "12d", languages[0].relative(noon.Add(time.Hour), noon): "in 1h",
		languages[0].relative(noon, noon):        "now",
		languages[0].relative(time.Time{}, noon): "–",
		visible("a\u202eb\x00\xff\n"):            "a\\u202eb\\x00\\xff\n", brief(3, "a  b\ncd"): "a …", brief(5, "日本語"): "日本語",
	} {
		if got != wanted {
			t.Errorf("%q, not %q", got, wanted)
		}
	}
}

// TestAgo: what has ended after the page's clock was read is not to come.
func TestAgo(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	p := &page{Now: now, v: &visit{Dashboard: &Dashboard{config: Config{Refresh: 2 * time.Second}}, language: languages[0]}}
	for at, want := range map[time.Duration]string{2 * time.Second: "now", 3 * time.Second: "in 3s", -3 * time.Second: "3s ago"} {
		if got := p.Ago(now.Add(at)); got != want {
			t.Errorf("%v from now is %q, want %q", at, got, want)
		}
	}
}

func TestQueriesCanBeReadBack(t *testing.T) {
	for _, value := range []string{"a", "a b", `"`, `\`, `a"b\c d`, "queue:x", "日本", `\"`, "a\tb"} {
		all, err := terms(joined("queue", value, "name", "", "error", value))
		if err != nil || len(all) != 2 || all[0] != (term{"queue", value}) || all[1] != (term{"error", value}) {
			t.Errorf("%q: %q, %v", value, all, err)
		}
	}
}

func TestRedactAndRestore(t *testing.T) {
	d := &Dashboard{}
	original := []byte(`{"a": 1, "token": {"x": [1, "]"]}, "list": [{"secret": "s\"}"}, 2], "u": "mysql://j:p@h"}`)
	masked := string(d.redactData("", original))
	if masked != `{"a":1,"token":"••••","list":[{"secret":"••••"},2],"u":"mysql://••••@h"}` {
		t.Fatal(masked)
	}
	for edited, wanted := range map[string]string{
		masked:                            string(original),
		`{"a":2}`:                         `{"a":2}`,
		`{"token":"••••","b":1}`:          `{"token":{"x": [1, "]"]},"b":1}`,
		`{"list":[{"secret":"••••"}]}`:    `{"list":[{"secret": "s\"}"}]}`,
		`{"list":[3,{"secret":"••••"}]}`:  "",
		`{"token":"my ••••"}`:             "",
		`{"other":"••••"}`:                "",
		`"••••"`:                          "",
		`["••••"]`:                        "",
		`{"token":["••••"]}`:              "",
		`{"u":"mysql://••••@elsewhere"}`:  "",
		`{"u":"mysql://••••@h","••••":1}`: `{"u":"mysql://j:p@h","••••":1}`,
	} {
		got, err := restore([]byte(edited), original, []byte(masked))
		if (err != nil) != (wanted == "") || wanted != "" && string(got) != wanted {
			t.Errorf("%s: %s, %v", edited, got, err)
		}
	}
	for i := range original { // what was cut shows no secret
		if cut := string(d.redactData("", original[:i])); strings.Contains(cut, `s\`) || strings.Contains(cut, ":p") ||
			strings.Contains(cut, `"]"`) {
			t.Errorf("%s of %s", cut, original[:i])
		}
	}
}
