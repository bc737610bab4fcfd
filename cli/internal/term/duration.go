package term

import (
	"fmt"
	"strings"
	"time"
)

// What time has no names for.
const (
	Day  = 24 * time.Hour
	Week = 7 * Day
)

// Duration writes a duration as a user would type it: 3s, 10m, 2d, not 10m0s.
func Duration(d time.Duration) string {
	if d >= 2*Day && d%Day == 0 {
		return fmt.Sprintf("%dd", d/Day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Ago tells a time relative to now: 3m ago, in 2h.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	const most = 200 // years: a duration has no more than 292
	if years := now.Year() - t.Year(); years > most {
		return fmt.Sprintf("%dy ago", years)
	} else if years < -most {
		return fmt.Sprintf("in %dy", -years)
	}
	d := now.Sub(t)
	switch {
	case d > -time.Second && d < time.Second:
		return "now"
	case d < 0:
		return "in " + roughly(-d)
	}
	return roughly(d) + " ago"
}

// roughly writes a duration in its largest unit, rounded.
func roughly(d time.Duration) string {
	switch {
	case d.Round(time.Second) < time.Minute:
		return fmt.Sprintf("%ds", d.Round(time.Second)/time.Second)
	case d.Round(time.Minute) < time.Hour:
		return fmt.Sprintf("%dm", d.Round(time.Minute)/time.Minute)
	case d.Round(time.Hour) < 2*Day:
		return fmt.Sprintf("%dh", d.Round(time.Hour)/time.Hour)
	}
	return fmt.Sprintf("%dd", d.Round(Day)/Day)
}

// Timestamp writes a time in full, in the local time zone, with its age.
func Timestamp(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s (%s)", t.Local().Format(time.RFC3339), Ago(t, now))
}
