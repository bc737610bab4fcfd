package bench

import (
	"fmt"
	"io"
	"strings"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// Print shows the result to people.
func (r Result) Print(w io.Writer, settings []Setting) error {
	rate := func(v float64) string { return fmt.Sprintf("%.0f jobs/s", v) }
	t := term.NewGrid(term.Word("MEASURED"), term.Word(fmt.Sprintf("ON %s %s", strings.ToUpper(r.Engine),
		term.Brief(r.Settings["version"], 40))))
	t.Add("enqueue, one at a time", rate(r.Single))
	t.Add(fmt.Sprintf("enqueue, batches of %d", batch), rate(r.Batch))
	t.Add("drain, no-op handlers", rate(r.Drain))
	t.Add(fmt.Sprintf("push to start, at %d jobs/s", pushRate), fmt.Sprintf("p50 %.2f ms, p95 %.2f ms", r.P50, r.P95))
	if err := t.Print(w); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	width := term.WidthOf(w)
	for _, s := range settings {
		if s.name == "version" {
			continue
		}
		text := s.name + " = " + term.Printable(s.value)
		if meaning := meanings[s]; meaning != "" {
			text += ": " + meaning
		}
		if _, err := fmt.Fprint(w, term.Wrap(text, max(width-2, 0), "  ")); err != nil {
			return err
		}
	}
	return nil
}
