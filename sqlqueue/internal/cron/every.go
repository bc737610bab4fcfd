package cron

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	interval = regexp.MustCompile(`^(\d{1,9}) ?(second|minute|hour)s?$`)
	single   = regexp.MustCompile(`^(second|minute|hour)$`)
	calendar = regexp.MustCompile(`^(?:(\d{1,4}) )?(day|week|month)s?(?: on ([a-z0-9,]+))?(?: at (\d{1,2}):(\d\d))?$`)
)

// EveryForms tells what an interval may look like.
const EveryForms = "90s, 10 minutes, 2 hours, 1 day at 02:30, 2 weeks on mon,fri at 02:30, 3 months on 1,last at 02:30"

const (
	leastEvery = time.Second
	mostEvery  = 100 * 365 * 24 * time.Hour
	mostDays   = 1000 // days, weeks or months at a time
)

func (r *Rule) parseEvery(text string) error {
	given := strings.Join(strings.Fields(strings.ToLower(text)), " ")
	mistake := func(right, format string, a ...any) error {
		return &Mistake{Wrong: fmt.Sprintf("every %.100q %s", text, fmt.Sprintf(format, a...)), Every: right, Zone: r.zone.String()}
	}
	if single.MatchString(given) {
		given = "1 " + given
	}
	if m := calendar.FindStringSubmatch(given); m != nil {
		wrong, right := r.parseCalendar(m)
		if wrong != "" {
			return mistake(right, "%s", wrong)
		}
		return nil
	}
	d, err := time.ParseDuration(strings.ReplaceAll(given, " ", ""))
	if m := interval.FindStringSubmatch(given); m != nil {
		n, _ := strconv.Atoi(m[1]) // at most nine digits
		unit := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}[m[2]]
		d, err = time.Duration(min(n, int(mostEvery/time.Second)+1))*unit, nil
	}
	switch {
	case err != nil:
		return mistake("10 minutes", "is not understood: use a form such as %s", EveryForms)
	case d < leastEvery:
		return mistake("1s", "is too often: it must be at least 1s")
	case d > mostEvery || d%time.Microsecond != 0:
		return mistake("1h", "must be whole microseconds, at most a hundred years")
	}
	r.every = d
	return nil
}

// parseCalendar takes the parts of a match of calendar: a number, a unit, days, an hour and minutes.
func (r *Rule) parseCalendar(m []string) (wrong, right string) {
	const day, examples = "day", "1 day at 02:30"
	n, unit, days := 1, m[2], m[3]
	if m[1] != "" {
		n, _ = strconv.Atoi(m[1])
	}
	right = map[string]string{day: examples, "week": "1 week on mon at 02:30", "month": "1 month on 1 at 02:30"}[unit]
	hour, _ := strconv.Atoi(m[4])
	minute, _ := strconv.Atoi(m[5])
	var on []int
	switch {
	case n < 1 || n > mostDays:
		return fmt.Sprintf("must be 1 to %d %ss at a time", mostDays, unit), right
	case m[4] == "":
		return "needs a time of day", strings.TrimSpace(m[0]) + " at 02:30"
	case hour > 23 || minute > 59:
		return "has a time of day that no clock shows: 00:00 to 23:59", right
	case unit == day && days != "":
		return "has days that are already every day: leave out what stands after on", right
	case unit != day && days == "":
		return fmt.Sprintf("does not say on which days of the %s", unit), right
	}
	for one := range strings.SplitSeq(days, ",") {
		number, err := strconv.Atoi(one)
		switch {
		case unit == day:
		case unit == "week":
			at := units[4].number(strings.ToUpper(one))
			if at < 0 || err == nil {
				return fmt.Sprintf("has the weekday %q: use mon, tue, wed, thu, fri, sat, sun", one), right
			}
			on = append(on, at%7)
		case one == "last":
			on = append(on, last)
		case err != nil || number < 1 || number > 31:
			return fmt.Sprintf("has the day %q: use 1 to 31, or last", one), right
		default:
			on = append(on, number)
		}
	}
	began := r.periodOf(r.anchor).reading(r.anchor)
	first := countOf(unit, began)
	r.wall = func(from time.Time) time.Time {
		year, month, date := from.Date()
		for i := range 400 * mostDays { // a month has at most 31 days
			at := time.Date(year, month, date+i, hour, minute, 0, 0, time.UTC)
			if at.After(from) && (countOf(unit, at)-first)%n == 0 && isOn(unit, on, at) {
				return at
			}
		}
		return time.Time{}
	}
	return "", ""
}

// last stands for the last day of a month.
const last = 0

// countOf numbers days, weeks from Monday, or months.
func countOf(unit string, t time.Time) int {
	const secondsOfDay, daysOfWeek, monthsOfYear = 24 * 60 * 60, 7, 12
	year, month, date := t.Date()
	days := int(time.Date(year, month, date, 0, 0, 0, 0, time.UTC).Unix() / secondsOfDay)
	switch unit {
	case "day":
		return days
	case "week":
		return (days + 3) / daysOfWeek // 1970 began on a Thursday
	default:
		return year*monthsOfYear + int(month)
	}
}

func isOn(unit string, on []int, t time.Time) bool {
	switch unit {
	case "week":
		return slices.Contains(on, int(t.Weekday()))
	case "month":
		return slices.Contains(on, t.Day()) || slices.Contains(on, last) && t.AddDate(0, 0, 1).Day() == 1
	}
	return true
}
