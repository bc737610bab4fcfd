//go:build !unix

package cli

import "io"

// widthOf returns how many characters a line of a terminal is taken to have, 0 for what is none.
func widthOf(w io.Writer) int {
	if !isTerminal(w) {
		return 0
	}
	return 80
}
