package main

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// Sizes in the chart, in pixels.
const (
	chartWidth  = 760
	chartLeft   = 215 // where bars begin
	chartRight  = 640 // where the longest ends
	chartBar    = 20  // of one bar, with the space below
	chartMargin = 20
)

// chartStyle is for light and dark pages: the browser knows which.
const chartStyle = `
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.small { font-size: 11px; fill: #59636e }
.page { fill: #ffffff }
.peer { fill: #afb8c1 }
.ours { fill: #0969da }
.bare { fill: none; stroke: #59636e; stroke-dasharray: 4 3 }
.range { stroke: #1f2328 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .page { fill: #0d1117 }
  .peer { fill: #545d68 }
  .ours { fill: #4493f8 }
  .bare { stroke: #9198a1 }
  .range { stroke: #e6edf3 }
}
`

var products = map[string]string{postgres: "PostgreSQL", mariadb: "MariaDB", sqlite: "SQLite"}

// chart writes the rates as bars, in SVG: each workload has a scale of its own, from 0. A thin line is the range.
func (r report) chart(w io.Writer) {
	var b strings.Builder
	y := chartMargin + 10
	text(&b, chartMargin, y, "title", "Jobs a second on "+products[r.Engine])
	y += 18
	text(&b, chartMargin, y, "small",
		fmt.Sprintf("Rounds: %d; medians, and ranges as lines. The bare loop is SQL written by hand, without a queue around it.", r.Rounds))
	for _, s := range r.Sections {
		if s.inChart() {
			y = s.bars(&b, y+30)
		}
	}
	fmt.Fprintf(w,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-label="Jobs a second">
<style>%[3]s</style>
<rect class="page" width="100%%" height="100%%"/>
%[4]s</svg>
`, chartWidth, y+chartMargin, chartStyle, b.String())
}

func (s section) inChart() bool {
	kind, _, _ := strings.Cut(s.Workload, "-")
	return slices.Contains([]string{"drain", "enqueue", "mixed"}, kind) && s.fastest() > 0
}

// fastest is the highest rate of all systems.
func (s section) fastest() (most float64) {
	for _, m := range s.Systems {
		if m.Results != nil {
			most = max(most, spreadOf(m.Results, rate).high)
		}
	}
	return most
}

func rate(r result) float64 { return r.Rate }

// bars writes the bars of a workload below y, and returns where they end.
func (s section) bars(b *strings.Builder, y int) int {
	text(b, chartMargin, y, "title", s.Title)
	scale := (chartRight - chartLeft) / s.fastest()
	y += 8
	for _, m := range s.Systems {
		if m.Results == nil {
			continue
		}
		v := spreadOf(m.Results, rate)
		at := func(rate float64) float64 { return chartLeft + rate*scale }
		text(b, chartMargin, y+chartBar-6, "", m.System)
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`+"\n",
			barClass(m.System), chartLeft, y+3, v.median*scale, chartBar-5)
		if v.low < v.high {
			middle := y + chartBar/2
			fmt.Fprintf(b, `<path class="range" d="M%.1f %dH%.1f"/>`+"\n", at(v.low), middle, at(v.high))
		}
		text(b, int(at(v.high))+8, y+chartBar-6, "", number(v.median))
		y += chartBar
	}
	return y
}

func barClass(system string) string {
	switch {
	case strings.HasPrefix(system, "sqlqueue"):
		return "ours"
	case strings.HasPrefix(system, "bare loop"):
		return "bare"
	}
	return "peer"
}

func text(b *strings.Builder, x, y int, class, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" class="%s">%s</text>`+"\n", x, y, class, html.EscapeString(s))
}
