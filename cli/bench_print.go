package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// print shows the result to people.
func (r benchResult) print(w io.Writer, settings []setting) error {
	rate := func(v float64) string { return fmt.Sprintf("%.0f jobs/s", v) }
	if err := table(w, [][]string{
		{"MEASURED", fmt.Sprintf("ON %s %s", strings.ToUpper(r.Engine), brief(r.Settings["version"], 40))},
		{"enqueue, one at a time", rate(r.Single)},
		{fmt.Sprintf("enqueue, batches of %d", benchBatch), rate(r.Batch)},
		{"drain, no-op handlers", rate(r.Drain)},
		{fmt.Sprintf("push to start, at %d jobs/s", benchRate), fmt.Sprintf("p50 %.2f ms, p95 %.2f ms", r.P50, r.P95)},
	}); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	width := widthOf(w)
	for _, s := range settings {
		if s.name == "version" {
			continue
		}
		text := s.name + " = " + printable(s.value)
		if meaning := meanings[s]; meaning != "" {
			text += ": " + meaning
		}
		if _, err := fmt.Fprint(w, wrap(text, width)); err != nil {
			return err
		}
	}
	return nil
}

// wrap breaks a text into lines of at most so many characters, all but the first indented. 0: one line.
func wrap(text string, width int) string {
	const indent = "  "
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width > 0 && column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String() + "\n"
}
