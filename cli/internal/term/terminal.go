// Package term is how the commands write for people: tables, numbers, times and progress that fit the terminal, and the text of others made
// safe to show.
package term

import (
	"cmp"
	"os"
	"strconv"

	xterm "golang.org/x/term"
)

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && xterm.IsTerminal(int(file.Fd()))
}

// CanRedraw reports whether what was written on a stream can be written over.
func CanRedraw(stream any) bool { return IsTerminal(stream) && os.Getenv("TERM") != "dumb" }

// WidthOf returns how many characters a line of a terminal has, 0 for what is none. COLUMNS beats what the terminal says.
func WidthOf(stream any) int {
	if !IsTerminal(stream) {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	columns, _, _ := xterm.GetSize(int(stream.(*os.File).Fd())) // 0 where it does not say
	return cmp.Or(columns, 80)
}

// HeightOf returns how many lines a terminal has, 0 for what is none.
func HeightOf(stream any) int {
	if !IsTerminal(stream) {
		return 0
	}
	_, lines, _ := xterm.GetSize(int(stream.(*os.File).Fd()))
	return cmp.Or(lines, 24)
}

// colour is what a terminal needs to hear before a text.
type colour string

// The colours. None stands for the terminal's own.
const (
	Red    colour = "31" // failed
	Yellow colour = "33" // held up, or dead
	bold   colour = "1"
	dim    colour = "2"
)

// IsColoured reports whether colours are welcome.
func IsColoured(stream any) bool { return CanRedraw(stream) && os.Getenv("NO_COLOR") == "" }

func (c colour) on(text string) string {
	if c == "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
