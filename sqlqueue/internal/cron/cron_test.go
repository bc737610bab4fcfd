package cron

import (
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine
)

// dst are changes of clocks: what comes next, by Vixie's rule. Times of day come once a day, and what is left out comes when the clock is
// set forward; a * in minute or hour goes by real time.
var dst = []struct{ cron, zone, after, want string }{
	{"30 2 * * *", "America/New_York", "2026-03-07T03:00:00", "Mar8 03:00 EDT · Mar9 02:30 EDT · Mar10 02:30 EDT"},
	{"0 2 * * *", "America/New_York", "2026-03-07T03:00:00", "Mar8 03:00 EDT · Mar9 02:00 EDT · Mar10 02:00 EDT"},
	{"*/15 * * * *", "America/New_York", "2026-03-08T01:30:00", "Mar8 01:45 EST · Mar8 03:00 EDT · Mar8 03:15 EDT"},
	{"30 1 * * *", "America/New_York", "2026-10-31T02:00:00", "Nov1 01:30 EDT · Nov2 01:30 EST · Nov3 01:30 EST"},
	{
		"*/30 * * * *", "America/New_York", "2026-11-01T00:45:00",
		"Nov1 01:00 EDT · Nov1 01:30 EDT · Nov1 01:00 EST · Nov1 01:30 EST · Nov1 02:00 EST",
	},
	{"0 * * * *", "America/New_York", "2026-11-01T00:30:00", "Nov1 01:00 EDT · Nov1 01:00 EST · Nov1 02:00 EST"},
	{"0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00", "Apr24 01:00 EEST · Apr25 00:00 EEST"},
	{"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T03:00:00", "Apr5 01:45 +11 · Apr6 01:45 +1030"},
	{"30 2 * * *", "Asia/Shanghai", "2026-03-08T00:00:00", "Mar8 02:30 CST · Mar9 02:30 CST"},
	{"30 2 * * *", "Asia/Shanghai", "1986-05-03T12:00:00", "May4 03:00 CDT · May5 02:30 CDT"},
	{"0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00", "Dec29 12:00 -10 · Dec31 00:00 +14 · Dec31 12:00 +14"},
	{
		"0,30 1,2 * * *", "America/New_York", "2026-11-01T00:30:00",
		"Nov1 01:00 EDT · Nov1 01:30 EDT · Nov1 02:00 EST · Nov1 02:30 EST · Nov2 01:00 EST",
	},
	{"*/30 * * * *", "America/New_York", "2026-11-01T06:10:00Z", "Nov1 01:30 EST · Nov1 02:00 EST"},
	{
		"*/30 1 * * *", "America/New_York", "2026-11-01T00:45:00",
		"Nov1 01:00 EDT · Nov1 01:30 EDT · Nov1 01:00 EST · Nov1 01:30 EST · Nov2 01:00 EST",
	},
	{"0 */2 * * *", "America/New_York", "2026-03-08T00:30:00", "Mar8 04:00 EDT · Mar8 06:00 EDT"},

	// half an hour is left out, or comes twice
	{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00", "Oct4 02:30 +11 · Oct5 02:15 +11"},
	{"*/15 * * * *", "Australia/Lord_Howe", "2026-10-04T01:45:00", "Oct4 02:30 +11 · Oct4 02:45 +11"},
	{
		"*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:30:00Z",
		"Apr5 01:45 +11 · Apr5 01:30 +1030 · Apr5 01:45 +1030 · Apr5 02:00 +1030",
	},
	// midnights that are left out, or come twice
	{"0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00", "Nov4 01:00 -02 · Nov5 00:00 -02"},
	{"30 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00", "Nov4 01:00 -02 · Nov5 00:30 -02"},
	{"30 23 * * *", "America/Sao_Paulo", "2018-02-17T12:00:00", "Feb17 23:30 -02 · Feb18 23:30 -03"},
	{"@daily", "Asia/Beirut", "2026-03-28T12:00:00", "Mar29 01:00 EEST · Mar30 00:00 EEST"},
	{"0 * * * *", "Africa/Cairo", "2026-04-23T22:30:00", "Apr23 23:00 EET · Apr24 01:00 EEST · Apr24 02:00 EEST"},
	// left out together, they come once, and not again with what comes at the end of the change
	{"0,15,30,45 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00", "Mar29 03:00 CEST · Mar30 02:00 CEST"},
	{"0 2,3 * * *", "Europe/Berlin", "2026-03-29T01:00:00", "Mar29 03:00 CEST · Mar30 02:00 CEST"},
	{"30 1-3 * * *", "Europe/Berlin", "2026-03-29T01:00:00", "Mar29 01:30 CET · Mar29 03:00 CEST · Mar29 03:30 CEST · Mar30 01:30 CEST"},
	// ranges and lists have no *, unless there is one among them
	{"0 1-3 * * *", "America/New_York", "2026-11-01T00:30:00", "Nov1 01:00 EDT · Nov1 02:00 EST · Nov1 03:00 EST"},
	{"0 0-23 * * *", "America/New_York", "2026-11-01T00:30:00", "Nov1 01:00 EDT · Nov1 02:00 EST"},
	{"5,*/30 1 * * *", "America/New_York", "2026-11-01T01:01:00", "Nov1 01:05 EDT · Nov1 01:30 EDT · Nov1 01:00 EST · Nov1 01:05 EST"},
	{"0-59/30 1 * * *", "America/New_York", "2026-11-01T00:45:00", "Nov1 01:00 EDT · Nov1 01:30 EDT · Nov2 01:00 EST"},
	{"30 */3 * * *", "America/New_York", "2026-03-08T00:00:00", "Mar8 00:30 EST · Mar8 03:30 EDT"},
	// after the second showing of a reading
	{"30 1 * * *", "America/New_York", "2026-11-01T06:00:00Z", "Nov2 01:30 EST"},
	{"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T15:05:00Z", "Apr6 01:45 +1030"},
	// the day that Apia had not
	{"0 0 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00", "Dec31 00:00 +14 · Dec30 00:00 +14"},
	{"0 * * * *", "Pacific/Apia", "2011-12-29T22:30:00", "Dec29 23:00 -10 · Dec31 00:00 +14"},
	{"*/20 * * * *", "Pacific/Apia", "2011-12-29T23:30:00", "Dec29 23:40 -10 · Dec31 00:00 +14"},
	// Kwajalein had no 21st of August 1993
	{"0 6 * * *", "Pacific/Kwajalein", "1993-08-20T07:00:00", "Aug22 00:00 +12 · Aug22 06:00 +12"},
	// changes that are not of summer time: half an hour forward in 2018, and back in 2015
	{"45 23 * * *", "Asia/Pyongyang", "2018-05-04T12:00:00", "May5 00:00 KST · May5 23:45 KST"},
	{"45 23 * * *", "Asia/Pyongyang", "2015-08-14T12:00:00", "Aug14 23:45 KST · Aug15 23:45 KST"},
	// two hours in Troll, and a second change within the year in Casablanca
	{"30 1 * * *", "Antarctica/Troll", "2026-03-28T12:00:00", "Mar29 03:00 +02 · Mar30 01:30 +02"},
	{"30 2 * * *", "Africa/Casablanca", "2026-02-14T12:00:00", "Feb15 02:30 +01 · Feb16 02:30 +00"},
	{"30 2 * * *", "Africa/Casablanca", "2026-03-21T12:00:00", "Mar22 03:00 +01 · Mar23 02:30 +01"},
	{"59 23 31 12 *", "UTC", "2026-01-01T00:00:00", "Dec31 23:59 UTC · Dec31 23:59 UTC"},
	// the end of a leap year that has no entry in the data of the zone, only a rule
	{"30 2 * * *", "America/New_York", "2040-12-29T12:00:00", "Dec30 02:30 EST · Dec31 02:30 EST · Jan1 02:30 EST"},
	{"0 */12 * * *", "America/New_York", "2040-12-30T12:30:00", "Dec31 00:00 EST · Dec31 12:00 EST · Jan1 00:00 EST · Jan1 12:00 EST"},
	{"30 2 * * *", "Australia/Sydney", "2044-12-30T12:00:00", "Dec31 02:30 AEDT · Jan1 02:30 AEDT"},
	{
		"*/30 23,0 * * *", "Australia/Sydney", "2044-12-31T23:10:00",
		"Dec31 23:30 AEDT · Jan1 00:00 AEDT · Jan1 00:30 AEDT · Jan1 23:00 AEDT",
	},
	// both of day and weekday: either
	{"0 0 13 * 5", "UTC", "2026-11-01T00:00:00", "Nov6 00:00 UTC · Nov13 00:00 UTC · Nov20 00:00 UTC"},
	{"0 9 * * mon-fri", "UTC", "2026-11-06T10:00:00", "Nov9 09:00 UTC · Nov10 09:00 UTC"},
	{"0 9 L * ?", "UTC", "2026-11-06T10:00:00", "Nov30 09:00 UTC · Dec31 09:00 UTC"},
	{"0 9 * * 1#1", "UTC", "2026-11-06T10:00:00", "Dec7 09:00 UTC · Jan4 09:00 UTC"},
	{"0 0 29 2 *", "UTC", "2026-11-06T10:00:00", "Feb29 00:00 UTC · Feb29 00:00 UTC"},
}

func TestChangesOfClocks(t *testing.T) {
	for _, c := range dst {
		check(t, c.cron, "", c.zone, c.after, c.want)
	}
}

func TestEvery(t *testing.T) {
	for _, c := range []struct{ every, zone, want string }{
		{"90s", "UTC", "Jan1 12:31 UTC · Jan1 12:33 UTC · Jan1 12:34 UTC"},
		{"10 minutes", "UTC", "Jan1 12:40 UTC · Jan1 12:50 UTC"},
		{"2 hours", "UTC", "Jan1 14:30 UTC · Jan1 16:30 UTC"},
		{"day at 02:30", "America/New_York", "Jan2 02:30 EST · Jan3 02:30 EST"},
		{"2 days at 12:31", "UTC", "Jan1 12:31 UTC · Jan3 12:31 UTC · Jan5 12:31 UTC"},
		{"3 days at 02:30", "UTC", "Jan4 02:30 UTC · Jan7 02:30 UTC"},
		{"week on mon,fri at 02:30", "UTC", "Jan2 02:30 UTC · Jan5 02:30 UTC · Jan9 02:30 UTC"},
		{"2 weeks on mon,sun at 2:30", "UTC", "Jan4 02:30 UTC · Jan12 02:30 UTC · Jan18 02:30 UTC · Jan26 02:30 UTC"},
		{"1 month on 1,last at 00:00", "UTC", "Jan31 00:00 UTC · Feb1 00:00 UTC · Feb28 00:00 UTC · Mar1 00:00 UTC"},
		{"3 months on 31 at 00:00", "UTC", "Jan31 00:00 UTC · Jul31 00:00 UTC · Oct31 00:00 UTC"},
	} {
		check(t, "", c.every, c.zone, "2026-01-01T12:30:00Z", c.want)
	}
	r, err := Parse("", "2 days at 02:30", "America/New_York", date(t, "2026-03-06T00:00:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Next(date(t, "2026-03-07T12:00:00Z")).Format(time.RFC3339); got != "2026-03-09T02:30:00-04:00" {
		t.Errorf("across the change: got %s", got)
	}
}

// Intervals keep their phase, whatever happened before, and a run by hand is not followed by another at once.
func TestPhase(t *testing.T) {
	anchor := date(t, "2026-01-01T00:00:07Z")
	r, err := Parse("", "1m", "", anchor)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ after, next, following string }{
		{"2026-01-01T00:00:07Z", "2026-01-01T00:01:07Z", "2026-01-01T00:01:07Z"},
		{"2026-06-01T10:00:06.999999Z", "2026-06-01T10:00:07Z", "2026-06-01T10:01:07Z"},
		{"2025-06-01T10:00:08Z", "2025-06-01T10:01:07Z", "2025-06-01T10:01:07Z"},
	} {
		at := date(t, c.after)
		if next, following := r.Next(at), r.Following(at); !next.Equal(date(t, c.next)) || !following.Equal(date(t, c.following)) {
			t.Errorf("after %s: next %v, following %v", c.after, next, following)
		}
	}
	if got := r.Last(anchor, date(t, "2036-01-01T00:00:00Z")); !got.Equal(date(t, "2035-12-31T23:59:07Z")) {
		t.Errorf("the last is %v", got)
	}
	if got := r.Last(date(t, "2026-01-01T00:00:08Z"), date(t, "2026-01-01T00:01:06Z")); !got.IsZero() {
		t.Errorf("the last is %v, of none", got)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ cron, every, zone, says, right string }{
		{"0 30 2 * * *", "", "", "has 6 fields: leave out the seconds", "30 2 * * * UTC"},
		{"30 2 * *", "", "", "has 4 fields", "30 2 * * * UTC"},
		{"TZ=Asia/Shanghai 30 2 * * *", "", "", "has a time zone in it", "30 2 * * * Asia/Shanghai"},
		{"CRON_TZ=x 30 2 * * *", "", "", "has a time zone in it", "30 2 * * * UTC"},
		{"TZ=UTC", "", "", "has a time zone in it", " UTC"},
		{"0 0 30 2 *", "", "", "never comes", "0 0 28 2 * UTC"},
		{"0 0 31 4,6 *", "", "Europe/Berlin", "never comes", "0 0 28 4,6 * Europe/Berlin"},
		{"61 2 * * *", "", "", `the minute "61"`, "30 2 * * * UTC"},
		{"5 24 * * *", "", "", `the hour "24"`, "5 2 * * * UTC"},
		{"5 2 0 * *", "", "", `the day "0"`, "5 2 * * * UTC"},
		{"5 2 1 foo *", "", "", `the month "foo"`, "5 2 1 * * UTC"},
		{"5 2 1 * 22-2", "", "", `the weekday "22-2"`, "5 2 1 * * UTC"},
		{"5-2 2 1 * *", "", "", "ends before it begins", "30 2 * * * UTC"},
		{"*/0 2 1 * *", "", "", "a step is", "30 2 * * * UTC"},
		{"*,99 2 1 * *", "", "", `the minute "*,99"`, "30 2 * * * UTC"},
		{"@every 1s", "", "", "has 2 fields", "30 2 * * * UTC"},
		{"@everysecond", "", "", "is none of", "@daily UTC"},
		{"30 2 * * *", "", "asia/shanghai", "is unknown", "30 2 * * * Asia/Shanghai"},
		{"30 2 * * *", "", "new york", "is unknown", "30 2 * * * UTC"},
		{"30 2 * * *", "", "america/new york", "is unknown", "30 2 * * * America/New_York"},
		{"30 2 * * *", "", "Local", "is unknown", "30 2 * * * UTC"},
		{"30 2 * * *", "", "../../etc/passwd", "is unknown", "30 2 * * * UTC"},
		{"", "", "", "does not say when", "every 1h "},
		{"30 2 * * *", "1s", "", "leave one", "30 2 * * * "},
		{"", "500ms", "", "too often", "every 1s UTC"},
		{"", "-1h", "", "too often", "every 1s UTC"},
		{"", "999999999 hours", "", "at most", "every 1h UTC"},
		{"", "often", "", "not understood", "every 10 minutes UTC"},
		{"", "2 days", "", "needs a time of day", "every 2 days at 02:30 UTC"},
		{"", "0 days at 02:30", "", "must be 1 to 1000", "every 1 day at 02:30 UTC"},
		{"", "2 weeks at 02:30", "", "which days of the week", "every 1 week on mon at 02:30 UTC"},
		{"", "2 weeks on 1 at 02:30", "", `weekday "1"`, "every 1 week on mon at 02:30 UTC"},
		{"", "month on 32 at 02:30", "", `day "32"`, "every 1 month on 1 at 02:30 UTC"},
		{"", "day at 24:00", "", "no clock shows", "every 1 day at 02:30 UTC"},
	} {
		began := time.Now()
		_, err := Parse(c.cron, c.every, c.zone, began)
		var m *Mistake
		if !errors.As(err, &m) || !strings.Contains(m.Wrong, c.says) {
			t.Errorf("%q, every %q, in %q: got %v, want %q", c.cron, c.every, c.zone, err, c.says)
			continue
		}
		right := m.Cron + " " + m.Zone
		if m.Every != "" {
			right = "every " + m.Every + " " + m.Zone
		}
		if right != c.right {
			t.Errorf("%q, every %q, in %q: right is %q, want %q", c.cron, c.every, c.zone, right, c.right)
		}
		if m.Cron+m.Every != "" {
			if _, err := Parse(m.Cron, m.Every, m.Zone, began); err != nil {
				t.Errorf("%q is said to be right: %v", right, err)
			}
		}
	}
}

// Whatever the zone does, a time of day comes once for each day of ten years, and of ten beyond the data of zones.
func TestOnceADay(t *testing.T) {
	const days = 3653 // of ten years, three of which are leap years
	for _, zone := range []string{
		"Asia/Shanghai", "America/New_York", "Africa/Cairo", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca",
	} {
		for _, cron := range []string{"30 2 * * *", "0 0 * * *"} {
			for _, year := range []int{2016, 2036} {
				r, err := Parse(cron, "", zone, time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]int{}
				end := time.Date(year+10, 1, 1, 0, 0, 0, 0, r.Zone())
				for at := time.Date(year, 1, 1, 0, 0, 0, 0, r.Zone()).Add(-1); ; {
					next := r.Next(at)
					if !next.After(at) {
						t.Fatalf("%s in %s: %v after %v", cron, zone, next, at)
					}
					if !next.Before(end) {
						break
					}
					at = next
					seen[at.Format(time.DateOnly)]++
				}
				if len(seen) != days {
					t.Errorf("%s in %s: on %d days, want %d", cron, zone, len(seen), days)
				}
				for day, n := range seen {
					if n != 1 {
						t.Errorf("%s in %s: %d times on %s", cron, zone, n, day)
					}
				}
			}
		}
	}
}

func check(t *testing.T, cron, every, zone, after, want string) {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	start, err := time.ParseInLocation("2006-01-02T15:04:05", strings.TrimSuffix(after, "Z"), location)
	if strings.HasSuffix(after, "Z") {
		start, err = time.Parse(time.RFC3339, after)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(cron, every, zone, start)
	if err != nil {
		t.Errorf("%s%s in %s: %v", cron, every, zone, err)
		return
	}
	var got []string
	for at := start; len(got) < strings.Count(want, "·")+1; {
		if at = r.Next(at); at.IsZero() {
			break
		}
		got = append(got, at.Format("Jan2 15:04 MST"))
	}
	if all := strings.Join(got, " · "); all != want {
		t.Errorf("%s%s in %s after %s: got\n%s, want\n%s", cron, every, zone, after, all, want)
	}
}

func date(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func BenchmarkNext(b *testing.B) {
	r, err := Parse("30 2 * * *", "", "America/New_York", time.Time{})
	if err != nil {
		b.Fatal(err)
	}
	at := time.Now()
	for b.Loop() {
		at = r.Next(at)
	}
}
