package cron

import (
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// expression is a cron expression. Gronx knows what its fields mean; its own search for the next time reads the text anew each time.
type expression struct {
	fields []string // as gronx has them, with seconds
	either bool     // one of day and weekday is enough
}

// fields of an expression
const (
	minute = iota + 1
	hour
	day
	month
	weekday
)

func newExpression(fields []string) (expression, error) {
	fields, err := gronx.Segments(strings.Join(fields, " "))
	if err != nil {
		return expression{}, err
	}
	return expression{fields, !strings.HasPrefix(fields[day], "*") && fields[day] != "?" &&
		fields[weekday] != "*" && fields[weekday] != "?" && !strings.HasPrefix(fields[weekday], "*/")}, nil
}

// next returns the next reading of a clock after another; zero: there is none in forty years, after which the calendar begins again.
func (e expression) next(after time.Time) time.Time {
	const years = 40 // 28, and more where a century has no leap year
	t := after.Truncate(time.Minute).Add(time.Minute)
	for last := t.Year() + years; t.Year() <= last; {
		switch {
		case !e.due(month, t):
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, t.Location())
		case !e.dueDay(t):
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, t.Location())
		case !e.due(hour, t):
			t = t.Truncate(time.Hour).Add(time.Hour)
		case !e.due(minute, t):
			t = t.Add(time.Minute)
		default:
			return t
		}
	}
	return time.Time{}
}

func (e expression) dueDay(t time.Time) bool {
	if e.either {
		return e.due(day, t) || e.due(weekday, t)
	}
	return e.due(day, t) && e.due(weekday, t)
}

func (e expression) due(field int, t time.Time) bool {
	checker := gronx.SegmentChecker{}
	checker.SetRef(t)
	due, err := checker.CheckDue(e.fields[field], field)
	return due && err == nil
}
