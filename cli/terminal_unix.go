//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// sizeOf returns the size of a terminal in characters, zeros when it does not say.
func sizeOf(terminal *os.File) (columns, lines int) {
	size, err := unix.IoctlGetWinsize(int(terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Col), int(size.Row)
}
