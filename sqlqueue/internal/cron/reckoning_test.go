package cron

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestReckoning compares Next with another reckoning around every change of a clock from 1980 to 2040: it goes through all minutes, and
// remembers the latest reading of the clock that has been. Rules without a * in minute and hour come when the clock first shows their time
// or passes it; the others whenever it shows their time.
func TestReckoning(t *testing.T) {
	const seeds, around = 2, 36 * time.Hour
	zones := []string{
		"Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "Africa/Juba", "America/Caracas", "America/Havana", "America/Mexico_City",
		"America/New_York", "America/Nuuk", "America/Santiago", "America/Sao_Paulo", "America/St_Johns", "Antarctica/Casey",
		"Antarctica/Troll", "Asia/Amman", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu", "Asia/Pyongyang", "Asia/Shanghai", "Asia/Tehran",
		"Atlantic/Azores", "Australia/Lord_Howe", "Europe/Dublin", "Europe/Istanbul", "Europe/Lisbon", "Europe/Volgograd", "Pacific/Apia",
		"Pacific/Chatham", "Pacific/Easter", "Pacific/Fakaofo", "Pacific/Kwajalein", "Pacific/Norfolk", "Pacific/Tongatapu", "UTC",
	}
	for i, zone := range zones {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(i), seeds))
			location, err := time.LoadLocation(zone)
			if err != nil {
				t.Fatal(err)
			}
			wrong := 0
			for change := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC); change.Year() < 2041 && wrong < 5; {
				_, next := change.In(location).ZoneBounds()
				if next.IsZero() || !next.After(change) {
					next = change.AddDate(1, 0, 0)
				}
				change = next
				from, to := change.Add(-around).Truncate(time.Minute), change.Add(around)
				expression := randomExpression(random)
				r, err := Parse(expression, "", zone, time.Time{})
				if err != nil {
					continue // such as the 31st of June; TestMistakes has what is refused
				}
				var got []time.Time
				for at := r.Next(from); !at.IsZero() && !at.After(to); at = r.Next(at) {
					got = append(got, at)
				}
				if want := reckon(expression, location, from, to); !slices.EqualFunc(got, want, time.Time.Equal) {
					wrong++
					t.Errorf("%q from %v: %s", expression, from.In(location), firstDifference(got, want, location))
				}
			}
		})
	}
}

