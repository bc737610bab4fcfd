package term

import (
	"io"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Grid is rows in columns. On a terminal it is as wide as that: columns that are spare are left out where there is little room for
// text, then the widest text is cut. Elsewhere each text has its limit, and no column is left out.
type Grid struct {
	columns []Column
	Rows    [][]string
	colours map[cell]colour
}

type cell struct{ row, column int }

// Column is one of a table.
type Column struct {
	head  string
	most  int  // of a text: how many characters it has where there is no terminal; 0: it is never cut
	right bool // numbers
	spare bool
}

// Text is a column that may be cut.
func Text(head string, most int) Column { return Column{head: head, most: most} }

// Word is a column that is not cut.
func Word(head string) Column { return Column{head: head} }

// Number is a column of numbers.
func Number(head string) Column { return Column{head: head, right: true} }

// Spare makes a column one that people can do without.
func Spare(c Column) Column {
	c.spare = true
	return c
}

// NewGrid returns a grid without rows.
func NewGrid(columns ...Column) *Grid {
	return &Grid{columns: columns, colours: map[cell]colour{}}
}

// Add adds a row. What is not fit for a terminal is made so.
func (t *Grid) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Paint colours the cell under a head in the newest row.
func (t *Grid) Paint(head string, c colour) {
	column := slices.IndexFunc(t.columns, func(c Column) bool { return c.head == head })
	t.colours[cell{len(t.Rows) - 1, column}] = c
}

const (
	gap       = "  "
	leastText = 12 // characters of a text before spare columns are left out
	fewest    = 4  // characters of a text at all
)

// Print prints the head, if there is one, and the rows.
func (t *Grid) Print(w io.Writer) error { return t.WriteLines(w, WidthOf(w), IsColoured(w)) }

// WriteLines prints for lines of so many characters; 0: of any number.
func (t *Grid) WriteLines(w io.Writer, line int, coloured bool) error {
	cells := t.shown(line)
	widths := t.widths(cells)
	columns := t.fit(cells, widths, line)
	var b strings.Builder
	write := func(row []string, colourOf func(column int) colour) {
		var blanks int
		for i, c := range columns {
			text := cut(row[c], widths[c])
			padding := widths[c] - WidthOfText(text)
			if i > 0 {
				blanks += len(gap)
			}
			if t.columns[c].right {
				blanks, padding = blanks+padding, 0
			}
			if text == "" {
				blanks += padding
				continue
			}
			b.WriteString(strings.Repeat(" ", blanks))
			if coloured {
				text = colourOf(c).on(text)
			}
			b.WriteString(text)
			blanks = padding
		}
		b.WriteByte('\n')
	}
	if heads := t.heads(); slices.ContainsFunc(heads, func(head string) bool { return head != "" }) {
		write(heads, func(int) colour { return bold })
	}
	for r, row := range cells {
		write(row, func(column int) colour { return t.colours[cell{r, column}] })
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Grid) heads() []string {
	heads := make([]string, len(t.columns))
	for i, c := range t.columns {
		heads[i] = c.head
	}
	return heads
}

// shown returns the cells as they may be shown, before they are made to fit.
func (t *Grid) shown(line int) [][]string {
	cells := make([][]string, len(t.Rows))
	for r, row := range t.Rows {
		cells[r] = make([]string, len(row))
		for c, text := range row {
			switch most := t.columns[c].most; {
			case most == 0:
				cells[r][c] = Printable(text)
			case line == 0:
				cells[r][c] = Brief(text, most)
			default:
				cells[r][c] = Brief(text, line)
			}
		}
	}
	return cells
}

func (t *Grid) widths(cells [][]string) []int {
	widths := make([]int, len(t.columns))
	for c, head := range t.heads() {
		widths[c] = WidthOfText(head)
		for _, row := range cells {
			widths[c] = max(widths[c], WidthOfText(row[c]))
		}
	}
	return widths
}

// fit chooses the columns that are shown on a line, and makes those with text narrower until the line is full. 0: all as they are.
func (t *Grid) fit(cells [][]string, widths []int, line int) (columns []int) {
	for c := range t.columns {
		columns = append(columns, c)
	}
	if line == 0 {
		return columns
	}
	needed := func(least int) (n int) {
		for _, c := range columns {
			n += len(gap) + widths[c]
			if t.columns[c].most > 0 {
				n -= max(0, widths[c]-least)
			}
		}
		return n - len(gap)
	}
	for needed(leastText) > line {
		i := t.leastNeeded(cells, columns)
		if i < 0 {
			break
		}
		columns = slices.Delete(columns, i, i+1)
	}
	for needed(line) > line {
		widest := -1
		for _, c := range columns {
			if t.columns[c].most > 0 && widths[c] > fewest && (widest < 0 || widths[c] > widths[widest]) {
				widest = c
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return columns
}

// leastNeeded returns which of the columns can be left out: the last spare one that has nothing in it, or else the last spare one; -1 if
// there is none.
func (t *Grid) leastNeeded(cells [][]string, columns []int) int {
	last := -1
	for i, c := range slices.Backward(columns) {
		if !t.columns[c].spare {
			continue
		}
		if !slices.ContainsFunc(cells, func(row []string) bool { return row[c] != "-" && row[c] != "0" && row[c] != "" }) {
			return i
		}
		last = max(last, i)
	}
	return last
}

// cut cuts a text to so many characters of a terminal.
func cut(text string, most int) string {
	if WidthOfText(text) <= most {
		return text
	}
	n := 1 // the …
	for i, r := range text {
		if n += widthOfRune(r); n > most {
			return text[:i] + "…"
		}
	}
	return text
}

// WidthOfText returns how many characters of a terminal a printable text fills.
func WidthOfText(text string) (n int) {
	for _, r := range text {
		n += widthOfRune(r)
	}
	return n
}

func widthOfRune(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// Fields prints names and values.
func Fields(w io.Writer, rows [][]string) error {
	g := NewGrid(Word(""), Word(""))
	for _, row := range rows {
		g.Add(row...)
	}
	return g.Print(w)
}
