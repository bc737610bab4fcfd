package cron

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Mistake is what is wrong with a rule, and the rule that would be right.
type Mistake struct {
	Wrong             string
	Cron, Every, Zone string // what would be right
}

func (m *Mistake) Error() string { return m.Wrong }

var names = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// Parse reads a rule: one of cron and every is given, and the other is empty. Intervals are counted from the anchor. What is wrong is told
// by a *Mistake.
func Parse(cron, every, zone string, anchor time.Time) (*Rule, error) {
	location, err := location(cron, every, zone)
	if err != nil {
		return nil, err
	}
	r := &Rule{zone: location, anchor: anchor}
	switch {
	case cron == "" && every == "":
		return nil, &Mistake{Wrong: "it does not say when: give a cron expression or an interval", Every: "1h", Zone: zone}
	case cron != "" && every != "":
		return nil, &Mistake{Wrong: "it has a cron expression and an interval: leave one", Cron: cron, Zone: zone}
	case every != "":
		err = r.parseEvery(every)
	default:
		err = r.parseCron(cron)
	}
	if err != nil {
		return nil, err
	}
	if r.every == 0 && r.Next(time.Now()).IsZero() {
		return nil, r.never(cron, every)
	}
	return r, nil
}

func location(cron, every, zone string) (*time.Location, error) {
	if zone == "" {
		zone = "UTC"
	}
	location, err := time.LoadLocation(zone)
	if err == nil && zone != "Local" {
		return location, nil
	}
	right := "UTC"
	for _, guess := range []string{titled(zone), strings.ToUpper(zone)} {
		if _, err := time.LoadLocation(guess); err == nil && guess != "Local" {
			right = guess
			break
		}
	}
	return nil, &Mistake{
		Wrong: fmt.Sprintf("the time zone %q is unknown: use a name such as Europe/Berlin, Asia/Shanghai or UTC", zone),
		Cron:  cron, Every: every, Zone: right,
	}
}

// titled writes a zone's name as zones are written, such as America/New_York.
func titled(zone string) string {
	up := true
	return strings.Map(func(r rune) rune {
		if r == ' ' {
			r = '_'
		}
		was := up
		up = r == '/' || r == '_' || r == '-'
		if was {
			return []rune(strings.ToUpper(string(r)))[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, strings.TrimSpace(zone))
}

func (r *Rule) parseCron(text string) error {
	mistake := func(cron, format string, a ...any) error {
		return &Mistake{
			Wrong: fmt.Sprintf("the cron expression %.100q %s", text, fmt.Sprintf(format, a...)), Cron: cron, Zone: r.zone.String(),
		}
	}
	fields := strings.Fields(text)
	if len(fields) > 0 && strings.Contains(fields[0], "TZ=") {
		_, zone, _ := strings.Cut(fields[0], "=")
		m := &Mistake{
			Wrong: fmt.Sprintf("the cron expression %.100q has a time zone in it: give the zone by itself", text),
			Cron:  strings.Join(fields[1:], " "), Zone: zone,
		}
		if _, err := location("", "", zone); err != nil {
			m.Zone = "UTC"
		}
		return m
	}
	if len(fields) == 1 && strings.HasPrefix(text, "@") {
		known, ok := names[strings.ToLower(fields[0])]
		if !ok {
			return mistake("@daily", "is none of @yearly, @monthly, @weekly, @daily and @hourly")
		}
		fields = strings.Fields(known)
	}
	switch len(fields) {
	case len(units):
	case len(units) + 1:
		return mistake(strings.Join(fields[1:], " "), "has 6 fields: leave out the seconds, it has minute, hour, day, month and weekday")
	default:
		return mistake("30 2 * * *", "has %d fields: it has five, minute, hour, day, month and weekday", len(fields))
	}
	for i, field := range fields {
		fields[i] = strings.ToUpper(field)
		if wrong := units[i].check(fields[i]); wrong != "" {
			right := strings.Fields("30 2 * * *")
			copy(right, fields[:i])
			return mistake(strings.Join(right, " "), "has the %s %q: %s", units[i].name, field, wrong)
		}
	}
	r.real = strings.Contains(fields[0]+fields[1], "*")
	expression, err := newExpression(fields)
	r.wall = expression.next
	return err
}

// unit is a field of a cron expression.
type unit struct {
	name        string
	least, most int
	words       string // in the order of their numbers, each of three letters
	special     *regexp.Regexp
}

var units = []unit{
	{name: "minute", most: 59},
	{name: "hour", most: 23},
	{name: "day", least: 1, most: 31, special: regexp.MustCompile(`^(L|([1-9]|[12]\d|3[01])W)$`)},
	{name: "month", least: 1, most: 12, words: "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
	{
		name: "weekday", most: 7, words: "SUNMONTUEWEDTHUFRISAT",
		special: regexp.MustCompile(`^([0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5])$`),
	},
}

var part = regexp.MustCompile(`^(\*|([0-9A-Z]+)(-([0-9A-Z]+))?)(/(\d+))?$`)

// check says what is wrong with a field.
func (u unit) check(field string) string {
	says := fmt.Sprintf("use %d to %d, a list 1,3, a range 1-5, or * and */2", u.least, u.most)
	for one := range strings.SplitSeq(field, ",") {
		if u.special != nil && u.special.MatchString(one) || one == "?" && u.special != nil {
			continue
		}
		m := part.FindStringSubmatch(one)
		if m == nil {
			return says
		}
		first, last := u.number(m[2]), u.number(m[4])
		switch step, err := strconv.Atoi(m[6]); {
		case m[1] != "*" && (first < u.least || first > u.most), m[4] != "" && (last < u.least || last > u.most):
			return says
		case m[4] != "" && last < first:
			return fmt.Sprintf("%s is a range that ends before it begins", one)
		case m[6] != "" && (err != nil || step == 0 || step > u.most):
			return fmt.Sprintf("a step is from 1 to %d", u.most)
		}
	}
	return ""
}

// number is that of a number or a word; -1: it is neither.
func (u unit) number(text string) int {
	const letters = 3
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	if i := strings.Index(u.words, text); i >= 0 && i%letters == 0 && len(text) == letters {
		return i/letters + u.least
	}
	return -1
}

// never is the mistake of a rule that never comes, such as the 30th of February.
func (r *Rule) never(cron, every string) error {
	if every != "" {
		return &Mistake{Wrong: fmt.Sprintf("every %q never comes", every), Every: "1 month on last at 00:00", Zone: r.zone.String()}
	}
	fields := strings.Fields(cron)
	fields[2] = "28"
	return &Mistake{
		Wrong: fmt.Sprintf("the cron expression %.100q never comes: its months have no such day", cron),
		Cron:  strings.Join(fields, " "), Zone: r.zone.String(),
	}
}
