package dashboard

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// lines is a chart of a few lines over time, 1000 wide and 140 high.
type lines struct {
	ID     string // of its heading
	Title  string
	Unit   string
	Label  string
	Lines  []oneLine
	Ys, Xs []tick
	Rows   []linesRow
}

// oneLine is a line of the chart. It has a gap where nothing is known.
type oneLine struct {
	Class  string // one of a, b, c and d
	Name   string
	Points []string // of each piece
}

type linesRow struct {
	At    string
	Cells []string
}

// values are the numbers of a line; a negative one is a gap.
type values struct {
	name    string
	numbers []int64
}

// linesOf draws a chart. Write writes a number.
func linesOf(l *language, id, unit string, begin time.Time, step time.Duration, write func(int64) string, all ...values) lines {
	const width, height = 1000.0, 140.0
	c := lines{ID: strings.ReplaceAll(id, ".", "-"), Title: l.say(id), Unit: unit}
	top, n := int64(1), 0
	for _, v := range all {
		n = max(n, len(v.numbers))
		for _, number := range v.numbers {
			top = max(top, number)
		}
	}
	apart := niceStep(top)
	most := float64(apart) * math.Ceil(float64(top)/float64(apart))
	for v := 0.0; v <= most; v += float64(apart) {
		y := height - height*v/most
		c.Ys = append(c.Ys, tick{At: fmt.Sprintf("%.4g", y), TextAt: fmt.Sprintf("%.4g", y+12), Text: write(int64(v))})
	}
	c.Xs = timeTicks(begin, step, n)
	c.Rows = make([]linesRow, n)
	for i := range c.Rows {
		c.Rows[i].At = timeText(begin.Add(time.Duration(i)*step), time.Duration(n)*step)
	}
	var said []string
	for i, v := range all {
		line := oneLine{Class: string(rune('a' + i)), Name: v.name}
		var piece strings.Builder
		end := func() {
			if piece.Len() > 0 {
				line.Points = append(line.Points, strings.TrimSpace(piece.String()))
				piece.Reset()
			}
		}
		greatest := int64(0)
		for i, number := range v.numbers {
			cell := "–"
			if number < 0 {
				end()
			} else {
				x, y := width*float64(i)/float64(max(n-1, 1)), height-height*float64(number)/most
				fmt.Fprintf(&piece, "%.5g,%.4g ", x, y)
				if i+1 == n || v.numbers[i+1] < 0 { // a piece of one point is a short line
					fmt.Fprintf(&piece, "%.5g,%.4g ", x+1, y)
				}
				cell, greatest = write(number), max(greatest, number)
			}
			c.Rows[i].Cells = append(c.Rows[i].Cells, cell)
		}
		end()
		c.Lines = append(c.Lines, line)
		said = append(said, l.say("lines.most", v.name, write(greatest)))
	}
	c.Label = c.Title + ": " + strings.Join(said, ", ")
	return c
}

// timeTicks are at most six times below a chart of n steps.
func timeTicks(begin time.Time, step time.Duration, n int) (ticks []tick) {
	span := time.Duration(n-1) * step
	apart := time.Duration(n) * step / 6
	if apart > 24*time.Hour {
		apart = apart.Truncate(24 * time.Hour)
	}
	for at := begin.Truncate(max(apart, 1)).Add(apart); span > 0 && at.Sub(begin) <= span; at = at.Add(apart) {
		ticks = append(ticks, tick{At: fmt.Sprintf("%.2f%%", 100*float64(at.Sub(begin))/float64(span)), Text: timeText(at, time.Duration(n)*step)})
	}
	return ticks
}

// timeText writes a time of a chart of a span: with the day if that is more than two.
func timeText(at time.Time, span time.Duration) string {
	if span > 50*time.Hour {
		return at.UTC().Format("Jan 2 15:04")
	}
	return at.UTC().Format("15:04")
}

// briefly writes a duration to three digits.
func (l *language) briefly(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return l.roughly(d)
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= 100*time.Microsecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// seconds writes a duration that is given in seconds.
func (l *language) seconds(s float64) string {
	return l.briefly(time.Duration(s * float64(time.Second)))
}
