package term

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// ShowLine keeps a line on a terminal up to date, until the function that it returns is called: that erases it. Elsewhere it does
// nothing. line is called by another goroutine.
func ShowLine(w io.Writer, line func() string) (stop func()) {
	if !CanRedraw(w) {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		shown := false
		for {
			select {
			case <-end:
				if shown {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			case <-tick.C:
				fmt.Fprintf(w, "\r%s\x1b[K", cut(line(), WidthOf(w)-1))
				shown = true
			}
		}
	}()
	return func() { close(end); <-ended }
}

// InPlaceOf writes a text, under a title, over what a terminal of so many lines shows.
func InPlaceOf(text, title string, height int) string {
	lines := strings.Split(title+"\n\n"+strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) >= height {
		lines = append(lines[:max(height-2, 0)], "…")
	}
	return "\x1b[H" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\n\x1b[J"
}
