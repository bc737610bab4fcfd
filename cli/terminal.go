package cli

import (
	"cmp"
	"os"
	"strconv"

	"github.com/mattn/go-isatty"
)

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// canRedraw reports whether what was written on a stream can be written over.
func canRedraw(stream any) bool { return isTerminal(stream) && os.Getenv("TERM") != "dumb" }

// widthOf returns how many characters a line of a terminal has, 0 for what is none. COLUMNS beats what the terminal says.
func widthOf(stream any) int {
	if !isTerminal(stream) {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	columns, _ := sizeOf(stream.(*os.File))
	return cmp.Or(columns, 80)
}

// heightOf returns how many lines a terminal has, 0 for what is none.
func heightOf(stream any) int {
	if !isTerminal(stream) {
		return 0
	}
	_, lines := sizeOf(stream.(*os.File))
	return cmp.Or(lines, 24)
}

// colour is what a terminal needs to hear before a text.
type colour string

// The colours. None stands for the terminal's own.
const (
	red    colour = "31" // failed
	yellow colour = "33" // held up, or dead
	bold   colour = "1"
	dim    colour = "2"
)

// isColoured reports whether colours are welcome.
func isColoured(stream any) bool { return canRedraw(stream) && os.Getenv("NO_COLOR") == "" }

func (c colour) on(text string) string {
	if c == "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
