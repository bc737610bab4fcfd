package cli

import (
	"fmt"
	"io"
	"strings"
)

// print shows the result to people.
func (r benchResult) print(w io.Writer, settings []setting) error {
	rate := func(v float64) string { return fmt.Sprintf("%.0f jobs/s", v) }
	t := newGrid(word("MEASURED"), word(fmt.Sprintf("ON %s %s", strings.ToUpper(r.Engine), brief(r.Settings["version"], 40))))
	t.add("enqueue, one at a time", rate(r.Single))
	t.add(fmt.Sprintf("enqueue, batches of %d", benchBatch), rate(r.Batch))
	t.add("drain, no-op handlers", rate(r.Drain))
	t.add(fmt.Sprintf("push to start, at %d jobs/s", benchRate), fmt.Sprintf("p50 %.2f ms, p95 %.2f ms", r.P50, r.P95))
	if err := t.writeTo(w); err != nil {
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
		if _, err := fmt.Fprint(w, wrap(text, max(width-2, 0), "  ")); err != nil {
			return err
		}
	}
	return nil
}
