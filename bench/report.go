package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// measured is what a system did at a workload, a result for each round.
type measured struct {
	System   string   `json:"system"`
	Settings string   `json:"settings"`
	Results  []result `json:"results"`
	Error    string   `json:"error,omitempty"` // the last
}

type section struct {
	Workload string      `json:"workload"`
	Title    string      `json:"title"`
	Systems  []*measured `json:"systems"`
}

type report struct {
	Engine   string    `json:"engine"`
	Machine  []string  `json:"machine"`
	Rounds   int       `json:"rounds"`
	Sections []section `json:"sections"`
}

// spread is a median and its range.
type spread struct{ median, low, high float64 }

func spreadOf(results []result, of func(result) float64) spread {
	values := make([]float64, len(results))
	for i, r := range results {
		values[i] = of(r)
	}
	slices.Sort(values)
	n := len(values)
	return spread{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}
}

func (s spread) String() string {
	if s.high == 0 {
		return "–"
	}
	if s.low == s.high {
		return number(s.median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median), number(s.low), number(s.high))
}

// number writes three digits that count, and commas.
func number(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return whole(int(math.Round(v)))
}

// whole writes a number with commas.
func whole(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

type column struct {
	title string
	of    func(result) float64
}

var columns = []column{
	{"jobs/s", rate},
	{"server CPU µs/job", func(r result) float64 { return r.ServerCPU }},
	{"client CPU µs/job", func(r result) float64 { return r.ClientCPU }},
	{"log bytes/job", func(r result) float64 { return r.WAL }},
	{"p50 ms", p50},
	{"p95 ms", p95},
	{"p99 ms", func(r result) float64 { return r.P99 }},
	{"max ms", func(r result) float64 { return r.Max }},
	{"last 10 s, % of first", func(r result) float64 { return r.Kept }},
}

// markdown writes the report as tables.
func (r report) markdown(w io.Writer) {
	fmt.Fprintf(w, "## %s\n\n", r.Engine)
	for _, line := range r.Machine {
		fmt.Fprintf(w, "- %s\n", line)
	}
	fmt.Fprintf(w, "- rounds: %d, interleaved; median (lowest–highest)\n", r.Rounds)
	told := map[string]bool{}
	for _, s := range r.Sections {
		for _, m := range s.Systems {
			if !told[m.System] {
				told[m.System] = true
				fmt.Fprintf(w, "- **%s**: %s\n", m.System, m.Settings)
			}
		}
	}
	fmt.Fprintln(w)
	r.summary(w)
	for _, s := range r.Sections {
		s.markdown(w)
	}
}

func (s section) markdown(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n\n", s.Title)
	var shown []column
	for _, c := range columns {
		if slices.ContainsFunc(s.Systems, func(m *measured) bool { return m.Results != nil && spreadOf(m.Results, c.of).high > 0 }) {
			shown = append(shown, c)
		}
	}
	titles := []string{"`" + s.Workload + "`"}
	for _, c := range shown {
		titles = append(titles, c.title)
	}
	row(w, titles)
	row(w, slices.Repeat([]string{"---"}, len(titles)))
	for _, m := range s.Systems {
		cells := []string{m.System}
		for _, c := range shown {
			if m.Results != nil {
				cells = append(cells, spreadOf(m.Results, c.of).String())
			}
		}
		if m.Error != "" {
			cells = append(cells, "failed: "+strings.ReplaceAll(m.Error, "\n", " "))
		}
		row(w, cells)
	}
}

func row(w io.Writer, cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
