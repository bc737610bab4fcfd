package dashboard

import (
	"fmt"
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
	numbers := make([][]int64, len(all))
	for i, v := range all {
		numbers[i] = v.numbers
	}
	scale := scaleOf(numbers...)
	c := lines{
		ID: strings.ReplaceAll(id, ".", "-"), Title: l.say(id), Unit: unit, Ys: scale.ticks(write), Xs: timeTicks(begin, step, scale.n),
		Rows: make([]linesRow, scale.n),
	}
	for i := range c.Rows {
		c.Rows[i].At = timeText(begin.Add(time.Duration(i)*step), time.Duration(scale.n)*step)
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
				x, y := scale.x(i), scale.y(float64(number))
				fmt.Fprintf(&piece, "%.5g,%.4g ", x, y)
				if i+1 == scale.n || v.numbers[i+1] < 0 { // a piece of one point is a short line
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
