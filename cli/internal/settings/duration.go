package settings

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// maxSeconds is the longest duration that a time.Duration holds, in seconds.
const maxSeconds = float64(math.MaxInt64) / float64(time.Second)

// daysAndWeeks is the part of a duration that time.ParseDuration does not read.
var daysAndWeeks = regexp.MustCompile(`^([+-]?)(?:(\d+(?:\.\d+)?)w)?(?:(\d+(?:\.\d+)?)d)?`)

// ParseDuration reads a number of seconds, or a duration with units such as 1.5s, 10m, 1h30m, 2d and 1w.
func ParseDuration(s string) (time.Duration, error) {
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

// Duration is a flag that takes a duration. check says what is wrong with one; nil: anything goes.
func Duration(value *time.Duration, check func(time.Duration) error) pflag.Value {
	return seconds{value, check}
}

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
	d, err := ParseDuration(text)
	if err == nil && s.check != nil {
		err = s.check(d)
	}
	if err == nil {
		*s.value = d
	}
	return err
}

// NotNegative refuses durations of less than 0.
func NotNegative(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s is negative: use 0 or more", term.Duration(d))
	}
	return nil
}

// Positive refuses durations of 0 or less.
func Positive(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s is not positive: use more than 0", term.Duration(d))
	}
	return nil
}

// DurationList is a flag that takes durations with commas between them.
func DurationList(value *[]time.Duration) pflag.Value { return secondsList{value} }

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
		d, err := ParseDuration(strings.TrimSpace(part))
		if err == nil {
			err = NotNegative(d)
		}
		if err != nil {
			return err
		}
		list = append(list, d)
	}
	*l.value = list
	return nil
}

// Expiry is a flag that takes a positive duration or off, which is -1.
func Expiry(value *time.Duration) pflag.Value { return expiry{value} }

type expiry struct{ value *time.Duration }

func (e expiry) String() string {
	if e.value == nil {
		return ""
	}
	if *e.value < 0 {
		return "off"
	}
	return term.Duration(*e.value)
}

func (e expiry) Type() string { return "duration" }

func (e expiry) Set(text string) error {
	if text == "off" {
		*e.value = -1
		return nil
	}
	d, err := ParseDuration(text)
	if err != nil {
		return err
	}
	if d <= 0 {
		return fmt.Errorf("%s is not positive: use more than 0, or off for never", term.Duration(d))
	}
	*e.value = d
	return nil
}

// Hours is a flag that takes a number of hours.
func Hours(value *time.Duration) pflag.Value { return hours{value} }

type hours struct{ value *time.Duration }

func (h hours) String() string {
	if h.value == nil || *h.value == 0 {
		return ""
	}
	return strconv.FormatFloat(h.value.Hours(), 'f', -1, 64)
}

func (h hours) Type() string { return "number" }

func (h hours) Set(text string) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > maxSeconds/3600 {
		return fmt.Errorf("%q is not a number of hours from 0", text)
	}
	*h.value = time.Duration(n * float64(time.Hour))
	return nil
}