// reckon returns the times after from, up to to.
func reckon(expression string, location *time.Location, from, to time.Time) (times []time.Time) {
	fields := strings.Fields(expression)
	actual := strings.Contains(fields[0]+fields[1], "*")
	reading := func(t time.Time) time.Time {
		_, offset := t.In(location).Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	start := from.Add(-25 * time.Hour) // no clock was ever set back by more
	latest := reading(start)
	for at := start.Add(time.Minute); !at.After(to); at = at.Add(time.Minute) {
		now, comes := reading(at), false
		switch {
		case actual:
			comes = matches(fields, now)
		case now.After(latest):
			for r := latest.Add(time.Minute); !r.After(now); r = r.Add(time.Minute) {
				comes = comes || matches(fields, r)
			}
		}
		if now.After(latest) {
			latest = now
		}
		if comes && at.After(from) {
			times = append(times, at)
		}
	}
	return times
}

// matches reports whether a cron expression of upper-case fields matches what a clock shows.
func matches(fields []string, now time.Time) bool {
	if !matchesNumber(fields[0], now.Minute(), 0, 59) || !matchesNumber(fields[1], now.Hour(), 0, 23) {
		return false
	}
	day, weekday := false, false
	for one := range strings.SplitSeq(fields[2], ",") {
		day = day || matchesDay(one, now)
	}
	for one := range strings.SplitSeq(fields[4], ",") {
		weekday = weekday || matchesWeekday(one, now)
	}
	both := day && weekday
	if !strings.ContainsAny(fields[2][:1]+fields[4][:1], "*?") {
		both = day || weekday
	}
	return both && matchesNumber(fields[3], int(now.Month()), 1, 12)
}

func matchesDay(one string, now time.Time) bool {
	last := time.Date(now.Year(), now.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if one == "L" {
		return now.Day() == last
	}
	if number, ok := strings.CutSuffix(one, "W"); ok { // the nearest day from Monday to Friday in the month
		n, _ := strconv.Atoi(number)
		if n > last {
			return false
		}
		best := 0
		for d := 1; d <= last; d++ {
			at := time.Date(now.Year(), now.Month(), d, 0, 0, 0, 0, time.UTC).Weekday()
			if at != time.Saturday && at != time.Sunday && (best == 0 || abs(d-n) < abs(best-n)) {
				best = d
			}
		}
		return now.Day() == best
	}
	return matchesNumber(one, now.Day(), 1, 31)
}

func matchesWeekday(one string, now time.Time) bool {
	if number, ok := strings.CutSuffix(one, "L"); ok {
		n, _ := strconv.Atoi(number)
		return int(now.Weekday()) == n%7 && now.AddDate(0, 0, 7).Month() != now.Month()
	}
	if number, nth, ok := strings.Cut(one, "#"); ok {
		n, _ := strconv.Atoi(number)
		k, _ := strconv.Atoi(nth)
		return int(now.Weekday()) == n%7 && (now.Day()-1)/7+1 == k
	}
	if first, step, ok := strings.Cut(one, "/"); ok && len(first) == 1 && first != "*" { // from this day to Saturday
		n, _ := strconv.Atoi(first)
		one = fmt.Sprintf("%d-6/%s", n%7, step)
	}
	return matchesNumber(one, int(now.Weekday()), 0, 7) || now.Weekday() == time.Sunday && matchesNumber(one, 7, 0, 7)
}

// matchesNumber reports whether a list of numbers, ranges and steps has n.
func matchesNumber(field string, n, least, most int) bool {
	for one := range strings.SplitSeq(field, ",") {
		of, by, stepped := strings.Cut(one, "/")
		step := 1
		if stepped {
			step, _ = strconv.Atoi(by)
		}
		first, last := least, most
		if of != "*" && of != "?" {
			from, to, ranged := strings.Cut(of, "-")
			first, _ = strconv.Atoi(from)
			switch {
			case ranged:
				last, _ = strconv.Atoi(to)
			case !stepped:
				last = first
			}
		}
		if n >= first && n <= last && (n-first)%step == 0 {
			return true
		}
	}
	return false
}

// randomExpression has all that a field may have, and most often times at which clocks are changed.
func randomExpression(random *rand.Rand) string {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	number := func(least, most int) string { return strconv.Itoa(least + random.IntN(most-least+1)) }
	between := func(least, most int) string {
		a, b := least+random.IntN(most-least+1), least+random.IntN(most-least+1)
		return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
	}
	field := func(least, most int, others ...string) string {
		return pick(append(others, "*", number(least, most), number(least, most)+","+number(least, most), between(least, most),
			between(least, most)+"/"+number(1, 7), "*/"+number(1, most), number(least, most)+"/"+number(1, 7),
			number(least, most)+","+between(least, most))...)
	}
	return strings.Join([]string{
		field(0, 59, "0", "0", "30", "15,45", "*/7", "*/20"),
		field(0, 23, "0", "1", "2", "3", "23", "1-2", "0-3", "*/2", "0,1,2,3"),
		field(1, 31, "*", "*", "*", "*", "?", "L", "15W", "1W", "31W", "*/2", "13"),
		field(1, 12, "*", "*", "*", "*", "*", "*", "3,10"),
		field(0, 7, "*", "*", "*", "*", "?", "7", "0", "5L", "1#1", "7#5", "5-7", "1-5"),
	}, " ")
}

func firstDifference(got, want []time.Time, location *time.Location) string {
	i := 0
	for i < min(len(got), len(want)) && got[i].Equal(want[i]) {
		i++
	}
	at := func(times []time.Time) string {
		if i >= len(times) {
			return "none"
		}
		return times[i].In(location).String()
	}
	return fmt.Sprintf("time %d is %s, reckoned %s", i, at(got), at(want))
}

func abs(n int) int { return max(n, -n) }
