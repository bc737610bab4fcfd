package cli

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// maxSeconds is the longest duration that a time.Duration holds, in seconds.
const maxSeconds = float64(math.MaxInt64) / float64(time.Second)

// daysAndWeeks is the part of a duration that time.ParseDuration does not read.
var daysAndWeeks = regexp.MustCompile(`^([+-]?)(?:(\d+(?:\.\d+)?)w)?(?:(\d+(?:\.\d+)?)d)?`)

// parseDuration reads a number of seconds, or a duration with units such as 1.5s, 10m, 1h30m, 2d and 1w.
func parseDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(n) || math.Abs(n) >= maxSeconds {
			return 0, fmt.Errorf("%s seconds are out of range", s)
		}
		return time.Duration(math.Round(n * float64(time.Second))), nil
	}
	parts := daysAndWeeks.FindStringSubmatch(s)
	weeks, _ := strconv.ParseFloat(parts[2], 64)
	days, _ := strconv.ParseFloat(parts[3], 64)
	rest := s[len(parts[0]):]
	var d time.Duration
	if rest != "" || parts[2]+parts[3] == "" {
		var err error
		if d, err = time.ParseDuration(parts[1] + rest); err != nil || strings.ContainsAny(rest, "+-") {
			return 0, fmt.Errorf("%q is not a duration: use seconds, or a number with a unit such as 1.5s, 10m, 2h, 1d or 1w", s)
		}
	}
	long := weeks*term.Week.Seconds() + days*term.Day.Seconds()
	if parts[1] == "-" {
		long = -long
	}
	if math.Abs(long+d.Seconds()) >= maxSeconds {
		return 0, fmt.Errorf("%s is out of range", s)
	}
	return d + time.Duration(math.Round(long*float64(time.Second))), nil
}

// seconds is a flag that takes a duration.
type seconds struct {
	value *time.Duration
	check func(time.Duration) error // nil: anything goes
}

func (s seconds) String() string {
	if s.value == nil {
		return ""
	}
	return term.Duration(*s.value)
}

func (s seconds) Type() string { return "duration" }

func (s seconds) Set(text string) error {
	d, err := parseDuration(text)
	if err == nil && s.check != nil {
		err = s.check(d)
	}
	if err == nil {
		*s.value = d
	}
	return err
}

func notNegative(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s is negative: use 0 or more", term.Duration(d))
	}
	return nil
}

func positive(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s is not positive: use more than 0", term.Duration(d))
	}
	return nil
}

// secondsList is a flag that takes durations with commas between them.
type secondsList struct {
	value *[]time.Duration
}

func (l secondsList) String() string {
	if l.value == nil {
		return ""
	}
	var texts []string
	for _, d := range *l.value {
		texts = append(texts, term.Duration(d))
	}
	return strings.Join(texts, ",")
}

func (l secondsList) Type() string { return "durations" }

func (l secondsList) Set(text string) error {
	var list []time.Duration
	for part := range strings.SplitSeq(text, ",") {
		d, err := parseDuration(strings.TrimSpace(part))
		if err == nil {
			err = notNegative(d)
		}
		if err != nil {
			return err
		}
		list = append(list, d)
	}
	*l.value = list
	return nil
}

// counter is a flag that takes a number of at least least.
type counter struct {
	value *int
	least int
}

func (c counter) String() string {
	if c.value == nil {
		return ""
	}
	return strconv.Itoa(*c.value)
}

func (c counter) Type() string { return "number" }

func (c counter) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", text)
	}
	if n < c.least {
		return fmt.Errorf("%d is too small: use %d or more", n, c.least)
	}
	*c.value = n
	return nil
}
