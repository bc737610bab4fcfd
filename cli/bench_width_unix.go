//go:build unix

package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// widthOf returns how many characters a line of a terminal has, 0 for what is none.
func widthOf(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
